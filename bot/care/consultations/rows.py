"""The tables of consultations, and finding them."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Sequence, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.care.consultations.states import Act, Level, Outcome, Stage, after
from bot.store.accounts import Account
from bot.store.base import Base, new_id
from bot.store.database import vault_of

CHANGED = "consultation_changed"

consultation_numbers = Sequence("consultation_number", start=1001, data_type=BigInteger, metadata=Base.metadata)


class Consultation(Base):
    """One question of one account in doctors' hands, with its thread in `consultation_entry`."""

    __tablename__ = "consultation"
    __table_args__ = (
        Index("ix_consultation_open", "hospital_id", "level", postgresql_where="stage <> 'closed'"),
        Index("ix_consultation_moves_at", "moves_at", postgresql_where="moves_at is not null"),
        Index("ix_consultation_account_opened", "account_id", "opened_at"),
        Index("ix_consultation_holder", "holder_id", postgresql_where="stage <> 'closed'"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(BigInteger, server_default=consultation_numbers.next_value(), unique=True)
    cause: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    hospital_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("hospital.id"))
    level: Mapped[Level]
    stage: Mapped[Stage] = mapped_column(default=Stage.QUEUED)
    reason: Mapped[str]
    flags: Mapped[list[Any]] = mapped_column(default=list)
    rung: Mapped[int] = mapped_column(default=0)
    nobody_on_duty: Mapped[bool] = mapped_column(default=False)
    holder_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    opened_at: Mapped[datetime]
    level_at: Mapped[datetime]
    moves_at: Mapped[datetime | None]
    answer_by: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[Outcome | None]
    followed_up_at: Mapped[datetime | None]

    def become(self, act: Act) -> None:
        """Move to the stage this act leads to.

        Raises:
            NotPossible: the act makes no sense at the present stage.
        """
        self.stage = after(self.stage, act)


class EntryKind(StrEnum):
    """Who an entry of the thread is from. `note` is never seen by the patient."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    ASSISTANT = "assistant"
    NOTE = "note"
    EVENT = "event"


class ConsultationEntry(Base):
    """One entry of a thread; text sealed under the account's key. `cause` makes adding it twice harmless."""

    __tablename__ = "consultation_entry"
    __table_args__ = (Index("ix_consultation_entry_thread", "consultation_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    consultation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consultation.id"))
    at: Mapped[datetime]
    kind: Mapped[EntryKind]
    cause: Mapped[str] = mapped_column(unique=True)
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    message_id: Mapped[uuid.UUID | None]
    outbox_id: Mapped[uuid.UUID | None]
    attachment_id: Mapped[uuid.UUID | None]
    text_sealed: Mapped[bytes]
    marks: Mapped[list[Any]] = mapped_column(default=list)


async def open_of(session: AsyncSession, account_id: uuid.UUID) -> Consultation | None:
    """The account's open consultation, locked: an account has one at most."""
    statement = (
        select(Consultation)
        .where(Consultation.account_id == account_id, Consultation.stage != Stage.CLOSED)
        .order_by(Consultation.opened_at.desc())
        .limit(1)
        .with_for_update()
    )
    return await session.scalar(statement)


async def locked(session: AsyncSession, consultation_id: uuid.UUID) -> Consultation:
    """The consultation, locked for the rest of the transaction.

    Raises:
        sqlalchemy.exc.NoResultFound: there is none.
    """
    statement = select(Consultation).where(Consultation.id == consultation_id).with_for_update()
    return (await session.scalars(statement.execution_options(populate_existing=True))).one()


async def add_entry(
    session: AsyncSession,
    consultation: Consultation,
    account: Account,
    kind: EntryKind,
    text: str,
    *,
    cause: str,
    at: datetime,
    staff_id: uuid.UUID | None = None,
    message_id: uuid.UUID | None = None,
    outbox_id: uuid.UUID | None = None,
    attachment_id: uuid.UUID | None = None,
    marks: list[Any] | None = None,
) -> ConsultationEntry | None:
    """Add to the thread; None when this cause has added already."""
    if await session.scalar(select(ConsultationEntry.id).where(ConsultationEntry.cause == cause)) is not None:
        return None
    entry = ConsultationEntry(
        id=new_id(),
        consultation_id=consultation.id,
        at=at,
        kind=kind,
        cause=cause,
        staff_id=staff_id,
        message_id=message_id,
        outbox_id=outbox_id,
        attachment_id=attachment_id,
        marks=marks or [],
        text_sealed=b"",
    )
    key = account.key(vault_of(session))
    entry.text_sealed = key.seal(text, "consultation_entry", "text", entry.id)
    session.add(entry)
    await session.flush()
    # Every change of a consultation adds an entry, so this is where pages that are open hear of it.
    await session.execute(
        sql("select pg_notify(:topic, :payload)"), {"topic": CHANGED, "payload": str(consultation.id)}
    )
    return entry


def entry_text(entry: ConsultationEntry, account: Account, session: AsyncSession) -> str:
    """The words of an entry."""
    return account.key(vault_of(session)).unseal(entry.text_sealed, "consultation_entry", "text", entry.id)


async def thread(session: AsyncSession, consultation: Consultation) -> list[ConsultationEntry]:
    """All entries, oldest first."""
    statement = select(ConsultationEntry).where(ConsultationEntry.consultation_id == consultation.id)
    return list(await session.scalars(statement.order_by(ConsultationEntry.at, ConsultationEntry.id)))
