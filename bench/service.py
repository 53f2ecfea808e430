"""The whole service: cold start, memory, answers beside stock Rasa, two engines, and red flags without an engine.

The simulated WeChat runs in this process, the service, its engine and its databases as they do in production. What is
measured on a quiet service comes before what overloads it, and each waits until nothing is owed any more.
"""

import asyncio
import base64
import contextlib
import secrets
import time
from pathlib import Path

import psutil

from bench import pair, pushes, stock
from bench.answers import Answers
from bench.children import load, resident_mb
from bench.database import Servers, some_consent
from bench.report import Row
from bench.stock import Say
from bot.demo.stage import App, Stage, stage
from bot.dialogue.phrases import KEPT
from bot.ports import free_port
from bot.simulator.crypto import Envelope
from bot.store import embedded

# Enough of them that one outlier is not the p99.
RED_FLAGS, RED_FLAGS_A_SECOND = 120, 3.0


async def measure(scratch: Path, say: Say) -> list[Row]:
    """Run the workload and return its rows."""
    model = await stock.prepare(say) if stock.wanted() else None
    data_key, engine_key = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    var = scratch / "var"
    rows: list[Row] = []
    async with stage(var, {"DATA_KEY": data_key, "ENGINE_DATA_KEY": engine_key}) as there:
        account = _account(there)
        say("first start, not measured")
        await there.app.start()
        await there.app.alive(there.http, path="/readyz", within=120)
        await there.app.stop()
        server, address, _ = await asyncio.to_thread(embedded.start_postgres, var)
        servers = Servers(address, data_key)
        try:
            rows += await _red_flags(there, account, servers, scratch, say)
        finally:
            await asyncio.to_thread(server.cleanup)
        rows += await _cold_start(there, account, say)
        await there.app.alive(there.http, path="/readyz", within=120)
        server, address, _ = await asyncio.to_thread(embedded.start_postgres, var)
        servers = Servers(address, data_key)
        try:
            async with contextlib.AsyncExitStack() as peer:
                port = None
                if model is not None:
                    port, pid = await peer.enter_async_context(stock.running(model, scratch, say))
                answers = Answers(there.app, account, servers, scratch, say, port)
                rows += await answers.quiet()
                rows += await answers.after_history(engine_key)
                rows += _memory(there.app, resident_mb(pid) if port is not None else None)
                most, peer_most, saturated = await answers.saturation()
                rows += saturated
                rows += await answers.overload(peer_most)
            await there.app.stop()
            rows += await pair.measure(there, answers, engine_key, most)
        finally:
            for one in there.apps:
                await one.stop()
            await asyncio.to_thread(server.cleanup)
    return rows


def _account(there: Stage) -> pushes.Account:
    given = there.app.environment
    return pushes.Account(given["WECHAT_APP_ID"], given["WECHAT_TOKEN"], given["WECHAT_AES_KEY"])


async def _cold_start(there: Stage, account: pushes.Account, say: Say) -> list[Row]:
    """The second start, the model trained: until a message is acknowledged, until the engine has answered one."""
    envelope = pushes.envelope_of(account)
    began = time.monotonic()
    await there.app.start()
    acknowledged = answered = None
    for number in range(2000):
        openid = pushes.openids(1, group=f"Cold{number:04d}")[0]
        raw = pushes.request(account, envelope, openid, None if acknowledged is None else pushes.QUESTIONS[0])
        said = await _ask(there.app.port, raw)
        if said is None:
            await asyncio.sleep(0.02)
            continue
        if acknowledged is None:
            acknowledged = time.monotonic() - began
        elif said.startswith(b"<xml>") and KEPT not in _opened(envelope, said):
            answered = time.monotonic() - began
            break
        if time.monotonic() - began > 90:
            break
        await asyncio.sleep(0.1)
    assert acknowledged is not None
    assert there.app.process is not None
    say(f"first acknowledgement after {acknowledged:.1f} s, first answer of the engine after {answered or 0:.1f} s")
    return [
        Row("start to first acknowledged message", "s", acknowledged, goal="< 3 s", reached=acknowledged < 3),
        Row("start to first answer of the engine", "s", answered or float("inf")),
    ]


def _opened(envelope: Envelope, reply: bytes) -> str:
    sealed = reply.decode().split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    return envelope.open(sealed)


async def _ask(port: int, raw: bytes) -> bytes | None:
    """One push on a connection of its own; the body of a 200, else None."""
    try:
        async with asyncio.timeout(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw.replace(b"Accept: */*\r\n", b"Connection: close\r\n"))
            whole = await reader.read()
            writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = whole.partition(b"\r\n\r\n")
    return body if head[9:12] == b"200" else None


def _memory(app: App, peer: float | None) -> list[Row]:
    assert app.process is not None
    whole = psutil.Process(app.process.pid)
    rows = [
        Row("memory of the app", "MB", resident_mb(whole.pid), goal="< 300 MB", reached=resident_mb(whole.pid) < 300)
    ]
    for one in whole.children(recursive=True):
        words = " ".join(one.cmdline())
        if "bot.engine.launch" in words:
            size = resident_mb(one.pid)
            rows.append(Row("memory of the engine", "MB", size, peer, goal="< 250 MB", reached=size < 250))
        elif "valkey" in words:
            rows.append(Row("memory of Valkey", "MB", resident_mb(one.pid)))
    return rows


async def _red_flags(there: Stage, account: pushes.Account, servers: Servers, scratch: Path, say: Say) -> list[Row]:
    """An engine that is not there: the advice is the passive reply all the same."""
    app = there.another_app()
    app.environment = {**app.environment, "ENGINE_URLS": f"http://127.0.0.1:{free_port()}"}
    await app.start()
    await app.alive(there.http)
    await some_consent(servers, pushes.openids(RED_FLAGS, group="Red"))
    warm = pushes.burst(account, 9, patients=9, texts=(pushes.EMERGENCY,), group="Hot")
    await load(warm, scratch, port=app.port, rate=RED_FLAGS_A_SECOND, seconds=9 / RED_FLAGS_A_SECOND)
    prepared = pushes.burst(account, RED_FLAGS, patients=RED_FLAGS, texts=(pushes.EMERGENCY,), group="Red")
    seconds = RED_FLAGS / RED_FLAGS_A_SECOND
    heard = await load(prepared, scratch, port=app.port, rate=RED_FLAGS_A_SECOND, seconds=seconds)
    await app.stop()
    say(f"red flags without an engine: p50 {heard.p50:.0f} ms, p99 {heard.p99:.0f} ms, worst {heard.worst:.0f} ms")
    later = RED_FLAGS - heard.replied
    note = f"{later} of {RED_FLAGS} got it later, actively" if later else f"{RED_FLAGS_A_SECOND:.0f}/s"
    return [
        Row("red-flag advice, engine stopped, p50", "ms", heard.p50),
        Row(
            "red-flag advice, engine stopped, p99", "ms", heard.p99, goal="< 50 ms",
            reached=heard.p99 < 50 and not later, note=note,
        ),
    ]  # fmt: skip
