"""The whole service: cold start, memory, a patient's message to the stored answer, and red flags without an engine.

The simulated WeChat runs in this process, the service, its engine and its databases as they do in production. Messages go
in through the callback; how long an answer took is read from the rows: outbox `created_at` less message `received_at`.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncpg
import psutil

from bench import pushes
from bench.children import load, resident_mb
from bench.database import Servers, some_consent
from bench.load import Heard, quantile
from bench.report import Row
from bot.demo.stage import App, Stage, free_port, stage
from bot.dialogue.phrases import KEPT
from bot.settings import ROOT
from bot.simulator.crypto import Envelope
from bot.store import embedded

RATES = (1.0, 10.0)
OVERLOAD = 50.0
SECONDS = {1.0: 12.0, 10.0: 10.0, 50.0: 6.0}
SATURATE_SECONDS = 12.0
HISTORY_EVENTS = 10_000
_SENDING_SECONDS = 10.0
HISTORY_PATIENTS = 5
ENGINE_PYTHON = ROOT / ".venv-engine" / "bin" / "python"

Say = Callable[[str], None]

_TOOK = """
select extract(epoch from o.created_at - m.received_at) * 1000 as ms, o.created_at
from message m join outbox o on o.passive_for = m.id or o.cause = 'message:' || m.id
where m.account_id in (select account_id from message where received_at >= $1) and m.received_at >= $1
  and o.kind = 'answer'
