"""The audit: who did or saw what, when. Rows are only ever added.

Details hold ids and names of states, never a patient's words.
"""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.store.base import Base, new_id


class AuditEntry(Base):
    """One act. Partitioned by month on `at`."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_subject_at", "subject_id", "at"),
        Index("ix_audit_actor_at", "actor_id", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    actor_kind: Mapped[str]
    actor_id: Mapped[uuid.UUID | None]
    act: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[uuid.UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


def record(
    session: AsyncSession,
    act: str,
    *,
    actor_kind: str,
    actor_id: uuid.UUID | None,
    subject_kind: str,
    subject_id: uuid.UUID | None,
    **details: Any,
) -> None:
    """Add an act to the transaction that performs it.

    `actor_kind` is `staff`, `patient` or `system`; `subject_kind` the table the act concerns.
    """
    session.add(
        AuditEntry(
            at=clock.now(),
            actor_kind=actor_kind,
            actor_id=actor_id,
            act=act,
            subject_kind=subject_kind,
            subject_id=subject_id,
            details=details,
        )
    )
