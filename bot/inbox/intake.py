"""Intake: store what WeChat pushed, once, and commit before it is acknowledged.

Messages that arrive while a commit is under way share the next one. That makes a burst cheap and costs a lone message
nothing, because the first to arrive never waits.
"""

import asyncio
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import clock
from bot.inbox.messages import seal_body
from bot.logs import place
from bot.store.accounts import Account, blind_openid, new_row
from bot.store.base import new_id
from bot.store.database import Database

log = structlog.get_logger(__name__)

PASSIVE_SECONDS = 4.0
_BATCH = 100
_KNOWN_ACCOUNTS = 20_000

_STORE = text("""
with incoming as (
    select * from unnest(
        cast(:ids as uuid[]), cast(:accounts as uuid[]), cast(:msg_ids as text[]), cast(:kinds as text[]),
        cast(:events as text[]), cast(:bodies as bytea[]), cast(:traces as text[]), cast(:answerable as timestamptz[])
    ) with ordinality as t(id, account_id, msg_id, kind, event, body, trace_id, passive_until, n)
), fresh as (
    insert into received (account_id, msg_id, message_id, received_at)
    select account_id, msg_id, id, :now from incoming order by n
    on conflict do nothing returning message_id
), heard as (
    update account set
        wrote_at = case when i.wrote then :now else wrote_at end,
        tapped_at = case when i.tapped then :now else tapped_at end,
        following = case when i.left_us then false when i.wrote or i.followed then true else following end,
        unreachable_since = case when i.wrote or i.followed then null else unreachable_since end
    from (
        select account_id, bool_or(kind not in ('event', 'unknown') and event is distinct from 'menu_tap') as wrote,
               bool_or(coalesce(event, '') in ('click', 'subscribe', 'scan', 'scancode_push', 'scancode_waitmsg', 'menu_tap')) as tapped,
               bool_or(coalesce(event, '') = 'subscribe') as followed,
               bool_or(coalesce(event, '') = 'unsubscribe') as left_us
        from incoming where id in (select message_id from fresh) group by account_id
    ) i where account.id = i.account_id
)
insert into message (id, received_at, account_id, kind, event, body_sealed, trace_id, received_by, passive_until,
                     stage, attempts, flags)
select id, :now, account_id, kind, event, body, trace_id, :process, passive_until, 'untriaged', 0, '[]'
from incoming where id in (select message_id from fresh) order by n
returning id
""")

_SEEN = text("""
select r.account_id, r.msg_id, r.message_id, r.received_at from received r
join unnest(cast(:accounts as uuid[]), cast(:msg_ids as text[])) as t(account_id, msg_id)
  on r.account_id = t.account_id and r.msg_id = t.msg_id
""")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One push of WeChat, verified and parsed. `body` holds what its kind has: text, event_key, media_id, menu_id, …"""

    openid: str
    msg_id: str
    kind: str
    event: str | None
    body: dict[str, Any]
    trace_id: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an arrival is kept. `fresh` is false for a retry of WeChat, which names the first one's message."""

    message_id: uuid.UUID
    received_at: datetime
    account_id: uuid.UUID
    fresh: bool


