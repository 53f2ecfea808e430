"""Who among the staff sees which consultation, and how much of it.

Full sight: the clinical staff of the patient's hospital, the platform's doctors for a patient without hospital, and
whoever holds it. Others who are asked (on duty for that hospital, or for the platform once it reached the last rung) see
level and reason until they claim it; administrators learn of those that nobody is on duty for.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.care import roster
from bot.care.consultations.ladder import LAST_RUNG
from bot.care.consultations.rows import Consultation
from bot.care.roster import CLINICAL_ROLES, Role, Shift, Staff


class Depth(StrEnum):
    """How much of a consultation somebody sees."""

    FULL = "full"
    BRIEF = "brief"


@dataclass(frozen=True, slots=True)
class Sight:
    """What one member of staff may see at one moment. `duties` are the hospitals they are on duty for."""

    staff_id: uuid.UUID
    hospital_id: uuid.UUID | None
    clinical: bool
    told_of_empty_duty: bool
    platform_id: uuid.UUID | None
    duties: frozenset[uuid.UUID]

    @property
    def _for_platform(self) -> bool:
        platform = self.platform_id
        return self.clinical and platform is not None and (self.hospital_id == platform or platform in self.duties)

    @property
    def _of_platform(self) -> bool:
        return self.clinical and self.platform_id is not None and self.hospital_id == self.platform_id

    def depth(self, consultation: Consultation) -> Depth | None:
        """How much of this consultation they see; None when it is none of theirs."""
        hospital = consultation.hospital_id
        if consultation.holder_id == self.staff_id:
            return Depth.FULL
        if self.clinical and hospital is not None and hospital == self.hospital_id:
            return Depth.FULL
        if self._of_platform and hospital is None:
            return Depth.FULL
        asked = self._for_platform and (hospital is None or consultation.rung >= LAST_RUNG)
        if asked or (self.clinical and hospital in self.duties):
            return Depth.BRIEF
        if self.told_of_empty_duty and consultation.nobody_on_duty:
            return Depth.BRIEF
        return None

    def visible(self) -> ColumnElement[bool]:
        """The same rule as a condition on `consultation`."""
        ways: list[ColumnElement[bool]] = [Consultation.holder_id == self.staff_id]
        if self.clinical:
            mine = [self.hospital_id] if self.hospital_id is not None else []
            ways.append(Consultation.hospital_id.in_([*mine, *self.duties]))
        if self._for_platform:
            ways.append(or_(Consultation.hospital_id.is_(None), Consultation.rung >= LAST_RUNG))
        if self.told_of_empty_duty:
            ways.append(and_(Consultation.nobody_on_duty.is_(True)))
        return or_(false(), *ways)


async def sight_of(session: AsyncSession, staff: Staff, now: datetime) -> Sight:
    """What this member of staff may see now."""
    platform = await roster.platform(session)
    running = select(Shift.hospital_id).where(Shift.staff_id == staff.id, Shift.starts_at <= now, Shift.ends_at > now)
    return Sight(
        staff.id,
        staff.hospital_id,
        staff.active and staff.role in CLINICAL_ROLES,
        staff.active and staff.role is Role.ADMINISTRATOR,
        platform.id if platform is not None else None,
        frozenset(await session.scalars(running)),
    )
