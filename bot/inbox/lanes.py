"""Lanes: one message of an account at a time, in order, across all processes.

Whoever takes the lane (an advisory lock that dies with its process) works until nothing of the account is waiting. What a
message means is not known here: `Steps` is handed in by `server.py`. A message is tried three times within two minutes,
then goes to a human; it never blocks those behind it for longer.
"""

import asyncio
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import bindparam, func, or_, select, text, update
from structlog.contextvars import bound_contextvars

from bot import clock, killpoints
from bot.inbox.messages import Message, Stage, recent_number
from bot.logs import place
from bot.store.channel import Channel
from bot.store.database import Database

log = structlog.get_logger(__name__)

WAITING = (Stage.UNTRIAGED, Stage.QUEUED)
MAX_ATTEMPTS = 3
GIVE_UP_AFTER = timedelta(minutes=2)
STALE_AFTER = timedelta(minutes=10)
FLOOD = 20
FLOOD_WINDOW = timedelta(minutes=5)
FLOOD_PAUSE = timedelta(minutes=1)
_TOGETHER = 50
# The second try may still make the open request; the third comes when an engine that started anew is up again.
_BACK_OFF = (timedelta(seconds=1), timedelta(seconds=30))

depth = Gauge("itp_lane_waiting_messages", "Messages not yet done with")
working = Gauge("itp_lanes_working", "Lanes this process works on")
outcomes = Counter("itp_messages_total", "Messages done with, by outcome", ["outcome"])
tries = Counter("itp_message_tries_failed_total", "Tries of a message that failed", ["error"])
in_lane = Histogram("itp_message_lane_seconds", "From taking up a message in its lane to being done with it")

_WAITING = (
    select(Message, recent_number(bindparam("account"), bindparam("since")).label("recent"))
    .where(Message.account_id == bindparam("account"), Message.stage.in_(WAITING))
    .order_by(Message.seq)
    .limit(_TOGETHER)
)
_TRIED = text("""
update message set attempts = attempts + 1, first_tried_at = coalesce(first_tried_at, :now), next_try_at = :next_try_at
where id = any(cast(:ids as uuid[])) and received_at = any(cast(:received as timestamptz[]))
""")


class Steps(Protocol):
    """What happens to a message. Each step commits its own effects and is safe to repeat."""

    async def triage(self, message: Message) -> None:
        """Judge a message that is still untriaged; afterwards it is queued or done."""

    async def converse(self, messages: Sequence[Message]) -> None:
        """Deal with queued messages as one turn (several only when they are to be answered together)."""

    async def hand_to_human(self, messages: Sequence[Message], *, why: str) -> None:
        """Open a consultation with these messages and tell the patient; they are then done with."""


@dataclass(frozen=True, slots=True)
class _Work:
    untriaged: Sequence[Message]
    turn: Sequence[Message]
    why_human: str | None


