"""The clinical record: what was observed of a person, which medicines, and the one guarded way for staff to read it.

Counts are in 10⁹/L. What a patient reports is provisional: it never becomes a graded finding by itself.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Numeric, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.care.patients import Person
from bot.care.roster import CLINICAL_ROLES, Staff
from bot.language.counts import PlateletReading, read_counts
from bot.store import audit
from bot.store.base import Base, new_id, one_of
from bot.store.database import vault_of


class Kind(StrEnum):
    """What was observed. `value` is in the kind's own unit."""

    PLATELET = "platelet"
    BLEEDING = "bleeding"


class Observation(Base):
    """One observation of a person, partitioned by month of its recording. A wrong one is withdrawn, never changed."""

    __tablename__ = "observation"
    __table_args__ = (
        Index("ix_observation_person_kind_taken", "person_id", "kind", "taken_on"),
        Index("ix_observation_cause", "cause"),
        {"postgresql_partition_by": "RANGE (recorded_at)"},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    recorded_at: Mapped[datetime] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID]
    kind: Mapped[Kind]
    value: Mapped[float | None] = mapped_column(Numeric(10, 2, asdecimal=False))
    unit: Mapped[str | None]
    code: Mapped[str | None]
    taken_on: Mapped[date]
    approximate: Mapped[bool] = mapped_column(default=False)
    source: Mapped[str]
    cause: Mapped[str]
    typed_sealed: Mapped[bytes | None]
    withdrawn_at: Mapped[datetime | None]
    replaced_by: Mapped[uuid.UUID | None]


class Medicine(Base):
    """A medicine a person takes or took; how, only in the words of the one who told it."""

    __tablename__ = "medicine"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"), index=True)
    name: Mapped[str]
    since: Mapped[date | None]
    until: Mapped[date | None]
    source: Mapped[str]
    cause: Mapped[str]
    told_sealed: Mapped[bytes | None]
    recorded_at: Mapped[datetime]


class Forbidden(Exception):
    """This actor may not see this record."""


@dataclass(frozen=True, slots=True)
class Count:
    """One platelet count, 10⁹/L."""

    value: float
    taken_on: date
    approximate: bool = False


async def record_counts(
    session: AsyncSession, person: Person, text: str, *, cause: str, source: str = "patient_chat"
) -> list[Observation]:
    """Store the platelet counts a patient told, once for each cause; nothing that is ambiguous.

    Values that need a confirmation are left out: they are asked back, never guessed.
    """
    already = await _of_cause(session, cause)
    if already:
        return already
    certain = {
        # 「23 ×10⁹/L（2.3万）」 names one count twice.
        (reading.value, reading.taken_on): reading
        for reading in read_counts(text, today=clock.today())
        if reading.value is not None
        and not (reading.ambiguous or reading.needs_confirmation)
        and reading.role != "target"
    }
    return [await record_count(session, person, reading, cause=cause, source=source) for reading in certain.values()]


async def record_count(
    session: AsyncSession, person: Person, reading: PlateletReading, *, cause: str, source: str = "patient_chat"
) -> Observation:
    """Store one platelet count."""
    assert reading.value is not None
    observation = Observation(
        id=new_id(),
        recorded_at=clock.now(),
        person_id=person.id,
        kind=Kind.PLATELET,
        value=float(reading.value),
        unit="10⁹/L",
        taken_on=reading.taken_on or clock.today(),
        approximate=reading.bound is not None,
        source=source,
        cause=cause,
    )
    key = person.key(vault_of(session))
    observation.typed_sealed = key.seal(reading.typed, "observation", "typed", observation.id)
    session.add(observation)
    await session.flush()
    return observation


async def record_bleeding(
    session: AsyncSession, person: Person, *, code: str, typed: str, cause: str, source: str
) -> Observation:
    """Store what a patient said about bleeding. `code` is `none`, `skin`, `mucosa` or `organ`."""
    already = [row for row in await _of_cause(session, cause) if row.kind is Kind.BLEEDING]
    if already:
        return already[0]
    observation = Observation(
        id=new_id(),
        recorded_at=clock.now(),
        person_id=person.id,
        kind=Kind.BLEEDING,
        code=code,
        taken_on=clock.today(),
        source=source,
        cause=cause,
    )
    key = person.key(vault_of(session))
    observation.typed_sealed = key.seal(typed, "observation", "typed", observation.id)
    session.add(observation)
    await session.flush()
    return observation


async def _of_cause(session: AsyncSession, cause: str) -> list[Observation]:
    return list(await session.scalars(select(Observation).where(Observation.cause == cause)))


async def withdraw(session: AsyncSession, observation: Observation, *, replaced_by: Observation | None) -> None:
    """The patient said it was wrong. The row stays, marked."""
    observation.withdrawn_at = clock.now()
    observation.replaced_by = replaced_by.id if replaced_by is not None else None


async def last_told(session: AsyncSession, person: Person, kind: Kind = Kind.PLATELET) -> Observation | None:
    """The observation recorded last that still stands."""
    statement = (
        select(Observation)
        .where(Observation.person_id == person.id, Observation.kind == kind, Observation.withdrawn_at.is_(None))
        .order_by(Observation.recorded_at.desc())
        .limit(1)
    )
    return await session.scalar(statement)


