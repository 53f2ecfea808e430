"""Intake alone, as in a burst: verified, decrypted, deduplicated, stored, committed, acknowledged.

Beside it wechatpy + Flask under gunicorn storing in the same PostgreSQL, and the limit: one raw insert, nothing verified.
All servers are up during the whole run and idle when it is not their turn.
"""

import contextlib
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from bench import pushes
from bench.children import child, cpu_seconds, load
from bench.database import Servers, migrated, some_consent
from bench.load import Heard
from bench.report import Row
from bot.ports import free_port

CONNECTIONS = 64
PATIENTS = 2000
ROUNDS = 3
SECONDS = 3.0
STEADY_RATE = 300.0
STEADY_SECONDS = 10.0


class NotStored(AssertionError):
    """A server acknowledged what is not in its table: its figure means nothing."""


@dataclass
class _Contender:
    name: str
    port: int
    table: str
    most: int
    pid: int
    cpu: list[float] = field(default_factory=list)
    rounds: list[Heard] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(one.per_second for one in self.rounds)

    @property
    def best(self) -> float:
        """What it did when least was going on beside it."""
        return max(one.per_second for one in self.rounds)

    @property
    def p99(self) -> float:
        return statistics.median(one.p99 for one in self.rounds)


@asynccontextmanager
async def _contenders(servers: Servers, account: pushes.Account) -> AsyncIterator[dict[str, _Contender]]:
    """Everybody who takes part, up and listening."""
    async with contextlib.AsyncExitStack() as stack:
        there: dict[str, _Contender] = {}

        async def enter(name: str, table: str, most: int, command: list[str], **more: str) -> None:
            port = free_port()
            environment = {
                **account.environment(),
                "DATABASE_URL": servers.database_url,
                "DATA_KEY": servers.data_key,
                "PORT": str(port),
                **more,
            }
            filled = [part.replace("PORT", str(port)) for part in command]
            pid = await stack.enter_async_context(child(filled, environment, port=port))
            there[name] = _Contender(name, port, table, most, pid)

        own = [sys.executable, "-m", "bench.own.intake"]
        gunicorn = [
            sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:PORT", "--workers", "1", "--log-level", "error",
            "--backlog", "512", "bench.peers.flask_intake:app",
        ]  # fmt: skip
        await enter("ours", "message", 5000, own)
        await enter("ours with triage", "message", 3000, own, TRIAGE="1")
        await enter("flask sync", "bench_flask", 1500, gunicorn)
        threads = [*gunicorn, "--worker-class", "gthread", "--threads", "8", "--keep-alive", "30"]
        await enter("flask 8 threads", "bench_flask", 3000, threads)
        await enter("raw insert", "bench_raw", 5000, [sys.executable, "-m", "bench.peers.raw_insert"])
        yield there


async def _round(one: _Contender, servers: Servers, account: pushes.Account, scratch: Path) -> Heard:
    prepared = pushes.burst(account, int(one.most * SECONDS), patients=PATIENTS)
    before = await servers.count(one.table)
    worked = cpu_seconds(one.pid)
    heard = await load(prepared, scratch, port=one.port, connections=CONNECTIONS, seconds=SECONDS)
    one.cpu.append(1000 * (cpu_seconds(one.pid) - worked) / max(1, heard.answered))
    stored = await servers.count(one.table) - before
    if heard.failed or stored != heard.answered:
        raise NotStored(f"{one.name}: {heard.answered} acknowledged, {stored} stored, {heard.failed} failed")
    return heard


async def measure(scratch: Path, say: Callable[[str], None]) -> list[Row]:
    """Run the workload and return its rows."""
    account = pushes.Account()
    async with migrated(scratch) as servers:
        await _peer_tables(servers)
        await some_consent(servers, pushes.openids(PATIENTS))
        async with _contenders(servers, account) as there:
            for one in there.values():
                await load(
                    pushes.burst(account, PATIENTS, patients=PATIENTS),
                    scratch, port=one.port, connections=CONNECTIONS, seconds=SECONDS,
                )  # fmt: skip
            for number in range(ROUNDS):
                for one in there.values():
                    heard = await _round(one, servers, account, scratch)
                    one.rounds.append(heard)
                    say(f"round {number + 1}  {one.name:18}{heard.per_second:7.0f}/s  p99 {heard.p99:6.1f} ms")
            steady = await _steady(there["ours"], account, scratch)
            with_triage = await _steady(there["ours with triage"], account, scratch)
    return _rows(there, steady, with_triage)


async def _steady(one: _Contender, account: pushes.Account, scratch: Path) -> Heard:
    """Open loop: WeChat does not wait for us."""
    prepared = pushes.burst(account, int(STEADY_RATE * STEADY_SECONDS), patients=PATIENTS)
    return await load(prepared, scratch, port=one.port, rate=STEADY_RATE, seconds=STEADY_SECONDS)


async def _peer_tables(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute(
        "create table bench_raw (id bigint generated always as identity primary key, body bytea);"
        "create table bench_flask (msg_id text primary key, openid text, kind text, content text, sent_at timestamp)"
    )
    await connection.close()


def _rows(there: dict[str, _Contender], steady: Heard, with_triage: Heard) -> list[Row]:
    ours, sync, threaded, raw = (there[name] for name in ("ours", "flask sync", "flask 8 threads", "raw insert"))
    triaged = there["ours with triage"]
    against_sync, against_threads = ours.rate / sync.rate, ours.rate / threaded.rate
    return [
        Row(
            "intake, beside wechatpy + Flask, gunicorn sync", "messages/s", ours.rate, sync.rate, raw.rate,
            against_sync, "≥ 7 × peer", against_sync >= 7,
        ),
        Row(
            "intake, beside wechatpy + Flask, 8 threads", "messages/s", ours.rate, threaded.rate, raw.rate,
            against_threads, "≥ 2.5 × peer", against_threads >= 2.5,
        ),
        Row(
            "intake, beside a bare raw insert", "messages/s", ours.rate, None, raw.rate,
            ours.rate / raw.rate, "≥ limit", ours.rate >= raw.rate,
            note="best rounds: " + ", ".join(f"{one.name} {one.best:.0f}" for one in there.values()),
        ),
        Row(
            f"intake p99 in a burst, {CONNECTIONS} connections", "ms", ours.p99, threaded.p99, raw.p99,
            threaded.p99 / ours.p99, note=f"sync peer {sync.p99:.0f} ms",
        ),
        Row(
            "intake p99 at 300/s, open loop", "ms", steady.p99, goal="< 100 ms",
            reached=steady.p99 < 100 and not steady.failed,
        ),
        Row(
            "intake, processor time a message in the server's process", "ms",
            statistics.median(ours.cpu), statistics.median(threaded.cpu), statistics.median(raw.cpu),
            statistics.median(threaded.cpu) / statistics.median(ours.cpu),
            note=f"sync peer {statistics.median(sync.cpu):.2f}, ours with triage {statistics.median(triaged.cpu):.2f}",
        ),
        Row(
            "storing with triage", "messages/s", triaged.rate, goal="≥ 300/s", reached=triaged.rate >= 300,
            note=f"p99 at 300/s: {with_triage.p99:.0f} ms",
        ),
    ]  # fmt: skip
