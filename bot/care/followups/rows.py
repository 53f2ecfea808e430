"""The tables of follow-up."""

import json
import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.care.followups.states import State, move
from bot.care.patients import Person
from bot.store.base import Base, new_id
from bot.store.database import vault_of


class FollowupPlan(Base):
    """A named plan running for one person, anchored on a date."""

    __tablename__ = "followup_plan"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    plan_key: Mapped[str]
    title: Mapped[str]
    anchor_on: Mapped[date]
    started_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class CheckIn(Base):
    """One asking of one person. `next_at` is when the clock does the next thing with it."""

    __tablename__ = "checkin"
    __table_args__ = (
        Index("ix_checkin_next_at", "next_at", postgresql_where="next_at is not null"),
        Index("ix_checkin_person_due", "person_id", "due_at"),
        Index(
            "ix_checkin_waiting",
            "account_id",
            postgresql_where="state in ('invited', 'asked', 'nudged', 'nurse_task', 'doctor_task')",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    plan_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("followup_plan.id"), index=True)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    key: Mapped[str]
    questions: Mapped[list[Any]]
    due_at: Mapped[datetime]
    state: Mapped[State] = mapped_column(default=State.SCHEDULED)
    next_at: Mapped[datetime | None]
    postponed: Mapped[int] = mapped_column(default=0)
    invited_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    answers_sealed: Mapped[bytes | None]
    level: Mapped[str | None]
    reason: Mapped[str | None]

    def become(self, to: State) -> None:
        """Move on.

        Raises:
            NotPossible: there is no way from the present state.
        """
        self.state = move(self.state, to)

    def keep_answers(self, session: AsyncSession, person: Person, answers: dict[str, Any]) -> None:
        """Seal what was answered under the person's key."""
        packed = json.dumps(answers, ensure_ascii=False)
        self.answers_sealed = person.key(vault_of(session)).seal(packed, "checkin", "answers", self.id)

    def answers(self, session: AsyncSession, person: Person) -> dict[str, Any]:
        """What was answered, by question; empty before."""
        if self.answers_sealed is None:
            return {}
        key = person.key(vault_of(session))
        answers: dict[str, Any] = json.loads(key.unseal(self.answers_sealed, "checkin", "answers", self.id))
        return answers
