"""What the combination table needs to know of the person: from the message first, else from the record."""

import re
from collections.abc import Sequence
from datetime import date, timedelta

from bot.care.triage.reading import Reading, Said
from bot.care.triage.values import measured
from bot.care.triage.verdict import Facts
from bot.language.counts import PlateletReading
from bot.language.medicines import find_medicines
from bot.language.normal import normalise

CURRENT_DAYS, CURRENT_DAYS_BLEEDING = 7, 3
"""For how long a count speaks of now, and where bleeding is new. A count below 20 is kept for the whole week: to forget
it would lower a level."""

_ASKED_OR_REFUSED = re.compile(
    r"(?:能不能|能|可以|可不可以|不能|不可以|要不要|该不该|避免|禁用?|不要|不敢|没|没有|想|打算|别|不)(?:再|随便|乱|一起|同时)?(?:吃|用|服|喝|打|贴|停)?$"
)
_GROUPS = {
    "steroid": {"steroid"},
    "tpo": {"tpo", "tpo_ra"},
    "ivig": {"ivig"},
    "antithrombotic": {"antithrombotic"},
    "nsaid": {"nsaid"},
    "immunosuppressed": {"anti_cd20", "immunosuppressant"},
}
_NOW = {Said.PRESENT, Said.RESOLVED}
_NEW = re.compile(
    r"刚确诊|刚查出|刚刚确诊|第一次查|初次发现|新诊断|刚诊断|刚发现|首次发现|第一次发现|头一次查|今天确诊|昨天确诊|刚得"
)
_WOMAN = re.compile(r"月经|姨妈|例假|怀孕|孕|老婆|妻子|女朋友|闺女|姐|她")
_NOT_PREGNANT = re.compile(r"备孕|想怀|没怀孕|没有怀孕|不是怀孕|能不能怀|能怀|怀孕吗|怀孕会|想要孩子|怀孕的时候|怀孕时")


def circumstances(
    reading: Reading, counts: Sequence[PlateletReading], record: Facts, today: date
) -> dict[str, float | None]:
    """Values and yes/no circumstances by the names conditions use; unknown is None or absent."""
    values: dict[str, float | None] = dict(measured(reading.text, lambda span: reading.said(span) in _NOW))
    if values.get("age") is None and record.age is not None:
        values["age"] = float(record.age)
    if values.get("weeks") is None and record.pregnancy_weeks is not None:
        values["weeks"] = float(record.pregnancy_weeks)
    taken = {group for name in record.medicines for _, group, *_ in find_medicines(normalise(name))} | _taken(reading)
    for name, kinds in _GROUPS.items():
        values[name] = 1.0 if taken & kinds else None
    values["anti"] = 1.0 if values["antithrombotic"] or values["nsaid"] else None
    values["pregnant"] = 1.0 if _pregnant(reading) or values.get("weeks") or record.pregnant else _no(record.pregnant)
    values["asplenic"] = 1.0 if _holds(reading, "切脾", past=True) or record.asplenic else _no(record.asplenic)
    if values["asplenic"] or record.immunosuppressed:
        values["immunosuppressed"] = 1.0
    age = values.get("age")
    child = _holds(reading, "孩子") and not values["pregnant"]
    values["child"] = (
        1.0 if (age is not None and age < 18) or (age is None and child) else 0.0 if age is not None else None
    )
    values["infant"] = 1.0 if age is not None and age < 2 else None
    values["newborn"] = 1.0 if record.newborn or _holds(reading, "新生儿") else None
    recent = record.diagnosed_on is not None and today - record.diagnosed_on < timedelta(days=14)
    values["newly_diagnosed"] = 1.0 if recent or _NEW.search(reading.text) else None
    values["personal_rule"] = 1.0 if record.personal_rule else None
    values["female"] = 1.0 if _WOMAN.search(reading.text) else None
    values["plt"] = _count(counts, record, today)
    ambiguous = [count for count in counts if count.role == "current" and (count.ambiguous or count.needs_confirmation)]
    values["ambiguous"] = 1.0 if ambiguous else None
    values["falling"] = 1.0 if _falling(values["plt"], counts, record, today) else None
    return values


def forget_old_count(
    values: dict[str, float | None], counts: Sequence[PlateletReading], record: Facts, today: date
) -> None:
    """Where somebody bleeds anew, a count of the record that is older than three days tells nothing, unless it was low."""
    told = any(count.role == "current" for count in counts)
    recent = any((today - day).days <= CURRENT_DAYS_BLEEDING for day, _ in record.last_counts)
    count = values.get("plt")
    if not told and not recent and count is not None and count >= 20:
        values["plt"] = None


def _count(counts: Sequence[PlateletReading], record: Facts, today: date) -> float | None:
    now = [
        count
        for count in counts
        if count.role == "current" and (count.taken_on is None or (today - count.taken_on).days <= CURRENT_DAYS)
    ]
    if now:
        latest = max(count.taken_on or today for count in now)
        return min(count.lowest for count in now if (count.taken_on or today) == latest)
    for day, value in sorted(record.last_counts, reverse=True):
        return value if (today - day).days <= CURRENT_DAYS else None
    return None


def _falling(now: float | None, counts: Sequence[PlateletReading], record: Facts, today: date) -> bool:
    """The fall of LEE22: by half, or below 30 with more than a fifth, within 14 days (or as the message itself
    sets them against each other)."""
    if now is None:
        return False
    earlier = [
        count.lowest
        for count in counts
        if count.role == "previous" and (count.taken_on is None or (today - count.taken_on).days <= 14)
    ]
    earlier += [value for day, value in record.last_counts if (today - day).days <= 14]
    return any(now <= before / 2 or (now < 30 and now < before * 0.8) for before in earlier if before > now)


def _taken(reading: Reading) -> set[str]:
    """Classes of the medicines that the message says are being taken."""
    found = set()
    for _, group, start, end in find_medicines(reading.text):
        clause = reading.clause(start)
        if reading.said((start, end)) not in {Said.PRESENT, Said.RESOLVED}:
            continue
        if _ASKED_OR_REFUSED.search(reading.text[clause[0] : start]):
            continue
        found.add(group)
    return found


def _pregnant(reading: Reading) -> bool:
    return _holds(reading, "怀孕") and not _NOT_PREGNANT.search(reading.text)


def _holds(reading: Reading, sense: str, *, past: bool = False) -> bool:
    accepted = {Said.PRESENT, Said.RESOLVED, Said.PAST} if past else {Said.PRESENT, Said.RESOLVED}
    number = reading.book.senses[sense]
    return any(reading.said(span) in accepted for span in reading.spans(number))


def _no(known: bool | None) -> float | None:
    return None if known is None else float(known)
