"""What a patient tells in a sentence: recorded, asked back when it can mean two things, corrected.

A bare 「3」 may be 3 or 30 (×10⁹/L): nothing is stored before the patient said which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.patients import Person
from bot.care.records import Observation
from bot.language.counts import PlateletReading, format_count, read_counts


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a sentence: the counts stored, or a doubt to put to the patient."""

    counts: Sequence[Observation] = ()
    doubt: str | None = None
    choices: tuple[str, ...] = field(default=())
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """A count that was replaced, both in words."""

    was: str
    now: str


async def record_told(session: AsyncSession, person: Person, text: str, *, cause: str) -> Report:
    """Store what is certain; ask about what is not."""
    stored = await records.record_counts(session, person, text, cause=cause)
    doubtful = [
        reading
        for reading in read_counts(text, today=clock.today())
        if (reading.ambiguous or reading.needs_confirmation) and reading.role == "current"
    ]
    if stored or not doubtful:
        return Report(counts=stored)
    return _doubt(doubtful[0])


def _doubt(reading: PlateletReading) -> Report:
    low = reading.lowest
    if low < 16 and not reading.ambiguous:
        choices = (format_count(low), format_count(low * 10))
        return Report(doubt="您说的血小板是哪一个？", choices=choices, pending=reading.typed)
    return Report(doubt="您说的血小板具体是多少？请带上单位，比如「2.3万」或「23」。", pending=reading.typed)


async def confirm(session: AsyncSession, person: Person, pending: str, text: str, *, cause: str) -> Report:
    """The answer to a doubt: a chosen line, a clearer number, or something else altogether."""
    stored = await records.record_counts(session, person, text, cause=cause)
    if stored:
        return Report(counts=stored)
    answered = f"血小板{text.strip().removeprefix('是')}"
    clear = [r for r in read_counts(answered, today=clock.today()) if r.value is not None and not r.needs_confirmation]
    if clear and not clear[-1].ambiguous:
        about = next(iter(read_counts(pending, today=clock.today())), None)
        reading = replace(clear[-1], taken_on=about.taken_on if about is not None else None)
        return Report(counts=[await records.record_count(session, person, reading, cause=cause)])
    return Report()


async def correct(session: AsyncSession, person: Person, text: str, *, cause: str) -> Corrected | None:
    """Withdraw the last count and store the right one with the same date, unless another date is told."""
    last = await records.last_told(session, person)
    if last is None or last.value is None:
        return None
    readings = read_counts(text, today=clock.today()) or read_counts(
        "血小板" + text.rpartition("是")[2], today=clock.today()
    )
    usable = [r for r in readings if r.value is not None and not r.ambiguous]
    if not usable:
        return None
    reading = usable[-1]
    if reading.taken_on is None or reading.taken_on == clock.today():
        reading = replace(reading, taken_on=last.taken_on)
    new = await records.record_count(session, person, reading, cause=cause)
    await records.withdraw(session, last, replaced_by=new)
    return Corrected(format_count(last.value), format_count(new.value or 0))
