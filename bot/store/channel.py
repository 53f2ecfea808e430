"""One connection a process keeps for itself: it hears notifications and holds the lanes it works on.

A lane is a session-level advisory lock: PostgreSQL frees it the instant the process that holds it dies, so nobody waits
for a lease to run out. When this connection breaks, every lane held through it is lost at once and `lost` is set; work
under way then fails at its commit, because each effect checks that its message is still to be done. (A pooler in
transaction mode must not stand between: docs/operations.md.)
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from bot.logs import place

log = structlog.get_logger(__name__)

Heard = Callable[[str], None]


def _lock_number(lane: uuid.UUID) -> int:
    return int.from_bytes(lane.bytes[-8:], "big", signed=True)


class Channel:
    """LISTEN/NOTIFY and advisory locks on a connection of their own, re-made when it breaks."""

    def __init__(self, address: str) -> None:
        self._address = make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: asyncpg.Connection[Any] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._listeners: defaultdict[str, list[Heard]] = defaultdict(list)
        self._held: set[uuid.UUID] = set()

    async def open(self) -> None:
        """Connect and take up all subscriptions again."""
        self._held.clear()
        self._connection = await asyncpg.connect(self._address)
        for topic in self._listeners:
            await self._connection.add_listener(topic, self._on_notify)

    async def close(self) -> None:
        """Let go of all lanes and of the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _live(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            log.warning("channel.reopened")
            await self.open()
        assert self._connection is not None
        return self._connection

    async def listen(self, topic: str, heard: Heard) -> None:
        """Call `heard(payload)` for each notification of this topic from now on."""
        async with self._one_at_a_time:
            first = not self._listeners[topic]
            self._listeners[topic].append(heard)
            if first:
                await (await self._live()).add_listener(topic, self._on_notify)

    def unlisten(self, topic: str, heard: Heard) -> None:
        """Stop calling `heard`. The subscription itself stays; it is cheap."""
        self._listeners[topic].remove(heard)

    def _on_notify(self, _connection: Any, _pid: int, topic: str, payload: object) -> None:
        for heard in list(self._listeners[topic]):
            heard(str(payload))

    async def notify(self, topic: str, payload: str) -> None:
        """Tell every process, outside of any transaction."""
        async with self._one_at_a_time:
            await (await self._live()).execute("select pg_notify($1, $2)", topic, payload)

    async def take(self, lane: uuid.UUID) -> bool:
        """Take a lane unless somebody, here or in another process, has it."""
        async with self._one_at_a_time:
            connection = await self._live()
            if lane in self._held:
                return False
            taken = await connection.fetchval("select pg_try_advisory_lock($1)", _lock_number(lane))
            if taken:
                self._held.add(lane)
            return bool(taken)

    async def give_back(self, lane: uuid.UUID) -> None:
        """Let others have the lane."""
        async with self._one_at_a_time:
            if lane in self._held:
                self._held.discard(lane)
                if self._connection is not None and not self._connection.is_closed():
                    await self._connection.execute("select pg_advisory_unlock($1)", _lock_number(lane))

    def holds(self, lane: uuid.UUID) -> bool:
        """Whether the lane is still ours: false once the connection it was taken through broke."""
        return lane in self._held and self._connection is not None and not self._connection.is_closed()

    async def tend(self, every: float = 2.0) -> None:
        """Reopen the connection whenever it broke, until cancelled, so that no notification is missed for long."""
        while True:
            await asyncio.sleep(every)
            try:
                async with self._one_at_a_time:
                    await (await self._live()).fetchval("select 1")
            except Exception as error:  # whatever it is, the next look may succeed, and nobody else looks
                log.warning("channel.broken", error=place(error))
