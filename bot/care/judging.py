"""Triage with the record in hand: what a message adds to what is known, and what level that asks for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.states import Level
from bot.care.patients import Person
from bot.care.triage import Facts, FlagLevel, Verdict, safe_triage

_LEVELS = {FlagLevel.EMERGENCY: Level.EMERGENCY, FlagLevel.URGENT: Level.URGENT, FlagLevel.WATCH: Level.ROUTINE}


def level_of(verdict: Verdict) -> Level | None:
    """The level a verdict asks for; a broken triage asks for a doctor the same day."""
    return Level.URGENT if verdict.failed else _LEVELS.get(verdict.flag_level)


def judge_sentence(text: str) -> tuple[Level | None, str, tuple[str, ...]]:
    """Judge a sentence outside any message (the answers of a check-in): level, reason, flags."""
    verdict = safe_triage(text, today=clock.today())
    return level_of(verdict), short_reason(verdict), tuple(hit.flag_id for hit in verdict.hits)


def judge(text: str, *, earlier: Sequence[str], record: Facts | None) -> Verdict:
    """What this message adds. What was said or recorded before raises what it says, but nothing by itself: a count of
    18 that the doctors have already been told of must not turn every later 「谢谢」 into an alert.
    """
    verdict = safe_triage(text, earlier=earlier, record=record, today=clock.today())
    quiet = verdict.flag_level is FlagLevel.NONE and not verdict.hits
    if verdict.failed or quiet or any(hit.span is not None for hit in verdict.hits):
        return verdict
    known = safe_triage("", earlier=earlier, record=record, today=clock.today())
    if verdict.flag_level > known.flag_level:
        return verdict
    return replace(verdict, flag_level=FlagLevel.NONE, hits=(), advice=None, reason="")


async def facts_of(session: AsyncSession, person: Person | None) -> Facts | None:
    """What the record knows of a person, for the rules that combine it with what was said."""
    [facts] = await facts_of_each(session, [person])
    return facts


async def facts_of_each(session: AsyncSession, persons: Sequence[Person | None]) -> list[Facts | None]:
    """What the record knows of each of these persons, asked for together."""
    ids = [person.id for person in persons if person is not None]
    if not ids:
        return [None] * len(persons)
    today = clock.today()
    counts = await records.counts_of(session, ids, since=today - timedelta(days=120))
    medicines = await records.medicines_of(session, ids)
    return [
        None
        if person is None
        else Facts(
            age=person.age(today),
            pregnant=person.pregnant,
            last_counts=tuple((count.taken_on, count.value) for count in counts[person.id]),
            medicines=tuple(medicine.name for medicine in medicines[person.id]),
            asplenic=person.spleen_removed,
            diagnosed_on=person.diagnosed_on,
        )
        for person in persons
    ]


def short_reason(verdict: Verdict) -> str:
    """Why, for alerts and queues: the names of the gravest flags, never the patient's words."""
    if verdict.failed:
        return "自动判断出错，请人工查看"
    names = dict.fromkeys(hit.name for hit in sorted(verdict.hits, key=lambda hit: -hit.level))
    return "、".join(list(names)[:3]) or "需要医生看一下"