class Lanes:
    """Works on the lanes of accounts that have something waiting."""

    def __init__(self, database: Database, channel: Channel, steps: Steps, *, at_once: int = 8) -> None:
        self._database = database
        self._channel = channel
        self._steps = steps
        self._running: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._again: set[uuid.UUID] = set()
        self._room = asyncio.Semaphore(at_once)
        self._open = True

    def wake(self, account_id: uuid.UUID) -> None:
        """Something of this account is waiting: take its lane unless somebody has it."""
        if not self._open:
            return
        if account_id in self._running:
            self._again.add(account_id)
            return
        task = asyncio.create_task(self._work(account_id), name="lane")
        self._running[account_id] = task
        task.add_done_callback(lambda _: self._ended(account_id))

    def _ended(self, account_id: uuid.UUID) -> None:
        self._running.pop(account_id, None)
        if account_id in self._again:
            self._again.discard(account_id)
            self.wake(account_id)

    async def sweep(self) -> None:
        """Take up what nobody works on: after a crash, after a pause, or because another process lost its lane."""
        now = clock.now()
        due = or_(Message.next_try_at.is_(None), Message.next_try_at <= now)
        statement = select(Message.account_id).where(Message.stage.in_(WAITING), due).distinct().limit(500)
        async with self._database.reading() as session:
            accounts = list(await session.scalars(statement))
            depth.set(await session.scalar(select(func.count()).where(Message.stage.in_(WAITING))) or 0)
        for account_id in accounts:
            self.wake(account_id)

    async def resume(self) -> None:
        """What messages waited for is there again (the engine): nobody waits for the pause before the next try to end."""
        waiting = (Message.stage == Stage.QUEUED, Message.attempts < MAX_ATTEMPTS, Message.next_try_at > clock.now())
        async with self._database.connection() as connection:
            await connection.execute(update(Message).where(*waiting).values(next_try_at=None))
        await self.sweep()

    async def drain(self) -> None:
        """Finish the turns under way and start no more."""
        self._open = False
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=30)

    async def _work(self, account_id: uuid.UUID) -> None:
        async with self._room:
            try:
                if await self._channel.take(account_id):
                    await self._work_on(account_id)
            except Exception as error:
                # The messages stay where they were; the sweep comes back for them.
                log.error("lane.stopped", error=place(error))
                tries.labels(type(error).__name__).inc()

    async def _work_on(self, account_id: uuid.UUID) -> None:
        with working.track_inprogress():
            try:
                while self._channel.holds(account_id) and await self._step(account_id):
                    pass
            finally:
                await self._channel.give_back(account_id)

    async def _step(self, account_id: uuid.UUID) -> bool:
        work = await self._next(account_id)
        for message in work.untriaged:
            with bound_contextvars(trace_id=message.trace_id):
                await self._steps.triage(message)
        if work.untriaged:
            return True
        if not work.turn:
            return False
        with bound_contextvars(trace_id=work.turn[-1].trace_id), in_lane.time():
            if work.why_human is not None:
                await self._steps.hand_to_human(work.turn, why=work.why_human)
                outcomes.labels("handed_to_human").inc(len(work.turn))
                return True
            return await self._try(work.turn)

    async def _try(self, turn: Sequence[Message]) -> bool:
        await self._note_attempt(turn)
        killpoints.reached("lane.taken")
        try:
            await self._steps.converse(turn)
        except Exception as error:
            log.warning("lane.try_failed", error=place(error), attempts=turn[0].attempts + 1)
            tries.labels(type(error).__name__).inc()
            # Leave the lane for the pause; the sweep or the next message takes it up again.
            return False
        outcomes.labels("conversed").inc(len(turn))
        return True

    async def _note_attempt(self, turn: Sequence[Message]) -> None:
        """Count the try before it is made, so that a try which kills the process counts as well."""
        now = clock.now()
        made = turn[0].attempts
        pause = _BACK_OFF[made] if made < len(_BACK_OFF) else timedelta()
        tried = {
            "ids": [message.id for message in turn],
            "received": [message.received_at for message in turn],
            "now": now,
            "next_try_at": now + pause,
        }
        async with self._database.single() as connection:
            await connection.execute(_TRIED, tried)

    async def _next(self, account_id: uuid.UUID) -> _Work:
        now = clock.now()
        async with self._database.reading() as session:
            asked = {"account": account_id, "since": now - FLOOD_WINDOW}
            found = (await session.execute(_WAITING, asked)).all()
            waiting = [row.Message for row in found]
            untriaged = [message for message in waiting if message.stage is Stage.UNTRIAGED]
            if untriaged or not waiting:
                return _Work(untriaged, (), None)
            first = waiting[0]
            if first.attempts >= MAX_ATTEMPTS or (first.first_tried_at and now - first.first_tried_at > GIVE_UP_AFTER):
                return _Work((), _same_turn(waiting), "tried_in_vain")
            if first.next_try_at is not None and first.next_try_at > now:
                return _Work((), (), None)
            if first.first_tried_at is not None:
                return _Work((), _same_turn(waiting), None)
            if first.kind != "text":
                # Events and photos have an answer of their own; they are never words of a turn.
                return _Work((), [first], None)
            texts = list(itertools.takewhile(lambda message: message.kind == "text", waiting))
            if now - first.received_at > STALE_AFTER:
                old = [message for message in texts if now - message.received_at > STALE_AFTER]
                return _Work((), old, "backlog")
            if found[0].recent > FLOOD:
                if now - first.received_at < FLOOD_PAUSE:
                    return _Work((), (), None)
                return _Work((), texts, None)
            return _Work((), [first], None)


def _same_turn(waiting: Sequence[Message]) -> Sequence[Message]:
    """Those that were tried together with the first: a turn tried again is the same turn, though more has come."""
    began = waiting[0].first_tried_at
    return list(itertools.takewhile(lambda message: message.first_tried_at == began, waiting))
