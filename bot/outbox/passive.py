"""Passive replies: the answer carried by the request that brought the question.

A row is claimed before it is written into the response and confirmed once the response is flushed. A claim whose process
died becomes an active message; a retry of WeChat with the same id gets the stored reply again.
"""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text, update

from bot import clock, killpoints
from bot.outbox.rows import READY, Content, Outbox, State
from bot.store.channel import Channel
from bot.store.database import Database
from bot.store.together import Together

_RE_READ = 0.2


# Answers come in their order. What is urgent waits for nothing, and nothing waits for a row that WeChat would not take:
# this way works also when active messages do not.
_CLAIM = text("""
update outbox o set
    state = case when o.state = 'sent_passive' then o.state else 'passive_claimed' end,
    claimed_at = case when o.state = 'sent_passive' then o.claimed_at else :now end,
    claimed_by = case when o.state = 'sent_passive' then o.claimed_by else :process end
from account a
where a.id = o.account_id and o.id = (
    select mine.id from outbox mine
    where mine.passive_for = :message and mine.state in ('pending', 'passive_claimed', 'sent_passive')
      and (mine.urgent or mine.state <> 'pending' or not exists (
          select 1 from outbox earlier
          where earlier.account_id = mine.account_id and earlier.seq < mine.seq
            and earlier.state in ('pending', 'passive_claimed', 'sending')
            and (earlier.state <> 'pending' or earlier.attempts = 0)))
    order by mine.urgent desc, mine.seq limit 1 for update)
returning o.id, o.content_sealed, a.wrapped_key
""")
_THERE = text("""
select passive_for from outbox
where passive_for = any(cast(:messages as uuid[])) and state in ('pending', 'passive_claimed', 'sent_passive')
""")


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
        async with self._database.single() as connection:
            await connection.execute(statement.values(state=State.SENT_PASSIVE, sent_at=clock.now()))


class PassiveReplies:
    """Lets an open request wait for the row that answers its message."""

    def __init__(self, database: Database, process_id: uuid.UUID) -> None:
        self._database = database
        self._process_id = process_id
        self._waiting: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        # Hundreds of requests may wait at once; they look together.
        self._there: Together[uuid.UUID, bool] = Together(self._look, name="replies", most=500)

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
        told = looked = False
        try:
            while True:
                event.clear()
                there = told or await self._there(message_id)
                if there and (reply := await self.claim(message_id)) is not None:
                    killpoints.reached("reply.claimed")
                    return reply
                left = (until - clock.real_now()).total_seconds()
                if left <= 0:
                    return None
                # Just stored, it is not done with yet.
                if looked and not there and await settled() and not await self._there(message_id):
                    return None
                looked = True
                # Notifications can be lost with their connection, hence the re-reading beside them.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(_RE_READ, left)):
                        await event.wait()
                told = event.is_set()
        finally:
            self._waiting[key].remove(event)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _look(self, messages: Sequence[uuid.UUID]) -> list[bool]:
        """Whether a row is there, in its turn or not, for each of the messages that requests wait for."""
        async with self._database.single() as connection:
            found = {row.passive_for for row in await connection.execute(_THERE, {"messages": list(messages)})}
        return [message in found for message in messages]

    async def claim(self, message_id: uuid.UUID) -> Reply | None:
        """Claim the row that answers this message, or read again what was claimed for it before."""
        values = {"message": message_id, "now": clock.real_now(), "process": self._process_id}
        async with self._database.single() as connection:
            row = (await connection.execute(_CLAIM, values)).one_or_none()
        if row is None:
            return None
        key = self._database.vault.unwrap(row.wrapped_key, "account")
        content = Content.unpack(key.unseal(row.content_sealed, "outbox", "content", row.id))
        return Reply(content.text, row.id, self._database)


async def release_dead_claims(database: Database, *, older_than: timedelta = timedelta(seconds=15)) -> int:
    """Claims whose response was never confirmed: their process died; they go out as active messages."""
    statement = update(Outbox).where(
        Outbox.state == State.PASSIVE_CLAIMED, Outbox.claimed_at < clock.real_now() - older_than
    )
    async with database.connection() as connection:
        result = await connection.execute(statement.values(state=State.PENDING, passive_for=None, not_before=None))
        return result.rowcount
