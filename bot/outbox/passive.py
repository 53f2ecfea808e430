"""Passive replies: the answer carried by the request that brought the question.

A row is claimed before it is written into the response and confirmed once the response is flushed. A claim whose process
died becomes an active message; a retry of WeChat with the same id gets the stored reply again.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from sqlalchemy import bindparam, exists, or_, select, text, update
from sqlalchemy.orm import aliased

from bot import clock, killpoints
from bot.outbox.rows import ON_THE_WAY, READY, Outbox, State, content_of
from bot.store.accounts import Account
from bot.store.channel import Channel
from bot.store.database import Database
from bot.store.together import Together

_RE_READ = 0.2
_CARRIED = (State.PENDING, State.PASSIVE_CLAIMED, State.SENT_PASSIVE)


_earlier = aliased(Outbox)
# Answers come in their order. What is urgent waits for nothing, and nothing waits for a row that WeChat would not take:
# this way works also when active messages do not.
_BEHIND = exists().where(
    _earlier.account_id == Outbox.account_id,
    _earlier.seq < Outbox.seq,
    _earlier.state.in_(ON_THE_WAY),
    or_(_earlier.state != State.PENDING, _earlier.attempts == 0),
)
_IN_TURN = (
    select(Outbox)
    .where(
        Outbox.passive_for == bindparam("message"),
        Outbox.state.in_(_CARRIED),
        or_(Outbox.urgent, Outbox.state != State.PENDING, ~_BEHIND),
    )
    .order_by(Outbox.urgent.desc(), Outbox.seq)
    .limit(1)
    .with_for_update(of=Outbox)
)
_THERE = text("""
select passive_for from outbox
where passive_for = any(cast(:messages as uuid[])) and state in ('pending', 'passive_claimed', 'sent_passive')
""")


class Owed(IntEnum):
    """Whether a row is there for a message, in its turn or not."""

    NOTHING = 0
    SOMETHING = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """A claimed reply. `flushed` is called once it has left for WeChat."""

    text: str
    _row: uuid.UUID
    _database: Database

    async def flushed(self) -> None:
        """The response is out: the row has reached its end."""
        killpoints.reached("reply.flushed")
        statement = update(Outbox).where(Outbox.id == self._row, Outbox.state == State.PASSIVE_CLAIMED)
        async with self._database.connection() as connection:
            await connection.execute(statement.values(state=State.SENT_PASSIVE, sent_at=clock.now()))


class PassiveReplies:
    """Lets an open request wait for the row that answers its message."""

    def __init__(self, database: Database, process_id: uuid.UUID) -> None:
        self._database = database
        self._process_id = process_id
        self._waiting: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        # Hundreds of requests may wait at once; they look together.
        self._there: Together[uuid.UUID, Owed] = Together(self._look, name="replies", most=500)

    async def follow(self, channel: Channel) -> None:
        """Hear of rows written by other processes, and by this one."""
        await channel.listen(READY, self.ready)

    def ready(self, message_id: str) -> None:
        """A row for this message is committed."""
        for event in self._waiting.get(message_id, ()):
            event.set()

    async def wait(
        self, message_id: uuid.UUID, *, until: datetime, settled: Callable[[], Awaitable[bool]]
    ) -> Reply | None:
        """The reply, claimed, or None when none is there at `until` (real time).

        `settled` tells that the message is done with, so that waiting longer is useless.
        """
        event = asyncio.Event()
        key = str(message_id)
        self._waiting[key].append(event)
        try:
            while True:
                event.clear()
                there = await self._there(message_id)
                if there is not Owed.NOTHING and (reply := await self.claim(message_id)) is not None:
                    killpoints.reached("reply.claimed")
                    return reply
                left = (until - clock.real_now()).total_seconds()
                if left <= 0 or (there is Owed.NOTHING and await settled() and not await self._there(message_id)):
                    return None
                try:
                    # Notifications can be lost with their connection, hence the re-reading beside them.
                    async with asyncio.timeout(min(_RE_READ, left)):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiting[key].remove(event)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _look(self, messages: Sequence[uuid.UUID]) -> list[Owed]:
        """What is there for each of the messages that requests wait for, in one way to the database."""
        async with self._database.connection() as connection:
            found = {row.passive_for for row in await connection.execute(_THERE, {"messages": list(messages)})}
        return [Owed.SOMETHING if message in found else Owed.NOTHING for message in messages]

    async def claim(self, message_id: uuid.UUID) -> Reply | None:
        """Claim the row that answers this message, or read again what was claimed for it before."""
        async with self._database.transaction() as session:
            row = await session.scalar(_IN_TURN, {"message": message_id})
            if row is None:
                return None
            account = await session.get_one(Account, row.account_id)
            if row.state is not State.SENT_PASSIVE:
                row.state, row.claimed_at, row.claimed_by = State.PASSIVE_CLAIMED, clock.real_now(), self._process_id
            return Reply(content_of(row, account, session).text, row.id, self._database)


async def release_dead_claims(database: Database, *, older_than: timedelta = timedelta(seconds=15)) -> int:
    """Claims whose response was never confirmed: their process died; they go out as active messages."""
    statement = update(Outbox).where(
        Outbox.state == State.PASSIVE_CLAIMED, Outbox.claimed_at < clock.real_now() - older_than
    )
    async with database.connection() as connection:
        result = await connection.execute(statement.values(state=State.PENDING, passive_for=None, not_before=None))
        return result.rowcount