"""


async def measure(scratch: Path, say: Say) -> list[Row]:
    """Run the workload and return its rows."""
    data_key, engine_key = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    extra = {"DATA_KEY": data_key, "ENGINE_DATA_KEY": engine_key}
    var = scratch / "var"
    rows: list[Row] = []
    async with stage(var, extra) as there:
        account = _account(there)
        say("first start, not measured")
        await there.app.start()
        await there.app.alive(there.http, path="/readyz", within=120)
        await there.app.stop()
        rows += await _cold_start(there, account, say)
        await there.app.alive(there.http, path="/readyz", within=120)
        server, address, _ = await asyncio.to_thread(embedded.start_postgres, var)
        try:
            servers = Servers(address, data_key)
            rows += await _answers(there, account, servers, scratch, say)
            rows += await _after_history(there, account, servers, engine_key, scratch, say)
            rows += _memory(there.app)
            rows += await _at_rate(OVERLOAD, there, account, servers, scratch, say)
            await there.app.stop()
            rows += await _red_flags(there, account, servers, scratch, say)
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


async def _answers(there: Stage, account: pushes.Account, servers: Servers, scratch: Path, say: Say) -> list[Row]:
    """One engine: latency at three rates, the rate at which it saturates, and latency at half of that."""
    rows = []
    await _run(there, account, servers, scratch, rate=5.0, seconds=3.0, group="Warm")
    per_second, heard = await _saturation(there, account, servers, scratch)
    say(f"one engine saturates at {per_second:.1f} answers/s")
    rows.append(
        Row("answers/s at saturation, one engine", "answers/s", per_second, goal="≥ 20/s an engine",
            reached=per_second >= 20, note=_not_run("beside stock Rasa"))
    )  # fmt: skip
    for rate in RATES:
        rows += await _at_rate(rate, there, account, servers, scratch, say)
    half = per_second / 2
    took, heard = await _run(there, account, servers, scratch, rate=half, seconds=10.0, group="Half")
    say(_line(f"half of saturation, {half:.1f}/s", took, heard))
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    rows += [
        Row("message to stored answer at half of saturation, p50", "ms", p50, goal="< 40 ms", reached=p50 < 40),
        Row("message to stored answer at half of saturation, p99", "ms", p99, goal="< 300 ms", reached=p99 < 300),
    ]
    return rows


def _not_run(what: str) -> str:
    return f"{what}: not run"


async def _at_rate(
    rate: float, there: Stage, account: pushes.Account, servers: Servers, scratch: Path, say: Say
) -> list[Row]:
    group = f"R{rate:.0f}"
    took, heard = await _run(there, account, servers, scratch, rate=rate, seconds=SECONDS[rate], group=group)
    say(_line(f"{rate:.0f}/s", took, heard))
    return _latency(f"message to stored answer at {rate:.0f}/s", took, heard)


def _line(what: str, took: list[float], heard: Heard) -> str:
    return (
        f"{what}: {len(took)} answers to {heard.answered} messages, p50 {quantile(took, 0.5):.0f} ms,"
        f" p99 {quantile(took, 0.99):.0f} ms"
    )


def _latency(name: str, took: list[float], heard: Heard) -> list[Row]:
    missing = heard.answered + heard.failed - len(took)
    note = f"{missing} not answered within a minute" if missing > 0 else ""
    return [
        Row(f"{name}, p50", "ms", quantile(took, 0.5), note=note),
        Row(f"{name}, p99", "ms", quantile(took, 0.99)),
    ]


async def _run(
    there: Stage, account: pushes.Account, servers: Servers, scratch: Path, *, rate: float, seconds: float, group: str
) -> tuple[list[float], Heard]:
    """Open loop, each message from somebody else; returns how long the stored answers took (ms)."""
    number = max(1, int(rate * seconds))
    prepared = pushes.burst(account, number, patients=number, texts=pushes.QUESTIONS, group=group)
    since = await _now(servers)
    heard = await load(prepared, scratch, port=there.app.port, rate=rate, seconds=seconds)
    return await _drained(servers, since, number), heard


async def _saturation(there: Stage, account: pushes.Account, servers: Servers, scratch: Path) -> tuple[float, Heard]:
    """More than it can take, for a while: how many answers were stored in a second meanwhile."""
    number = int(80 * SATURATE_SECONDS)
    prepared = pushes.burst(account, number, patients=number, texts=pushes.QUESTIONS, group="Sat")
    since = await _now(servers)
    heard = await load(prepared, scratch, port=there.app.port, connections=24, seconds=SATURATE_SECONDS)
    connection = await asyncpg.connect(servers.database_url)
    try:
        times = sorted(row["created_at"] for row in await connection.fetch(_TOOK, since))
    finally:
        await connection.close()
    await _drained(servers, since, heard.answered)
    span = (times[-1] - times[0]).total_seconds() if len(times) > 1 else float("inf")
    return (len(times) - 1) / span, heard


async def _now(servers: Servers) -> datetime:
    connection = await asyncpg.connect(servers.database_url)
    try:
        moment: datetime = await connection.fetchval("select clock_timestamp()")
        return moment
    finally:
        await connection.close()


async def _drained(servers: Servers, since: datetime, number: int, *, within: float = 60.0) -> list[float]:
    """What was answered, once everything was and nothing is owed any more, or the time is up."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        end = time.monotonic() + within
        while True:
            took = [float(row["ms"]) for row in await connection.fetch(_TOOK, since)]
            owed = await connection.fetchval(
                "select count(*) from outbox where state in ('pending', 'passive_claimed')"
            )
            left = end - time.monotonic()
            if left < 0 or (len(took) >= number and (not owed or left < within - _SENDING_SECONDS)):
                return took
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def _after_history(
    there: Stage, account: pushes.Account, servers: Servers, engine_key: str, scratch: Path, say: Say
) -> list[Row]:
    """The same people again, each with ten thousand events behind them."""
    group = "Old"
    await _run(there, account, servers, scratch, rate=5.0, seconds=HISTORY_PATIENTS / 5, group=group)
    connection = await asyncpg.connect(servers.database_url)
    conversations = await connection.fetch(
        "select a.conversation_id::text as id from account a join message m on m.account_id = a.id"
        " group by a.id order by max(m.seq) desc limit $1",
        HISTORY_PATIENTS,
    )
    await connection.close()
    process = await asyncio.create_subprocess_exec(
        str(ENGINE_PYTHON), "-W", "ignore", "-m", "bench.own.history", str(HISTORY_EVENTS), cwd=ROOT,
        env={"ENGINE_DATA_KEY": engine_key, "DATABASE_URL": servers.database_url, "SQLALCHEMY_SILENCE_UBER_WARNING": "1"},
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await process.communicate("".join(row["id"] + "\n" for row in conversations).encode())
    if process.returncode:
        raise RuntimeError("the history could not be written")
    number = HISTORY_PATIENTS * 4
    prepared = pushes.burst(account, number, patients=HISTORY_PATIENTS, texts=pushes.QUESTIONS, group=group)
    since = await _now(servers)
    heard = await load(prepared, scratch, port=there.app.port, rate=2.0, seconds=number / 2.0)
    took = await _drained(servers, since, number)
    say(_line(f"after {HISTORY_EVENTS} events of history, 2/s", took, heard))
    return _latency(f"message to stored answer after {HISTORY_EVENTS} events, 2/s", took, heard)


def _memory(app: App) -> list[Row]:
    assert app.process is not None
    whole = psutil.Process(app.process.pid)
    rows = [
        Row("memory of the app", "MB", resident_mb(whole.pid), goal="< 300 MB", reached=resident_mb(whole.pid) < 300)
    ]
    for one in whole.children(recursive=True):
        words = " ".join(one.cmdline())
        if "bot.engine.launch" in words:
            size = resident_mb(one.pid)
            rows.append(Row("memory of the engine", "MB", size, goal="< 250 MB", reached=size < 250))
        elif "valkey" in words:
            rows.append(Row("memory of Valkey", "MB", resident_mb(one.pid)))
    return rows


async def _red_flags(there: Stage, account: pushes.Account, servers: Servers, scratch: Path, say: Say) -> list[Row]:
    """An engine that is not there: the advice is the passive reply all the same."""
    app = there.another_app()
    app.environment = {**app.environment, "ENGINE_URLS": f"http://127.0.0.1:{free_port()}"}
    await app.start()
    await app.alive(there.http)
    number = 100
    await some_consent(servers, pushes.openids(number, group="Red"))
    warm = pushes.burst(account, 5, patients=5, texts=(pushes.EMERGENCY,), group="Hot")
    await load(warm, scratch, port=app.port, rate=5.0, seconds=1.0)
    prepared = pushes.burst(account, number, patients=number, texts=(pushes.EMERGENCY,), group="Red")
    heard = await load(prepared, scratch, port=app.port, rate=5.0, seconds=number / 5.0)
    await app.stop()
    say(f"red flags without an engine: p50 {heard.p50:.0f} ms, p99 {heard.p99:.0f} ms")
    return [
        Row("red-flag advice, engine stopped, p50", "ms", heard.p50),
        Row(
            "red-flag advice, engine stopped, p99",
            "ms",
            heard.p99,
            goal="< 50 ms",
            reached=heard.p99 < 50 and heard.replied == number,
            note="" if heard.replied == number else f"{number - heard.replied} of {number} got it later, actively",
        ),
    ]
