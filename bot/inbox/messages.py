"""Stored messages: what WeChat pushed to us, each in a named state until it is done with."""

import json
import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, Sequence, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.store.accounts import Account
from bot.store.base import Base
from bot.store.database import vault_of

message_order = Sequence("message_seq", data_type=BigInteger, metadata=Base.metadata)


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
    if message.body_sealed is None:
        return {}
    key = account.key(vault_of(session))
    content: dict[str, Any] = json.loads(key.unseal(message.body_sealed, "message", "body", message.id))
    return content


async def held(session: AsyncSession, message: Message) -> Message | None:
    """The message locked for its last transaction, or None when somebody finished it in the meantime."""
    statement = select(Message).where(Message.id == message.id, Message.received_at == message.received_at)
    current = await session.scalar(statement.with_for_update().execution_options(populate_existing=True))
    if current is None or current.stage not in (Stage.UNTRIAGED, Stage.QUEUED):
        return None
    return current


async def recent_texts(session: AsyncSession, account: Account, *, before: Message, since: datetime) -> list[str]:
    """What the account wrote in the minutes before this message, oldest first: words may be split over messages."""
    statement = (
        select(Message)
        .where(Message.account_id == account.id, Message.received_at >= since, Message.seq < before.seq)
        .where(Message.kind == "text")
        .order_by(Message.seq.desc())
        .limit(5)
    )
    rows = list(await session.scalars(statement))
    return [open_body(row, account, session).get("text", "") for row in reversed(rows)]


async def recent_number(session: AsyncSession, account_id: uuid.UUID, *, since: datetime) -> int:
    """How many messages the account sent since then (flooding)."""
    statement = select(func.count()).where(Message.account_id == account_id, Message.received_at >= since)
    return int(await session.scalar(statement) or 0)
