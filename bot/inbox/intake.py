"""Intake: store what WeChat pushed, once, and commit before it is acknowledged.

Messages that arrive while a commit is under way share the next one. That makes a burst cheap and costs a lone message
nothing, because the first to arrive never waits.
"""

import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import clock
from bot.inbox.messages import seal_body
from bot.store.accounts import Account, blind_openid, new_row
from bot.store.base import new_id
from bot.store.database import Database
from bot.store.together import Together

PASSIVE_SECONDS = 4.0
_BATCH = 100
_KNOWN_ACCOUNTS = 20_000

_STORE = """
with incoming as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[])
    with ordinality as t(id, account_id, msg_id, kind, event, body, trace_id, n)
), fresh as (
    insert into received (account_id, msg_id, message_id, received_at)
    select account_id, msg_id, id, $8::timestamptz from incoming order by n
    on conflict do nothing returning message_id
), heard as (
    update account set
        wrote_at = case when i.wrote then $8 else wrote_at end,
        tapped_at = case when i.tapped then $8 else tapped_at end,
        following = case when i.left_us then false when i.wrote or i.followed then true else following end,
        unreachable_since = case when i.wrote or i.followed then null else unreachable_since end
    from (
        select account_id, bool_or(kind not in ('event', 'unknown') and event is distinct from 'menu_tap') as wrote,
               bool_or(event in ('click', 'subscribe', 'scan', 'scancode_push', 'scancode_waitmsg', 'menu_tap')) as tapped,
               bool_or(coalesce(event, '') = 'subscribe') as followed,
               bool_or(coalesce(event, '') = 'unsubscribe') as left_us
        from incoming where id in (select message_id from fresh) group by account_id
    ) i where account.id = i.account_id
)
insert into message (id, received_at, account_id, kind, event, body_sealed, trace_id, received_by, passive_until,
                     stage, attempts, flags)
select id, $8, account_id, kind, event, body, trace_id, $9::uuid, $10::timestamptz, 'untriaged', 0, '[]'
from incoming where id in (select message_id from fresh) order by n
returning id
"""

_SEEN = """
select r.account_id, r.msg_id, r.message_id, r.received_at from received r
join unnest($1::uuid[], $2::text[]) as t(account_id, msg_id) on r.account_id = t.account_id and r.msg_id = t.msg_id
"""


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
        self._together: Together[Arrival, Stored] = Together(self._store_together, name="intake", most=_BATCH)
        self._accounts: OrderedDict[bytes, Account] = OrderedDict()

    async def store(self, arrival: Arrival) -> Stored:
        """Return once the arrival is committed.

        Raises:
            Whatever the database raised: nothing was stored, WeChat must not get an acknowledgement.
        """
        return await self._together(arrival)

    async def _store_together(self, arrivals: Sequence[Arrival]) -> list[Stored]:
        """One statement and one commit for all of them.

        Among people met before nothing else is sent, so that the statement is its own transaction: one way to the
        database and back. New accounts are made in the same transaction as their first message.
        """
        now = clock.now()
        answerable = clock.real_now() + timedelta(seconds=PASSIVE_SECONDS)
        vault = self._database.vault
        blinds = [blind_openid(vault, arrival.openid) for arrival in arrivals]
        async with self._database.engine.connect() as connection:
            driver = await _driver(connection)
            met = await self._meet(connection, arrivals, blinds, now)
            accounts = [self._accounts.get(blind) or met[blind] for blind in blinds]
            ids = [new_id() for _ in arrivals]
            of_account, msg_ids = [account.id for account in accounts], [arrival.msg_id for arrival in arrivals]
            bodies = [
                seal_body(account, vault, message_id, arrival.body)
                for arrival, account, message_id in zip(arrivals, accounts, ids, strict=True)
            ]
            rows = await driver.fetch(
                _STORE,
                ids,
                of_account,
                msg_ids,
                [arrival.kind for arrival in arrivals],
                [arrival.event for arrival in arrivals],
                bodies,
                [arrival.trace_id for arrival in arrivals],
                now,
                self._process_id,
                answerable,
            )
            fresh = {row["id"] for row in rows}
            seen: dict[tuple[uuid.UUID, str], tuple[uuid.UUID, datetime]] = {}
            if len(fresh) < len(arrivals):
                rows = await driver.fetch(_SEEN, of_account, msg_ids)
                seen = {(row["account_id"], row["msg_id"]): (row["message_id"], row["received_at"]) for row in rows}
            await connection.commit()
        self._remember(met)
        stored = []
        for account_id, msg_id, message_id in zip(of_account, msg_ids, ids, strict=True):
            first, at = (message_id, now) if message_id in fresh else seen[account_id, msg_id]
            stored.append(Stored(first, at, account_id, fresh=message_id in fresh))
        return stored

    async def _meet(
        self, connection: AsyncConnection, arrivals: Sequence[Arrival], blinds: list[bytes], now: datetime
    ) -> dict[bytes, Account]:
        """The accounts that are not in memory, made where they are new; only id and key of them are used here."""
        openids = {
            blind: arrival.openid
            for blind, arrival in zip(blinds, arrivals, strict=True)
            if blind not in self._accounts
        }
        if not openids:
            return {}
        columns = select(Account.id, Account.openid_blind, Account.wrapped_key).where(
            Account.openid_blind.in_(list(openids))
        )
        rows = (await connection.execute(columns)).all()
        # In one order, so that two processes meeting the same people do not wait for each other crosswise.
        new = sorted(openids.keys() - {row.openid_blind for row in rows})
        if new:
            made = [new_row(self._database.vault, openids[blind], now=now) for blind in new]
            await connection.execute(insert(Account).values(made).on_conflict_do_nothing())
            rows = (await connection.execute(columns)).all()
        return {row.openid_blind: Account(id=row.id, wrapped_key=row.wrapped_key) for row in rows}

    def _remember(self, met: dict[bytes, Account]) -> None:
        """Keep accounts in memory only once the transaction that may have made them is committed."""
        self._accounts.update(met)
        while len(self._accounts) > _KNOWN_ACCOUNTS:
            self._accounts.popitem(last=False)

    def forget_all(self) -> None:
        """Drop every account from memory."""
        self._accounts.clear()


async def _driver(connection: AsyncConnection) -> Any:
    """The driver's own connection: SQLAlchemy would need three ways to the database for what takes one."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if driver.is_closed():
        # The pool has not noticed yet that the database was restarted.
        await connection.invalidate()
        driver = (await connection.get_raw_connection()).driver_connection
    return driver
