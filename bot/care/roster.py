"""Hospitals, staff and shifts: who is on duty now, who is next.

`who_is_on_duty` is a pure rule over plain shifts; the tables hold them.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.accounts import Account
from bot.store.base import Base, new_id


class Role(StrEnum):
    """What a member of staff may do."""

    DOCTOR = "doctor"
    LEAD_DOCTOR = "lead_doctor"
    NURSE = "nurse"
    CDC_EDITOR = "cdc_editor"
    CLINICAL_REVIEWER = "clinical_reviewer"
    MODERATOR = "moderator"
    CDC_LEAD = "cdc_lead"
    ADMINISTRATOR = "administrator"


CLINICAL_ROLES = (Role.DOCTOR, Role.LEAD_DOCTOR, Role.NURSE)
ANSWERING_ROLES = (Role.DOCTOR, Role.LEAD_DOCTOR)


class Part(StrEnum):
    """A shift's part in the ladder of who is asked."""

    DUTY = "duty"
    BACKUP = "backup"


class Hospital(Base):
    """A hospital, or the platform itself (`level` 0), whose duty is the last rung."""

    __tablename__ = "hospital"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    level: Mapped[int]
    city: Mapped[str | None]


class Staff(Base):
    """A doctor, nurse, editor, … `account_id` is the WeChat account that alerts go to."""

    __tablename__ = "staff"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    title: Mapped[str | None]
    role: Mapped[Role]
    hospital_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("hospital.id"), index=True)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"), unique=True)
    password_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    paused_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Shift(Base):
    """Somebody's time on duty for a hospital: from `starts_at` up to, not including, `ends_at`."""

    __tablename__ = "shift"
    __table_args__ = (Index("ix_shift_hospital_id_ends_at", "hospital_id", "ends_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hospital.id"))
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), index=True)
    part: Mapped[Part] = mapped_column(default=Part.DUTY)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class OnDuty:
    """One shift as the rule sees it."""

    staff_id: uuid.UUID
    part: Part
    starts_at: datetime
    ends_at: datetime


def who_is_on_duty(shifts: Iterable[OnDuty], at: datetime, part: Part = Part.DUTY) -> tuple[uuid.UUID, ...]:
    """Who is on duty at a moment, the longest on duty first; each person once, however many of their shifts overlap.

    >>> from datetime import UTC
    >>> evening, morning = datetime(2026, 1, 1, 20, tzinfo=UTC), datetime(2026, 1, 2, 8, tzinfo=UTC)
    >>> night = OnDuty(uuid.UUID(int=1), Part.DUTY, evening, morning)
    >>> who_is_on_duty([night], evening) == (night.staff_id,), who_is_on_duty([night], morning)
    (True, ())
    """
    now = [shift for shift in shifts if shift.part is part and shift.starts_at <= at < shift.ends_at]
    return tuple(dict.fromkeys(shift.staff_id for shift in sorted(now, key=lambda s: (s.starts_at, s.staff_id))))


def next_on_duty(shifts: Iterable[OnDuty], after: datetime) -> tuple[datetime, uuid.UUID] | None:
    """When the next duty begins after a moment, and whose it is."""
    coming = [(s.starts_at, s.staff_id) for s in shifts if s.part is Part.DUTY and s.starts_at > after]
    return min(coming, default=None)


async def shifts_around(session: AsyncSession, hospital_id: uuid.UUID, at: datetime) -> list[OnDuty]:
    """The shifts of a hospital from a day before to a week after a moment."""
    statement = select(Shift).where(
        Shift.hospital_id == hospital_id,
        Shift.ends_at > at - timedelta(days=1),
        Shift.starts_at < at + timedelta(days=7),
    )
    return [OnDuty(s.staff_id, s.part, s.starts_at, s.ends_at) for s in await session.scalars(statement)]


async def on_duty(session: AsyncSession, hospital_id: uuid.UUID, at: datetime, part: Part = Part.DUTY) -> list[Staff]:
    """The staff on duty for a hospital who are active, may answer and have not paused, longest on duty first."""
    ids = who_is_on_duty(await shifts_around(session, hospital_id, at), at, part)
    found = {staff.id: staff for staff in await session.scalars(select(Staff).where(Staff.id.in_(ids)))}
    usable = [found[staff_id] for staff_id in ids if staff_id in found]
    return [
        s for s in usable if s.active and s.role in ANSWERING_ROLES and (s.paused_until is None or s.paused_until <= at)
    ]


async def leads_of(session: AsyncSession, hospital_id: uuid.UUID | None) -> list[Staff]:
    """The lead doctors of a hospital."""
    statement = select(Staff).where(
        Staff.hospital_id == hospital_id, Staff.role == Role.LEAD_DOCTOR, Staff.active.is_(True)
    )
    return list(await session.scalars(statement.order_by(Staff.name)))


async def administrators(session: AsyncSession) -> list[Staff]:
    """Who is told when nobody is on duty anywhere."""
    statement = select(Staff).where(Staff.role == Role.ADMINISTRATOR, Staff.active.is_(True))
    return list(await session.scalars(statement))


async def platform(session: AsyncSession) -> Hospital | None:
    """The platform's own duty, the last rung."""
    return await session.scalar(select(Hospital).where(Hospital.level == 0).limit(1))


async def staff_with_account(session: AsyncSession, account_id: uuid.UUID) -> Staff | None:
    """The member of staff whose WeChat account this is."""
    return await session.scalar(select(Staff).where(Staff.account_id == account_id, Staff.active.is_(True)))


async def account_of(session: AsyncSession, staff: Staff) -> Account | None:
    """Where alerts for a member of staff go."""
    return await session.get(Account, staff.account_id) if staff.account_id is not None else None


def names(staff: Sequence[Staff]) -> str:
    """Names as a patient reads them: 「李医生、王医生」."""
    return "、".join(f"{member.name[0]}医生" for member in staff)
