"""After an emergency: looking again at a quarter of an hour and at two hours, as rows with due times.

Somebody who was told to call 120 is asked whether they did. Nobody is asked once a doctor holds the conversation or the
alarm is over.
"""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.care.consultations.rows import EntryKind, add_entry, locked
from bot.care.consultations.states import Stage
from bot.outbox import choices
from bot.outbox.rows import Content, Kind, owe
from bot.store.accounts import Account, Holder
from bot.store.base import Base, new_id

AFTER = (timedelta(minutes=15), timedelta(hours=2))
CALLED_120, IN_HOSPITAL, NOT_MINE = "已联系120", "已到医院", "不是我现在的情况"
QUESTION = "刚才的情况很危险，您现在打120或到急诊了吗？没有的话，请马上去。"


class Recheck(Base):
    """One look again at an emergency."""

    __tablename__ = "recheck"
    __table_args__ = (
        UniqueConstraint("consultation_id", "due_at"),
        Index("ix_recheck_due", "due_at", postgresql_where="done_at is null"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    consultation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("consultation.id"))
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


async def plan(session: AsyncSession, account: Account, consultation_id: uuid.UUID, now: datetime) -> None:
    """Plan both looks, in the transaction that gave the advice."""
    for after in AFTER:
        values = {"id": new_id(), "consultation_id": consultation_id, "account_id": account.id, "due_at": now + after}
        await session.execute(insert(Recheck).values(values).on_conflict_do_nothing())


async def tick(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """Ask those whose time has come and who are still in alarm."""
    statement = (
        select(Recheck)
        .where(Recheck.due_at <= now, Recheck.done_at.is_(None))
        .order_by(Recheck.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = list(await session.scalars(statement))
    for recheck in due:
        account = await session.get_one(Account, recheck.account_id, with_for_update=True)
        consultation = await locked(session, recheck.consultation_id)
        recheck.done_at = now
        if account.holder is not Holder.ALARM or consultation.stage is Stage.CLOSED:
            recheck.outcome = "no_longer_alarm"
            continue
        recheck.outcome = "asked"
        said = choices.offer(session, account, QUESTION, [CALLED_120, IN_HOSPITAL, NOT_MINE])
        cause = f"recheck:{recheck.id}"
        await owe(
            session, account, Kind.NOTICE, Content(said), cause=cause, urgent=True, consultation_id=consultation.id
        )
        await add_entry(session, consultation, account, EntryKind.EVENT, "再次提醒患者就医", cause=cause, at=now)
    return len(due)
