"""What we owe somebody, and what became of it.

A row is written in the transaction of its cause; sending comes after the commit. Its identity is (cause, kind, ordinal),
so that a cause worked on twice owes once. Each row ends in one named state; nothing is silently dropped.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Index,
    Select,
    Sequence,
    String,
    UniqueConstraint,
    bindparam,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from structlog.contextvars import get_contextvars

from bot import clock
from bot.store.accounts import Account
from bot.store.base import Base, new_id
from bot.store.database import vault_of

outbox_order = Sequence("outbox_seq", data_type=BigInteger, metadata=Base.metadata)

READY = "outbox_ready"

# Run for each message; as text they are not built anew each time.
_UNPARK = text("""
update outbox set state = 'pending', not_before = null, reason = null where account_id = :account and state = 'parked'
""")
_SUPERSEDE = text("""
update outbox set state = 'superseded', reason = 'answered_meanwhile'
where cause = :cause and state in ('pending', 'parked')
""")


class Kind(StrEnum):
    """What a row is for; decides its template and whether it may use the doctor's reserve."""

    ANSWER = "answer"
    ADVICE = "advice"
    DOCTOR_ANSWER = "doctor_answer"
    ALERT = "alert"
    NOTICE = "notice"
    CHECKIN = "checkin"
    INVITATION = "invitation"
    GATEWAY = "gateway"


class State(StrEnum):
    """The life of a row. The first three are on the way, the rest are ends."""

    PENDING = "pending"
    PASSIVE_CLAIMED = "passive_claimed"
    SENDING = "sending"
    SENT_PASSIVE = "sent_passive"
    SENT_ACTIVE = "sent_active"
    SENT_TEMPLATE = "sent_template"
    PARKED = "parked"
    MAYBE_SENT = "maybe_sent"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Outbox(Base):
    """One thing owed to one account (or, for alerts by phone, to the gateway)."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("cause", "kind", "ordinal"),
        Index(
            "ix_outbox_open",
            "account_id",
            "seq",
            postgresql_where="state in ('pending', 'passive_claimed', 'sending')",
        ),
        Index("ix_outbox_claimed", "claimed_at", postgresql_where="state in ('passive_claimed', 'sending')"),
        Index("ix_outbox_parked", "account_id", postgresql_where="state = 'parked'"),
        Index("ix_outbox_passive_for", "passive_for", postgresql_where="passive_for is not null"),
        Index("ix_outbox_account_sent", "account_id", "sent_at"),
        Index("ix_outbox_consultation", "consultation_id", postgresql_where="consultation_id is not null"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=outbox_order.next_value())
    cause: Mapped[str]
    kind: Mapped[Kind]
    ordinal: Mapped[int] = mapped_column(default=0)
    account_id: Mapped[uuid.UUID | None]
    person_id: Mapped[uuid.UUID | None]
    consultation_id: Mapped[uuid.UUID | None]
    staff_id: Mapped[uuid.UUID | None]
    content_sealed: Mapped[bytes]
    link: Mapped[str | None]
    urgent: Mapped[bool] = mapped_column(default=False)
    passive_for: Mapped[uuid.UUID | None]
    state: Mapped[State] = mapped_column(default=State.PENDING)
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    claimed_by: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    trace_id: Mapped[str | None]
    template_msg_id: Mapped[str | None]


def _owing() -> Select[Any]:
    """One row, where its cause did not owe it already, and the word of it to whoever waits, in one statement."""
    given = {name: bindparam(name, type_=Outbox.__table__.c[name].type) for name in _GIVEN}
    created = insert(Outbox).values(given).on_conflict_do_nothing().returning(Outbox.id).cte("created")
    return select(created.c.id, func.pg_notify(literal(READY), bindparam("payload", type_=String())))


_GIVEN = (
    *("id", "cause", "kind", "ordinal", "account_id", "person_id", "consultation_id", "staff_id", "content_sealed"),
    *("link", "urgent", "passive_for", "not_before", "state", "attempts", "created_at", "trace_id"),
)
_OWE = _owing()


@dataclass(frozen=True, slots=True)
class Content:
    """What the receiver reads. `fields` fill a template; `text` is the message in the chat."""

    text: str
    fields: dict[str, str] | None = None

    def pack(self) -> str:
        """As it is sealed."""
        return json.dumps({"text": self.text, "fields": self.fields}, ensure_ascii=False)

    @classmethod
    def unpack(cls, packed: str) -> "Content":
        """As it was sealed."""
        return cls(**json.loads(packed))


def content_of(row: Outbox, account: Account | None, session: AsyncSession) -> Content:
    """Open a row's content: under its account's key, or under the vault's own for the gateway."""
    vault = vault_of(session)
    key = account.key(vault) if account is not None else vault.own_key
    return Content.unpack(key.unseal(row.content_sealed, "outbox", "content", row.id))


async def owe(
    session: AsyncSession,
    account: Account | None,
    kind: Kind,
    content: Content,
    *,
    cause: str,
    ordinal: int = 0,
    link: str | None = None,
    urgent: bool = False,
    passive_for: uuid.UUID | None = None,
    passive_until: datetime | None = None,
    person_id: uuid.UUID | None = None,
    consultation_id: uuid.UUID | None = None,
    staff_id: uuid.UUID | None = None,
    trace_id: str | None = None,
) -> uuid.UUID | None:
    """Owe something, in the transaction of its cause. None when this cause owed it already.

    `passive_for` names the message whose open request may carry the row; until `passive_until` (real time) nothing
    else sends it. `link` is a path on our pages.
    """
    row_id = new_id()
    vault = vault_of(session)
    key = account.key(vault) if account is not None else vault.own_key
    values: dict[str, Any] = {
        "id": row_id,
        "cause": cause,
        "kind": kind,
        "ordinal": ordinal,
        "account_id": account.id if account is not None else None,
        "person_id": person_id,
        "consultation_id": consultation_id,
        "staff_id": staff_id,
        "content_sealed": key.seal(content.pack(), "outbox", "content", row_id),
        "link": link,
        "urgent": urgent,
        "passive_for": passive_for,
        "not_before": passive_until,
        "state": State.PENDING,
        "attempts": 0,
        "created_at": clock.now(),
        "trace_id": trace_id or get_contextvars().get("trace_id"),
    }
    created = (await session.execute(_OWE, {**values, "payload": str(passive_for or "")})).one_or_none()
    return created.id if created is not None else None


async def unpark(session: AsyncSession, account_id: uuid.UUID) -> None:
    """The account wrote again: what waited for that may be sent."""
    await session.execute(_UNPARK, {"account": account_id})


async def supersede(session: AsyncSession, cause: str) -> None:
    """What was owed for this cause and has not left yet is no longer needed."""
    await session.execute(_SUPERSEDE, {"cause": cause})


async def sent_lately(session: AsyncSession, account_id: uuid.UUID, *, but: uuid.UUID | None) -> list[datetime]:
    """When active messages went to the account in the last two days (a doubtful one counts), this row left out."""
    spent = (State.SENT_ACTIVE, State.MAYBE_SENT, State.SENDING)
    statement = select(Outbox.sent_at).where(
        Outbox.account_id == account_id,
        Outbox.state.in_(spent),
        Outbox.sent_at > clock.now() - timedelta(hours=48),
    )
    if but is not None:
        statement = statement.where(Outbox.id != but)
    return [moment for moment in await session.scalars(statement) if moment is not None]