class Intake:
    """Stores arrivals in shared commits."""

    def __init__(self, database: Database, process_id: uuid.UUID) -> None:
        self._database = database
        self._process_id = process_id
        self._waiting: list[tuple[Arrival, asyncio.Future[Stored]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._accounts: OrderedDict[bytes, Account] = OrderedDict()

    async def store(self, arrival: Arrival) -> Stored:
        """Return once the arrival is committed.

        Raises:
            Whatever the database raised: nothing was stored, WeChat must not get an acknowledgement.
        """
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="intake")
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            try:
                stored = await self._store_together([arrival for arrival, _ in batch])
            except Exception as error:  # each waiting request must learn of it, whatever it is
                if len(batch) > 1:
                    # One bad message, or two processes in each other's way, must not cost the others theirs.
                    log.warning("intake.alone", messages=len(batch), error=place(error))
                    for arrival, future in batch:
                        await self._alone(arrival, future)
                else:
                    _fail(batch[0][1], error)
                continue
            for (_, future), one in zip(batch, stored, strict=True):
                if not future.done():
                    future.set_result(one)

    async def _alone(self, arrival: Arrival, future: asyncio.Future[Stored]) -> None:
        try:
            [stored] = await self._store_together([arrival])
        except Exception as error:
            _fail(future, error)
        else:
            if not future.done():
                future.set_result(stored)

    async def _store_together(self, arrivals: list[Arrival]) -> list[Stored]:
        now = clock.now()
        answerable = clock.real_now() + timedelta(seconds=PASSIVE_SECONDS)
        met: dict[bytes, Account] = {}
        async with self._database.connection() as connection:
            accounts = [await self._account(connection, arrival.openid, now, met) for arrival in arrivals]
            ids = [new_id() for _ in arrivals]
            vault = self._database.vault
            values = {
                "ids": ids,
                "accounts": [account.id for account in accounts],
                "msg_ids": [arrival.msg_id for arrival in arrivals],
                "kinds": [arrival.kind for arrival in arrivals],
                "events": [arrival.event for arrival in arrivals],
                "bodies": [
                    seal_body(account, vault, message_id, arrival.body)
                    for arrival, account, message_id in zip(arrivals, accounts, ids, strict=True)
                ],
                "traces": [arrival.trace_id for arrival in arrivals],
                "answerable": [answerable] * len(arrivals),
                "now": now,
                "process": self._process_id,
            }
            fresh = {row.id for row in await connection.execute(_STORE, values)}
            seen: dict[tuple[uuid.UUID, str], tuple[uuid.UUID, datetime]] = {}
            if len(fresh) < len(arrivals):
                keys = {"accounts": values["accounts"], "msg_ids": values["msg_ids"]}
                rows = await connection.execute(_SEEN, keys)
                seen = {(row.account_id, row.msg_id): (row.message_id, row.received_at) for row in rows}
        self._remember(met)
        stored = []
        for arrival, account, message_id in zip(arrivals, accounts, ids, strict=True):
            first, at = (message_id, now) if message_id in fresh else seen[account.id, arrival.msg_id]
            stored.append(Stored(first, at, account.id, fresh=message_id in fresh))
        return stored

    async def _account(
        self, connection: AsyncConnection, openid: str, now: datetime, met: dict[bytes, Account]
    ) -> Account:
        """The account, from memory when it was met before; only id and key of it are used here."""
        vault = self._database.vault
        blind = blind_openid(vault, openid)
        if (known := self._accounts.get(blind) or met.get(blind)) is not None:
            return known
        columns = select(Account.id, Account.wrapped_key).where(Account.openid_blind == blind)
        row = (await connection.execute(columns)).one_or_none()
        if row is None:
            await connection.execute(insert(Account).values(new_row(vault, openid, now=now)).on_conflict_do_nothing())
            row = (await connection.execute(columns)).one()
        met[blind] = account = Account(id=row.id, wrapped_key=row.wrapped_key)
        return account

    def _remember(self, met: dict[bytes, Account]) -> None:
        """Keep accounts in memory only once the transaction that may have made them is committed."""
        self._accounts.update(met)
        while len(self._accounts) > _KNOWN_ACCOUNTS:
            self._accounts.popitem(last=False)

    def forget(self, account_id: uuid.UUID) -> None:
        """Drop an account from memory: its key was destroyed or re-wrapped."""
        self._accounts = OrderedDict((k, a) for k, a in self._accounts.items() if a.id != account_id)


def _fail(future: asyncio.Future[Stored], error: Exception) -> None:
    log.error("intake.failed", error=place(error))
    if not future.done():
        future.set_exception(error)
