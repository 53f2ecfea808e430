"""A patient's message to the stored answer, beside stock Rasa in turns; the rate at which either saturates.

Messages go in through the callback. How long an answer took is read from the rows: outbox `created_at` less message
`received_at`. The peer's time is its HTTP response's, from when the message was due. Each message is from somebody else.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncpg

from bench import pushes, stock
from bench.children import load
from bench.database import Servers
from bench.load import Heard, quantile
from bench.report import Row
from bench.stock import Say
from bot.demo.stage import App
from bot.settings import ROOT

ROUNDS = 3
# Messages a second: for how many seconds in each round.
QUIET = {1.0: 10.0, 10.0: 6.0}
HALF_SECONDS = 6.0
OVERLOAD, OVERLOAD_SECONDS = 50.0, 6.0
SATURATE_SECONDS, CONNECTIONS = 10.0, 24
# A peer that falls behind is waited for, so that its figure says by how much.
PEER_PATIENCE = 60.0
HISTORY_EVENTS, HISTORY_PATIENTS = 10_000, 5
ENGINE_PYTHON = ROOT / ".venv-engine" / "bin" / "python"
_SENDING_SECONDS = 10.0

_TOOK = """
select extract(epoch from o.created_at - m.received_at) * 1000 as ms, o.created_at
from message m join outbox o on o.passive_for = m.id or o.cause = 'message:' || m.id
where m.received_at >= $1 and o.kind = 'answer'
"""


class PeerFailed(AssertionError):
    """Stock Rasa answered with nothing: its figure means nothing."""


@dataclass(frozen=True)
class Answers:
    """The run: the service, where its rows are, and the peer's port when it takes part."""

    app: App
    account: pushes.Account
    servers: Servers
    scratch: Path
    say: Say
    stock_port: int | None = None

    async def quiet(self) -> list[Row]:
        """What either can take with ease."""
        await self._ours(5.0, 3.0, "Warm")
        rows = []
        for rate, seconds in QUIET.items():
            rows += await self._in_turns(rate, seconds)
        return rows

    async def saturation(self) -> tuple[float, float | None, list[Row]]:
        """The most that it and the peer answer in a second, then its times at half of that."""
        ours, peers = [], []
        for number in range(2):
            ours.append(await self.most(f"Sat{number}"))
            self.say(f"one engine saturates at {ours[-1]:.1f} answers/s")
            if self.stock_port is not None:
                peers.append(await self._stock_most(f"sat{number}"))
                self.say(f"stock Rasa saturates at {peers[-1]:.1f} answers/s")
        most, peer = max(ours), max(peers, default=None)
        rows = [
            Row(
                "answers/s at saturation, one engine", "answers/s", most, peer, ratio=most / peer if peer else None,
                goal="≥ 20/s an engine", reached=most >= 20, note=self._note("the better of two rounds"),
            )
        ]  # fmt: skip
        half = await self._in_turns(most / 2, HALF_SECONDS, f"half of saturation ({most / 2:.0f}/s)", with_peer=False)
        for row, (goal, limit) in zip(half, (("< 40 ms", 40), ("< 300 ms", 300)), strict=True):
            rows.append(Row(row.name, row.unit, row.ours, goal=goal, reached=row.ours < limit, note=row.note))
        return most, peer, rows

    async def overload(self, peer_most: float | None) -> list[Row]:
        """Fifty a second, whatever comes of it."""
        keeps_up = peer_most is not None and peer_most >= OVERLOAD
        if peer_most is not None and not keeps_up:
            self.say(f"stock Rasa does not keep up with {OVERLOAD:.0f}/s and is not asked to")
        return await self._in_turns(OVERLOAD, OVERLOAD_SECONDS, rounds=1, with_peer=keeps_up)

    async def most(self, group: str, *, seconds: float = SATURATE_SECONDS) -> float:
        """More than it can take, for a while: how many answers were stored in a second meanwhile."""
        number = int(80 * seconds)
        prepared = pushes.burst(self.account, number, patients=number, texts=pushes.QUESTIONS, group=group)
        since = await self._now()
        heard = await load(prepared, self.scratch, port=self.app.port, connections=CONNECTIONS, seconds=seconds)
        connection = await asyncpg.connect(self.servers.database_url)
        try:
            times = sorted(row["created_at"] for row in await connection.fetch(_TOOK, since))
        finally:
            await connection.close()
        await self._drained(since, heard.answered)
        span = (times[-1] - times[0]).total_seconds() if len(times) > 1 else float("inf")
        return (len(times) - 1) / span

    async def _stock_most(self, group: str) -> float:
        prepared = stock.requests(int(200 * SATURATE_SECONDS), pushes.QUESTIONS, group=group)
        heard = await load(
            prepared, self.scratch, port=self.stock_port, connections=CONNECTIONS, seconds=SATURATE_SECONDS,
            reply=stock.REPLY, patience=PEER_PATIENCE,
        )  # fmt: skip
        return _whole(heard).per_second

    async def _in_turns(
        self, rate: float, seconds: float, name: str = "", *, rounds: int = ROUNDS, with_peer: bool = True
    ) -> list[Row]:
        """Both at one rate, round by round; the median of the rounds' quantiles."""
        name = name or f"{rate:.0f}/s"
        ours, peer = _Rounds(), _Rounds()
        for number in range(rounds):
            took, heard = await self._ours(rate, seconds, f"R{rate:.0f}x{number}")
            ours.add(took, heard.answered + heard.failed - len(took))
            self.say(f"{name}, round {number + 1}: p50 {quantile(took, 0.5):.0f} ms, p99 {quantile(took, 0.99):.0f} ms")
            if self.stock_port is not None and with_peer:
                prepared = stock.requests(max(1, int(rate * seconds)), pushes.QUESTIONS, group=f"{name}-{number}")
                heard = await load(
                    prepared, self.scratch, port=self.stock_port, rate=rate, seconds=seconds,
                    reply=stock.REPLY, patience=PEER_PATIENCE,
                )  # fmt: skip
                _whole(heard)
                peer.p50.append(heard.p50)
                peer.p99.append(heard.p99)
                self.say(f"{name}, stock Rasa: p50 {heard.p50:.0f} ms, p99 {heard.p99:.0f} ms")
        missing = f"{ours.missing} not answered within a minute" if ours.missing > 0 else ""
        return [
            Row(
                f"message to stored answer at {name}, {share}", "ms", mine, theirs,
                ratio=theirs / mine if theirs and mine else None, note=self._note(missing),
            )
            for share, mine, theirs in (("p50", *_medians(ours.p50, peer.p50)), ("p99", *_medians(ours.p99, peer.p99)))
        ]  # fmt: skip

    def _note(self, said: str) -> str:
        return said if self.stock_port is not None else "; ".join(filter(None, (said, "stock Rasa: not run")))

    async def _ours(self, rate: float, seconds: float, group: str) -> tuple[list[float], Heard]:
        number = max(1, int(rate * seconds))
        prepared = pushes.burst(self.account, number, patients=number, texts=pushes.QUESTIONS, group=group)
        since = await self._now()
        heard = await load(prepared, self.scratch, port=self.app.port, rate=rate, seconds=seconds)
        return await self._drained(since, number), heard

    async def _now(self) -> datetime:
        connection = await asyncpg.connect(self.servers.database_url)
        try:
            moment: datetime = await connection.fetchval("select clock_timestamp()")
            return moment
        finally:
            await connection.close()

    async def _drained(self, since: datetime, number: int, *, within: float = 60.0) -> list[float]:
        """What was answered, once everything was and nothing is owed any more, or the time is up."""
        connection = await asyncpg.connect(self.servers.database_url)
        try:
            end = time.monotonic() + within
            while True:
                took = [float(row["ms"]) for row in await connection.fetch(_TOOK, since)]
                owed = await connection.fetchval(
                    "select count(*) from outbox where state in ('pending', 'passive_claimed', 'sending')"
                )
                left = end - time.monotonic()
                if left < 0 or (len(took) >= number and (not owed or left < within - _SENDING_SECONDS)):
                    return took
                await asyncio.sleep(0.5)
        finally:
            await connection.close()

    async def after_history(self, engine_key: str) -> list[Row]:
        """The same people again, each with ten thousand events behind them."""
        group = "Old"
        since = await self._now()
        await self._ours(5.0, HISTORY_PATIENTS / 5, group)
        connection = await asyncpg.connect(self.servers.database_url)
        # Words only: check-ins of the demo's own people come due meanwhile.
        conversations = await connection.fetch(
            "select a.conversation_id::text as id from account a join message m on m.account_id = a.id"
            " where m.received_at >= $1 and m.kind = 'text' group by a.id",
            since,
        )
        await connection.close()
        process = await asyncio.create_subprocess_exec(
            str(ENGINE_PYTHON), "-W", "ignore", "-m", "bench.own.history", str(HISTORY_EVENTS), cwd=ROOT,
            env={
                "ENGINE_DATA_KEY": engine_key, "DATABASE_URL": self.servers.database_url,
                "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
            },
            stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await process.communicate("".join(row["id"] + "\n" for row in conversations).encode())
        if process.returncode:
            raise RuntimeError("the history could not be written")
        number = HISTORY_PATIENTS * 6
        prepared = pushes.burst(self.account, number, patients=HISTORY_PATIENTS, texts=pushes.QUESTIONS, group=group)
        since = await self._now()
        await load(prepared, self.scratch, port=self.app.port, rate=2.0, seconds=number / 2.0)
        took = await self._drained(since, number)
        p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
        self.say(f"after {HISTORY_EVENTS} events of history, 2/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        note = f"{number - len(took)} not answered within a minute" if len(took) < number else ""
        name = f"message to stored answer after {HISTORY_EVENTS} events, 2/s"
        return [Row(f"{name}, p50", "ms", p50, note=note), Row(f"{name}, p99", "ms", p99)]


@dataclass
class _Rounds:
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    missing: int = 0

    def add(self, took: list[float], missing: int) -> None:
        self.p50.append(quantile(took, 0.5))
        self.p99.append(quantile(took, 0.99))
        self.missing += max(0, missing)


def _medians(ours: list[float], peer: list[float]) -> tuple[float, float | None]:
    return statistics.median(ours), statistics.median(peer) if peer else None


def _whole(heard: Heard) -> Heard:
    """Every 200 of the peer must have carried an answer: it says 200 with nothing when a turn failed."""
    if heard.failed or heard.replied != heard.answered:
        raise PeerFailed(f"{heard.answered} responses, {heard.replied} with an answer, {heard.failed} failed")
    return heard
