"""What a patient tells in a sentence: recorded, asked back when it can mean two things, corrected.

A bare 「3」 may be 3 or 30 (×10⁹/L): nothing is stored before the patient said which.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.patients import Person
from bot.care.records import Observation
from bot.language.counts import PlateletReading, format_count, read_counts

type Pending = dict[str, str]
"""A doubt as the conversation keeps it: `taken_on` (ISO day), and `replaces` (an observation's id) in a correction."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a sentence: the counts stored, or a doubt to put to the patient."""

    counts: Sequence[Observation] = ()
    doubt: str | None = None
    choices: tuple[str, ...] = field(default=())
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """A count that was replaced, both in words."""

    was: str
    now: str


async def record_told(session: AsyncSession, person: Person, text: str, *, cause: str) -> Report:
    """Store what is certain; ask about what is not."""
    stored = await records.record_counts(session, person, text, cause=cause)
    doubt = doubt_about(text)
    return doubt if doubt is not None and not stored else Report(counts=stored)


def doubt_about(text: str) -> Report | None:
    """The doubt that a sentence leaves about its count, or None."""
    doubtful = [reading for reading in read_counts(text, today=clock.today()) if _in_doubt(reading)]
    return _doubt(doubtful[0], {"taken_on": _day(doubtful[0]).isoformat()}) if doubtful else None


async def confirm(
    session: AsyncSession, person: Person, pending: Mapping[str, str], text: str, *, cause: str
) -> Report:
    """The answer to a doubt: a chosen line, a clearer number, or something else altogether."""
    readings = _read(text)
    clear = {(reading.value, reading.taken_on): reading for reading in readings if _is_clear(reading)}
    if not clear:
        doubtful = [reading for reading in readings if _in_doubt(reading)]
        return _doubt(doubtful[0], dict(pending)) if doubtful else Report()
    then = date.fromisoformat(pending["taken_on"])
    stored = [
        await records.record_count(session, person, replace(one, taken_on=one.taken_on or then), cause=cause)
        for one in clear.values()
    ]
    if "replaces" in pending:
        wrong = select(Observation).where(Observation.id == uuid.UUID(pending["replaces"]))
        for observation in await session.scalars(wrong.where(Observation.person_id == person.id)):
            await records.withdraw(session, observation, replaced_by=stored[-1])
    return Report(counts=stored)


async def correct(session: AsyncSession, person: Person, text: str, *, cause: str) -> Corrected | Report | None:
    """Withdraw the last count and store the right one with the same date, unless another date is told.

    A `Report` when the right one can mean two things; None when there is nothing to correct, or nothing to correct it to.
    """
    last = await records.last_told(session, person)
    if last is None or last.value is None:
        return None
    readings = _read(text, after="是")
    if usable := [reading for reading in readings if _is_clear(reading)]:
        reading = usable[-1]
        if reading.taken_on is None or reading.taken_on == clock.today():
            reading = replace(reading, taken_on=last.taken_on)
        new = await records.record_count(session, person, reading, cause=cause)
        await records.withdraw(session, last, replaced_by=new)
        return Corrected(format_count(last.value), format_count(new.value or 0))
    if doubtful := [reading for reading in readings if _in_doubt(reading)]:
        day = doubtful[-1].taken_on or last.taken_on
        return _doubt(doubtful[-1], {"taken_on": day.isoformat(), "replaces": str(last.id)})
    return None


def _read(text: str, *, after: str = "") -> Sequence[PlateletReading]:
    """The counts of an answer, in which nobody says again that it is about platelets."""
    today = clock.today()
    bare = text.rpartition(after)[2] if after else text.strip().removeprefix("是")
    return read_counts(text, today=today) or read_counts(f"血小板{bare}", today=today)


def _is_clear(reading: PlateletReading) -> bool:
    return reading.value is not None and not (reading.ambiguous or reading.needs_confirmation)


def _in_doubt(reading: PlateletReading) -> bool:
    return (reading.ambiguous or reading.needs_confirmation) and reading.role == "current"


def _day(reading: PlateletReading) -> date:
    return reading.taken_on or clock.today()


def _doubt(reading: PlateletReading, pending: Pending) -> Report:
    low, taken_on = reading.lowest, date.fromisoformat(pending["taken_on"])
    if low < 16 and not reading.ambiguous:
        # The line that is chosen comes back as a sentence of its own, which must tell the day as well.
        day = f"{taken_on.month}月{taken_on.day}日 " if taken_on != clock.today() else ""
        choices = (day + format_count(low), day + format_count(low * 10))
        return Report(doubt="您说的血小板是哪一个？", choices=choices, pending=pending)
    return Report(doubt="您说的血小板具体是多少？请带上单位，比如「2.3万」或「23」。", pending=pending)