async def told_already(session: AsyncSession, person: Person, reading: PlateletReading) -> bool:
    """Whether this very count of this day stands in the record, as when an answer was urgent and recorded at once."""
    statement = select(Observation.id).where(
        Observation.person_id == person.id,
        Observation.kind == Kind.PLATELET,
        Observation.value == reading.value,
        Observation.taken_on == (reading.taken_on or clock.today()),
        Observation.withdrawn_at.is_(None),
    )
    return await session.scalar(statement.limit(1)) is not None


async def counts(session: AsyncSession, person_id: uuid.UUID, *, since: date | None = None) -> list[Count]:
    """The person's platelet counts that stand, oldest first. For staff only through `open_record`."""
    return (await counts_of(session, [person_id], since=since))[person_id]


async def counts_of(
    session: AsyncSession, person_ids: Sequence[uuid.UUID], *, since: date | None = None
) -> defaultdict[uuid.UUID, list[Count]]:
    """By person, the platelet counts that stand, oldest first. Never for staff."""
    statement = select(Observation.person_id, Observation.value, Observation.taken_on, Observation.approximate).where(
        Observation.person_id == one_of(person_ids),
        Observation.kind == Kind.PLATELET,
        Observation.withdrawn_at.is_(None),
        Observation.value.is_not(None),
    )
    if since is not None:
        statement = statement.where(Observation.taken_on >= since)
    ordered = statement.order_by(Observation.taken_on, Observation.recorded_at)
    found: defaultdict[uuid.UUID, list[Count]] = defaultdict(list)
    for row in await session.execute(ordered):
        found[row.person_id].append(Count(row.value or 0.0, row.taken_on, row.approximate))
    return found


async def medicines(session: AsyncSession, person_id: uuid.UUID) -> list[Medicine]:
    """What the person takes now."""
    return (await medicines_of(session, [person_id]))[person_id]


async def medicines_of(
    session: AsyncSession, person_ids: Sequence[uuid.UUID]
) -> defaultdict[uuid.UUID, list[Medicine]]:
    """By person, what they take now. Never for staff."""
    today = clock.today()
    statement = select(Medicine).where(Medicine.person_id == one_of(person_ids)).order_by(Medicine.since)
    found: defaultdict[uuid.UUID, list[Medicine]] = defaultdict(list)
    for row in await session.scalars(statement):
        if row.until is None or row.until >= today:
            found[row.person_id].append(row)
    return found


@dataclass(frozen=True, slots=True)
class Record:
    """What a member of staff sees of a person."""

    person: Person
    name: str
    age: int | None
    counts: Sequence[Count]
    bleeding: Sequence[Observation]
    medicines: Sequence[Medicine]


async def open_record(session: AsyncSession, *, actor: Staff, person_id: uuid.UUID, why: str, **details: Any) -> Record:
    """The one way for staff to a record: checks the right, writes the audit row, then opens.

    Clinical staff see the patients of their hospital, and those whose question they hold; the platform's own doctors
    (hospital of level 0) see those whose question reached them. Their page names the question in `details`.

    Raises:
        Forbidden: the role or the hospital does not allow it. That is audited too.
    """
    person = await session.get_one(Person, person_id)
    allowed = actor.active and actor.role in CLINICAL_ROLES and await _theirs(session, actor, person)
    audit.record(
        session,
        "record_opened" if allowed else "record_refused",
        actor_kind="staff",
        actor_id=actor.id,
        subject_kind="person",
        subject_id=person_id,
        why=why,
        **details,
    )
    if not allowed:
        raise Forbidden("您没有查看这位患者的权限。")
    bleeding = select(Observation).where(
        Observation.person_id == person_id, Observation.kind == Kind.BLEEDING, Observation.withdrawn_at.is_(None)
    )
    return Record(
        person,
        person.name(vault_of(session)) or "未登记姓名",
        person.age(clock.today()),
        await counts(session, person_id),
        list(await session.scalars(bleeding.order_by(Observation.taken_on))),
        await medicines(session, person_id),
    )


async def _theirs(session: AsyncSession, actor: Staff, person: Person) -> bool:
    from bot.care.consultations.ladder import LAST_RUNG  # noqa: PLC0415 - consultations hang on persons, not the reverse
    from bot.care.consultations.rows import Consultation  # noqa: PLC0415
    from bot.care.roster import platform  # noqa: PLC0415

    if person.hospital_id is not None and actor.hospital_id == person.hospital_id:
        return True
    # Somebody of another hospital: whoever claimed the patient's question, and the platform's own once it reached them.
    reached = Consultation.holder_id == actor.id
    own = await platform(session)
    if own is not None and actor.hospital_id == own.id:
        reached |= Consultation.hospital_id.is_(None) | (Consultation.rung >= LAST_RUNG)
    asked = select(Consultation.id).where(Consultation.person_id == person.id, reached).limit(1)
    return await session.scalar(asked) is not None
