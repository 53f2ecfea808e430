"""Sends what is owed, in order for each receiver, and leaves every row in a named state.

How WeChat is spoken to is not known here: a `Transport` is handed in. A row is claimed (`sending`) and committed before
anything leaves, so that a process killed while sending leaves a row that says "maybe", never one that is sent twice.
"""

import asyncio
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from bot import clock, killpoints
from bot.logs import place
from bot.outbox.rows import Content, Kind, Outbox, State, content_of, sent_lately
from bot.store.accounts import Account
from bot.store.database import Database, vault_of
from bot.store.vault import Unreadable

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 8
_DEAD_CLAIM = timedelta(seconds=45)
_AT_ONCE = 200  # receivers being sent to; more means that WeChat does not answer
_TEMPLATE_FIRST = (Kind.ALERT, Kind.INVITATION)
_BY_TEXT = "by_text"

ended = Counter("itp_outbox_ended_total", "Outbox rows that reached a state", ["kind", "state"])
rows = Gauge("itp_outbox_rows", "Outbox rows by state", ["state"])

_CLAIM = text("""
update outbox set state = 'sending', claimed_at = :now, claimed_by = :process, attempts = attempts + 1, sent_at = :sent
where id in (
    select o.id from outbox o
    where o.state = 'pending' and (o.not_before is null or o.not_before <= :now)
      and not exists (
          select 1 from outbox p
          where p.account_id = o.account_id and p.seq < o.seq
            -- what is urgent waits only for what is urgent and already on its way
            and case when o.urgent then p.urgent and p.state = 'sending'
                     else p.state in ('pending', 'passive_claimed', 'sending') end)
    order by o.urgent desc, o.seq limit :batch for update skip locked
) returning id, account_id, urgent, seq
""")


class Result(StrEnum):
    """What became of one attempt to deliver, as the transport reports it."""

    SENT = "sent"
    MAYBE = "maybe"
    WINDOW_CLOSED = "window_closed"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    LATER = "later"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom to send to, what they did lately, and when active messages were sent to them since."""

    openid: str
    wrote_at: datetime | None
    tapped_at: datetime | None
    sent: list[datetime]
    by_doctor: bool


class Transport(Protocol):
    """The way to WeChat and to the gateway for alerts."""

    def has_template(self, kind: str) -> bool:
        """Whether a template is configured for this kind of row."""

    def window_open(self, receiver: Receiver, now: datetime) -> bool:
        """Whether an active message may be sent now."""

    async def send_text(self, receiver: Receiver, content: str, link: str | None) -> str:
        """An active message; returns a `Result`'s word, as do the others."""

    async def send_template(
        self, receiver: Receiver, kind: str, fields: dict[str, str], link: str, key: str
    ) -> tuple[str, str | None]:
        """A template message; `key` makes a repetition harmless. Refused when no template is configured.

        Returns the word and WeChat's id of the message.
        """

    async def send_alert(self, fields: dict[str, str], link: str | None, key: str) -> str:
        """An alert through the SMS or voice gateway."""


