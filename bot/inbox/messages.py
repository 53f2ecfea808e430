"""Stored messages: what WeChat pushed to us, each in a named state until it is done with."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    DateTime,
    Index,
    ScalarSelect,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from bot import clock
from bot.store.accounts import Account
from bot.store.base import Base
from bot.store.database import vault_of

message_order = sqlalchemy.Sequence("message_seq", data_type=BigInteger, metadata=Base.metadata)


class Stage(StrEnum):
    """How far a message has come. Each stage but the last two is taken up again after a crash."""

    UNTRIAGED = "untriaged"
    QUEUED = "queued"
    DONE = "done"
    HANDED_TO_HUMAN = "handed_to_human"


class Received(Base):
    """Which messages were seen: WeChat sends each up to three times. Pruned after seven days."""

    __tablename__ = "received"

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    msg_id: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[uuid.UUID]
    received_at: Mapped[datetime] = mapped_column(index=True)


class Message(Base):
    """One inbound message or event. Partitioned by month; ordered within its account by `seq`."""

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_account_seq", "account_id", "seq"),
        Index("ix_message_waiting", "account_id", postgresql_where="stage in ('untriaged', 'queued')"),
        Index("ix_message_consultation", "consultation_id", postgresql_where="consultation_id is not null"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=message_order.next_value())
    account_id: Mapped[uuid.UUID]
    person_id: Mapped[uuid.UUID | None]
    kind: Mapped[str]
    event: Mapped[str | None]
    body_sealed: Mapped[bytes | None]
    trace_id: Mapped[str]
    received_by: Mapped[uuid.UUID | None]
    passive_until: Mapped[datetime | None]
    stage: Mapped[Stage] = mapped_column(default=Stage.UNTRIAGED)
    attempts: Mapped[int] = mapped_column(default=0)
    first_tried_at: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    flag_level: Mapped[str | None]
    level: Mapped[str | None]
    flags: Mapped[list[Any]] = mapped_column(default=list)
    triaged_at: Mapped[datetime | None]
    consultation_id: Mapped[uuid.UUID | None]
    outcome: Mapped[str | None]
    done_at: Mapped[datetime | None]

    def finish(self, outcome: str, *, stage: Stage = Stage.DONE) -> None:
        """Nothing is left to do for this message; `outcome` names what became of it."""
        self.stage, self.outcome, self.done_at = stage, outcome, clock.now()


def seal_body(account: Account, vault: Any, message_id: uuid.UUID, body: dict[str, Any]) -> bytes:
    """A message's content (`text`, `media_id`, …) sealed under its account's key."""
    plain = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return bytes(account.key(vault).seal(plain, "message", "body", message_id))


def open_body(message: Message, account: Account, session: AsyncSession) -> dict[str, Any]:
    """The content of a message: `text`, `event_key`, `media_id`, `menu_id`, … as far as its kind has them.

    Raises:
        Unreadable: the account's key was destroyed.
    """
    return _content(message.id, message.body_sealed, account, session)


def _content(message_id: uuid.UUID, sealed: bytes | None, account: Account, session: AsyncSession) -> dict[str, Any]:
    if sealed is None:
        return {}
    key = account.key(vault_of(session))
    content: dict[str, Any] = json.loads(key.unseal(sealed, "message", "body", message_id))
    return content


async def untriaged_of(session: AsyncSession, messages: Sequence[Message]) -> list[Message]:
    """Those of these messages that are still untriaged, locked, in their order."""
    asked = (
        func.unnest(
            literal([message.id for message in messages], ARRAY(Uuid())),
            literal([message.received_at for message in messages], ARRAY(DateTime(timezone=True))),
        )
        .table_valued("id", "received_at", name="asked")
        .render_derived()
    )
    statement = (
        select(Message)
        .join(asked, and_(Message.id == asked.c.id, Message.received_at == asked.c.received_at))
        .where(Message.stage == Stage.UNTRIAGED)
        .order_by(Message.seq)
        .with_for_update(of=Message)
    )
    return list(await session.scalars(statement))


@dataclass(frozen=True, slots=True)
class Judged:
    """What triage found of a message from which nothing follows but its turn in the lane."""

    message: Message
    person_id: uuid.UUID | None
    flag_level: str
    level: str | None = None
    flags: Sequence[Any] = ()


_QUEUE = text("""
update message set stage = 'queued', triaged_at = :now, person_id = t.person_id, flag_level = t.flag_level,
                   level = t.level, flags = cast(t.flags as jsonb)
from unnest(cast(:ids as uuid[]), cast(:received as timestamptz[]), cast(:persons as uuid[]),
            cast(:flag_levels as text[]), cast(:levels as text[]), cast(:flags as text[]))
     as t(id, received_at, person_id, flag_level, level, flags)
where message.id = t.id and message.received_at = t.received_at and message.stage = 'untriaged'
""")


async def queue_judged(session: AsyncSession, judged: Sequence[Judged]) -> None:
    """Note for all of them at once what was found, and let their lanes go on."""
    values = {
        "now": clock.now(),
        "ids": [one.message.id for one in judged],
        "received": [one.message.received_at for one in judged],
        "persons": [one.person_id for one in judged],
        "flag_levels": [one.flag_level for one in judged],
        "levels": [one.level for one in judged],
        "flags": [json.dumps(one.flags) for one in judged],
    }
    await session.execute(_QUEUE, values)


_HELD = (
    select(Message)
    .where(Message.id == bindparam("id"), Message.received_at == bindparam("received_at"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


async def held(session: AsyncSession, message: Message) -> Message | None:
    """The message locked for its last transaction, or None when somebody finished it in the meantime."""
    current = await session.scalar(_HELD, {"id": message.id, "received_at": message.received_at})
    if current is None or current.stage not in (Stage.UNTRIAGED, Stage.QUEUED):
        return None
    return current


async def recent_texts(session: AsyncSession, account: Account, *, before: Message, since: datetime) -> list[str]:
    """What the account wrote in the minutes before this message, oldest first: words may be split over messages."""
    [texts] = await recent_texts_each(session, [(account, before, since)])
    return texts


_EARLIER = text("""
select asked.number, earlier.id, earlier.body_sealed
from unnest(
    cast(:numbers as int[]), cast(:accounts as uuid[]), cast(:since as timestamptz[]), cast(:seqs as bigint[])
) as asked(number, account_id, since, seq)
join lateral (
    select id, seq, body_sealed from message m
    where m.account_id = asked.account_id and m.received_at >= asked.since and m.seq < asked.seq and m.kind = 'text'
    order by m.seq desc limit 5
) earlier on true
order by earlier.seq
""")


async def recent_texts_each(
    session: AsyncSession, asked: Sequence[tuple[Account, Message, datetime]]
) -> list[list[str]]:
    """For each account, message and moment: what the account wrote since then and before the message, oldest first."""
    values = {
        "numbers": list(range(len(asked))),
        "accounts": [account.id for account, _, _ in asked],
        "since": [since for _, _, since in asked],
        "seqs": [before.seq for _, before, _ in asked],
    }
    texts: list[list[str]] = [[] for _ in asked]
    for number, message_id, sealed in await session.execute(_EARLIER, values):
        texts[number].append(_content(message_id, sealed, asked[number][0], session).get("text", ""))
    return texts


def recent_number(account_id: BindParameter[uuid.UUID], since: BindParameter[datetime]) -> ScalarSelect[int]:
    """How many messages the account sent since then (flooding), as part of another statement."""
    recent = aliased(Message)
    statement = select(func.count()).select_from(recent)
    return statement.where(recent.account_id == account_id, recent.received_at >= since).scalar_subquery()
