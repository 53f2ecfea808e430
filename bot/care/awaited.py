"""Questions on which a level hangs: what is unknown raises nothing by itself, silence does.

An urgent message whose danger depends on something unknown (the count, whether it goes on) gets the urgent advice at once,
with the question. No word within five minutes makes it an emergency. For the reviewer to sign.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.care import rechecks
from bot.care.consultations.asking import alarm, ask
from bot.care.consultations.states import Level
from bot.care.patients import Person
from bot.care.triage import Need, text
from bot.outbox.rows import Content, Kind, owe
from bot.store.accounts import Account, Holder
from bot.store.base import Base, new_id

PATIENCE = timedelta(minutes=5)
ADVICE = "bleeding"

# The first that applies is asked: one thought, one question.
QUESTIONS: dict[Need, str] = {
    "is_it_now": "这是现在正在发生的吗？请回「是」或「不是」。",
    "count_unit": "您说的血小板具体是多少？请带上单位，比如「3千」或「3万」。",
    "platelet_count": "您最近一次血小板是多少？不知道就回「不知道」。",
    "pregnant": "您现在怀孕了吗？",
    "medicines": "您最近一周在吃什么药？",
}


class AwaitedAnswer(Base):
    """One question that waits for a word of the account."""

    __tablename__ = "awaited_answer"
    __table_args__ = (
        Index("ix_awaited_answer_open", "due_at", postgresql_where="answered_at is null and raised_at is null"),
        Index("ix_awaited_answer_account", "account_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"))
    needs: Mapped[list[Any]]
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    raised_at: Mapped[datetime | None]


_ANSWERED = sql("""
update awaited_answer set answered_at = :now
where account_id = :account and answered_at is null and raised_at is null
""")


def question(needs: Sequence[Need]) -> str | None:
    """The one question to put, or None when nothing is asked."""
    return next((QUESTIONS[need] for need in QUESTIONS if need in needs), None)


async def wait_for(
    session: AsyncSession, account: Account, person: Person | None, needs: Sequence[Need], now: datetime
) -> str | None:
    """Note that an answer is awaited; returns the question to put, or None when nothing is unknown."""
    asked = question(needs)
    if asked is not None:
        await answered(session, account.id, now)
        session.add(
            AwaitedAnswer(
                account_id=account.id,
                person_id=person.id if person is not None else None,
                needs=list(needs),
                asked_at=now,
                due_at=now + PATIENCE,
            )
        )
    return asked


async def answered(session: AsyncSession, account_id: uuid.UUID, now: datetime) -> None:
    """The account wrote something: nobody is silent. What it says is judged as any message is."""
    await session.execute(_ANSWERED, {"account": account_id, "now": now})


async def raise_silent(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """The tick: silence for five minutes is taken for the worst."""
    statement = (
        select(AwaitedAnswer)
        .where(AwaitedAnswer.due_at <= now, AwaitedAnswer.answered_at.is_(None), AwaitedAnswer.raised_at.is_(None))
        .order_by(AwaitedAnswer.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    silent = list(await session.scalars(statement))
    for awaited in silent:
        awaited.raised_at = now
        account = await session.get_one(Account, awaited.account_id, with_for_update=True)
        if account.holder is Holder.DOCTOR:
            # A doctor has the conversation and sees the silence.
            continue
        person = await session.get(Person, awaited.person_id) if awaited.person_id is not None else None
        cause = f"awaited:{awaited.id}"
        receipt = await ask(
            session, account, person, [], level=Level.EMERGENCY, reason="问到关键情况后5分钟没有回答", cause=cause
        )
        alarm(account, receipt.consultation, now)
        await rechecks.plan(session, account, receipt.consultation.id, now)
        await owe(
            session,
            account,
            Kind.ADVICE,
            Content(text(ADVICE).text),
            cause=cause,
            urgent=True,
            person_id=awaited.person_id,
            consultation_id=receipt.consultation.id,
        )
    return len(silent)