class Sender:
    """Delivers outbox rows."""

    def __init__(self, database: Database, transport: Transport, process_id: uuid.UUID, *, batch: int = 20) -> None:
        self._database = database
        self._transport = transport
        self._process_id = process_id
        self._batch = batch
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._finishing = False

    def wake(self) -> None:
        """Something was owed."""
        self._wake.set()

    async def run(self, *, every: float = 1.0) -> None:
        """Send until told to finish. A call that hangs holds up its own receiver alone."""
        while not self._finishing:
            self._wake.clear()
            try:
                while len(self._under_way) < _AT_ONCE and await self._take():
                    pass
            except Exception as error:
                log.error("sender.failed", error=place(error))
            try:
                async with asyncio.timeout(every):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def finish(self) -> None:
        """Claim nothing more, and wait for what is on its way: a row left in the middle would be one in doubt."""
        self._finishing = True
        self.wake()
        async with self._claiming:
            pass
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def send_due(self) -> int:
        """Claim what is due and deliver it. Returns how many receivers it was for."""
        begun = await self._take()
        await asyncio.gather(*begun)
        return len(begun)

    async def _take(self) -> list[asyncio.Task[None]]:
        """Claim what is due and begin to deliver it, to each receiver in order."""
        async with self._claiming:
            return [] if self._finishing else await self._take_batch()

    async def _take_batch(self) -> list[asyncio.Task[None]]:
        values = {"now": clock.real_now(), "sent": clock.now(), "process": self._process_id, "batch": self._batch}
        async with self._database.single() as connection:
            claimed = sorted(await connection.execute(_CLAIM, values), key=lambda row: (not row.urgent, row.seq))
        of_receiver: defaultdict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
        for row in claimed:
            of_receiver[row.account_id or row.id].append(row.id)
        return [self._begin(row_ids) for row_ids in of_receiver.values()]

    def _begin(self, row_ids: list[uuid.UUID]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deliver_in_order(row_ids), name="delivery")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sender.failed", error=place(error))
        # What this receiver is owed besides waited for it.
        self.wake()

    async def _deliver_in_order(self, row_ids: list[uuid.UUID]) -> None:
        for row_id in row_ids:
            await self._deliver(row_id)

    async def _deliver(self, row_id: uuid.UUID) -> None:
        killpoints.reached("row.claimed")
        async with self._database.reading() as session:
            row = await session.get_one(Outbox, row_id)
            account = await session.get(Account, row.account_id) if row.account_id else None
            try:
                content = content_of(row, account, session)
                receiver = None
                if account is not None:
                    receiver = await _receiver(session, account, but=row.id, by_doctor=row.kind is Kind.DOCTOR_ANSWER)
            except Unreadable:
                # The key was destroyed with the account's data: nobody can read it any more, nor need they.
                await self._conclude(row, State.FAILED, "unreadable")
                return
            following = account is None or account.following
        with bound_contextvars(trace_id=row.trace_id):
            try:
                state, reason = await self._attempt(row, receiver, content, following=following)
            except Exception as error:
                log.error("sender.attempt_failed", error=place(error), kind=row.kind)
                state = State.PENDING if self._repeatable(row) else State.MAYBE_SENT
                reason = type(error).__name__
            killpoints.reached("row.sent")
            await self._conclude(row, state, reason)

    def _repeatable(self, row: Outbox) -> bool:
        """Whether what is under way carries a key that makes a second one harmless."""
        by_template = row.kind in _TEMPLATE_FIRST and self._transport.has_template(row.kind) and row.reason != _BY_TEXT
        return by_template or row.kind is Kind.GATEWAY

    async def _attempt(
        self, row: Outbox, receiver: Receiver | None, content: Content, *, following: bool
    ) -> tuple[State, str | None]:
        key = str(row.id)
        if receiver is None:
            result = Result(await self._transport.send_alert(content.fields or {}, row.link, key))
            return _ending(result, State.SENT_ACTIVE)
        if not following:
            return State.FAILED, "not_following"
        template_first = row.kind in _TEMPLATE_FIRST
        if template_first and (ending := await self._by_template(row, receiver, content)) is not None:
            return ending
        if self._transport.window_open(receiver, clock.now()):
            if template_first:
                await self._now_by_text(row)
            result = Result(await self._transport.send_text(receiver, content.text, row.link))
            if result is not Result.WINDOW_CLOSED:
                return _ending(result, State.SENT_ACTIVE)
        if not template_first and (ending := await self._by_template(row, receiver, content)) is not None:
            return ending
        return State.PARKED, "window_closed"

    async def _by_template(self, row: Outbox, receiver: Receiver, content: Content) -> tuple[State, str | None] | None:
        """The ending of a template attempt, or None when there is no template for this row."""
        if not content.fields or not row.link:
            return None
        word, template_msg_id = await self._transport.send_template(
            receiver, row.kind, content.fields, row.link, str(row.id)
        )
        if (result := Result(word)) is Result.REFUSED:
            return None
        if template_msg_id is not None:
            async with self._database.connection() as connection:
                statement = update(Outbox).where(Outbox.id == row.id)
                await connection.execute(statement.values(template_msg_id=template_msg_id))
        return _ending(result, State.SENT_TEMPLATE)

    async def _now_by_text(self, row: Outbox) -> None:
        row.reason = _BY_TEXT
        async with self._database.connection() as connection:
            await connection.execute(update(Outbox).where(Outbox.id == row.id).values(reason=_BY_TEXT))

    async def _conclude(self, row: Outbox, state: State, reason: str | None) -> None:
        async with self._database.transaction() as session:
            current = await session.get_one(Outbox, row.id, with_for_update=True)
            if state is State.PENDING and current.attempts >= MAX_ATTEMPTS:
                state, reason = State.FAILED, reason or "tried_in_vain"
            current.state, current.reason = state, reason
            if state in (State.SENT_ACTIVE, State.SENT_TEMPLATE, State.MAYBE_SENT):
                current.sent_at = clock.now()
            else:
                current.sent_at = None
            if state is State.PENDING:
                current.not_before = clock.real_now() + timedelta(seconds=min(2**current.attempts, 60))
            if reason == "unreachable" and row.account_id is not None:
                account = await session.get_one(Account, row.account_id)
                account.unreachable_since = account.unreachable_since or clock.now()
        if state is not State.PENDING:
            ended.labels(row.kind, state).inc()
            log.info("outbox.ended", row=str(row.id), kind=row.kind, state=state, reason=reason)

    async def recover(self) -> None:
        """Rows whose process died while sending.

        A template has a key that makes repeating it harmless; a text has none, so it is left as `maybe_sent`.
        """
        dead = (Outbox.state == State.SENDING, Outbox.claimed_at < clock.real_now() - _DEAD_CLAIM)
        async with self._database.connection() as connection:
            first_by_template = [kind for kind in _TEMPLATE_FIRST if self._transport.has_template(kind)]
            by_text = Outbox.reason.is_not_distinct_from(_BY_TEXT)
            repeatable = Outbox.kind.in_([*first_by_template, Kind.GATEWAY]) & ~by_text
            await connection.execute(update(Outbox).where(*dead, repeatable).values(state=State.PENDING))
            await connection.execute(
                update(Outbox).where(*dead).values(state=State.MAYBE_SENT, reason="process_died", sent_at=clock.now())
            )

    async def may_write(self, session: AsyncSession, account: Account) -> bool:
        """Whether the assistant may write to this account now, the doctor's reserve kept."""
        if not account.following or account.unreachable_since is not None:
            return False
        receiver = await _receiver(session, account, but=None, by_doctor=False)
        return self._transport.window_open(receiver, clock.now())

    async def measure(self) -> None:
        """Set the gauges."""
        counts = select(Outbox.state, func.count()).group_by(Outbox.state)
        async with self._database.reading() as session:
            found = {row[0]: row[1] for row in await session.execute(counts)}
        for state in State:
            rows.labels(state).set(found.get(state, 0))


async def _receiver(session: AsyncSession, account: Account, *, but: uuid.UUID | None, by_doctor: bool) -> Receiver:
    sent = await sent_lately(session, account.id, but=but)
    openid = account.openid(vault_of(session))
    return Receiver(openid, account.wrote_at, account.tapped_at, sent, by_doctor)


def _ending(result: Result, sent: State) -> tuple[State, str | None]:
    match result:
        case Result.SENT:
            return sent, None
        case Result.MAYBE:
            return State.MAYBE_SENT, "no_answer"
        case Result.WINDOW_CLOSED:
            return State.PARKED, "window_closed"
        case Result.LATER | Result.MISCONFIGURED:
            return State.PENDING, result.value
        case Result.UNREACHABLE | Result.REFUSED:
            return State.FAILED, result.value
