"""Triage of a message: which red flags it raises and how soon somebody must act.

>>> from datetime import date
>>> triage("头疼得厉害，吐了两次", today=date(2026, 11, 23)).flag_level.word
'emergency'
>>> triage("血小板低能不能打篮球", today=date(2026, 11, 23)).flag_level.word
'none'
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from bot.care.triage.circumstances import circumstances, forget_old_count
from bot.care.triage.combine import Bleed, Picture, decide
from bot.care.triage.conditions import Values
from bot.care.triage.reading import Reading, Said, Span
from bot.care.triage.rulebook import NEAR, Flag, Pattern, Rulebook, rulebook
from bot.care.triage.verdict import Facts, FlagLevel, Hit, Need, Verdict
from bot.language.counts import PlateletReading, read_counts
from bot.language.normal import Normalised, normalise, normalise_keeping_offsets

_EARLIER = 5
_EARLIER_LENGTH = 300
_PIECE, _OVERLAP = 1500, 100
_BLEEDS = {grade.name.lower(): grade for grade in Bleed}
_BY_NEED = (("pregnant", "pregnant"), ("anti", "medicines"))
_NOBODY = Facts()


class _Found:
    """What one pass over a piece of text found: per flag its best match, and what was worth asking."""

    def __init__(self) -> None:
        self.matches: dict[str, tuple[Said, tuple[Span, ...]]] = {}
        self.past: bool = False


def triage(text: str, *, earlier: Sequence[str] = (), record: Facts | None = None, today: date) -> Verdict:
    """Judge a message.

    `earlier` are the person's messages of the last minutes, oldest first: what is said over two messages is read
    together, and a flag fires only with some part of it in `text`. `record` is what is known of the person.

    Raises:
        Anything that a bug raises; callers on a patient's path use `safe_triage`.
    """
    book = rulebook()
    record = record or _NOBODY
    before = "\n".join(normalise(message)[-_EARLIER_LENGTH:] for message in earlier[-_EARLIER:])
    before = before + "\n" if before else ""
    plain = normalise_keeping_offsets(text)
    counts = [
        count for message in earlier[-_EARLIER:] for count in read_counts(message[-_EARLIER_LENGTH:], today=today)
    ]
    own_counts = read_counts(text, today=today)
    own_counts = _of_this_person(own_counts, plain, book)
    known = own_counts if any(count.role == "current" for count in own_counts) else [*counts, *own_counts]

    matches: dict[str, tuple[Said, str, tuple[int, int] | None]] = {}
    values: dict[str, float | None] = {}
    ask_now = False
    for piece, offset in _pieces(before + plain.text, len(before)):
        reading = Reading(piece, book)
        here = circumstances(reading, known, record, today)
        values = {**here, **{name: value for name, value in values.items() if value is not None}}
        found = _match(book, reading, values, max(0, len(before) - offset))
        ask_now = ask_now or found.past
        for flag_id, (said, spans) in found.matches.items():
            if flag_id not in matches or (matches[flag_id][0] is Said.RESOLVED and said is Said.PRESENT):
                matches[flag_id] = (said, *_words(reading, plain, text, spans, offset - len(before)))
    if any(book.flag(name).bleed for name in matches):
        forget_old_count(values, known, record, today)
    if record.procedure_on is not None and 0 <= (record.procedure_on - today).days <= 7:
        soon = (record.procedure_on - today).days <= 1
        matches.setdefault("procedure_tomorrow" if soon else "procedure_week", (Said.PRESENT, "", None))
    return _verdict(book, matches, values, own_counts, known, ask_now)


def _of_this_person(counts: list[PlateletReading], plain: Normalised, book: Rulebook) -> list[PlateletReading]:
    """The counts without those of somebody else, of a supposed case or of a figure of speech."""
    if not counts or len(plain.text) > _PIECE:
        return counts
    reading = Reading(plain.text, book)
    kept = []
    for count in counts:
        at = bisect_left(plain.starts, count.start)
        said = reading.said((at, max(at + 1, bisect_left(plain.starts, count.end))))
        if said not in {Said.OTHERS, Said.SUPPOSED, Said.FIGURE}:
            kept.append(replace(count, role="previous") if said is Said.PAST and count.role == "current" else count)
    return kept


def _pieces(text: str, first: int) -> Iterable[tuple[str, int]]:
    """The text in pieces short enough to read in no time, overlapping so that nothing is cut in two."""
    if len(text) <= _PIECE + first:
        yield text, 0
        return
    for start in range(0, len(text), _PIECE - _OVERLAP):
        yield text[start : start + _PIECE], start
        if start + _PIECE >= len(text):
            return


def _match(book: Rulebook, reading: Reading, values: Values, own_from: int) -> _Found:
    found = _Found()
    candidates = {pair for sense in reading.found for pair in book.triggers.get(sense, ())}
    for number, at in sorted(candidates):
        flag = book.flags[number]
        known = found.matches.get(flag.id)
        if known is not None and known[0] is Said.PRESENT:
            continue
        match = _one(book, reading, flag, flag.patterns[at], values, own_from)
        if match is None:
            continue
        if match[0] is Said.PAST:
            found.past = found.past or (flag.level is FlagLevel.EMERGENCY and any(map(reading.weakly_past, match[1])))
            continue
        if any(_one(book, reading, flag, pattern, values, 0) for pattern in flag.unless):
            continue
        found.matches[flag.id] = match
    return found


def _one(
    book: Rulebook, reading: Reading, flag: Flag, pattern: Pattern, values: Values, own_from: int
) -> tuple[Said, tuple[Span, ...]] | None:
    """Whether a pattern holds: PRESENT or RESOLVED with the spans of its parts, PAST where only its time is wrong."""
    if any(part not in reading.found for part in pattern.parts):
        return None
    if not all(condition.holds(values) for condition in pattern.conditions):
        return None
    accepted = {Said.PRESENT, Said.RESOLVED, Said.PAST}
    if "others" in flag.accepts:
        accepted.add(Said.OTHERS)
    chosen: list[list[Span]] = []
    for part in pattern.parts:
        spans = [span for span in reading.found[part] if part in book.contexts or reading.said(span) in accepted]
        if not spans:
            return None
        chosen.append(spans)
    best: tuple[Said, tuple[Span, ...]] | None = None
    for first in chosen[0]:
        together = _together(reading, first, chosen, pattern.joins)
        if together is None or all(end <= own_from for _, end in together):
            continue
        said = _said_together(book, reading, pattern, together, "past" in flag.accepts)
        if best is None or _ORDER[said] < _ORDER[best[0]]:
            best = (said, together)
        if said is Said.PRESENT:
            break
    return best


_ORDER = {Said.PRESENT: 0, Said.RESOLVED: 1, Said.PAST: 2}


def _together(
    reading: Reading, first: Span, chosen: list[list[Span]], joins: tuple[str, ...]
) -> tuple[Span, ...] | None:
    spans = [first]
    for options, join in zip(chosen[1:], joins, strict=True):
        if join == "~":
            sentence = reading.sentence(first[0])
            near = [
                span
                for span in options
                if sentence[0] <= span[0] < sentence[1] and min(_gap(span, other) for other in spans) <= NEAR
            ]
        else:
            near = options
        if not near:
            return None
        spans.append(min(near, key=lambda span: (_ORDER.get(reading.said(span), 3), _gap(span, first))))
    return tuple(spans)


def _said_together(
    book: Rulebook, reading: Reading, pattern: Pattern, spans: tuple[Span, ...], past_counts: bool
) -> Said:
    said = {reading.said(span) for part, span in zip(pattern.parts, spans, strict=True) if part not in book.contexts}
    if not said:
        said = {reading.said(span) for span in spans} & {Said.PAST, Said.RESOLVED, Said.SUPPOSED}
    if (Said.PAST in said or Said.SUPPOSED in said) and not past_counts:
        return Said.PAST
    return Said.RESOLVED if Said.RESOLVED in said else Said.PRESENT


def _gap(one: Span, other: Span) -> int:
    return max(0, one[0] - other[1], other[0] - one[1])


def _words(
    reading: Reading, plain: Normalised, text: str, spans: tuple[Span, ...], shift: int
) -> tuple[str, tuple[int, int] | None]:
    """The words that raised a flag, and their span in the message where they all stand in it."""
    own = [(start + shift, end + shift) for start, end in spans if start + shift >= 0]
    if len(own) < len(spans):
        return "…".join(reading.text[start:end] for start, end in sorted(spans)), None
    start, end = plain.original(min(span[0] for span in own), max(span[1] for span in own))
    return text[start:end], (start, end)


def _verdict(
    book: Rulebook,
    matches: dict[str, tuple[Said, str, tuple[int, int] | None]],
    values: dict[str, float | None],
    own_counts: list[PlateletReading],
    counts: list[PlateletReading],
    ask_now: bool,
) -> Verdict:
    by_id = {flag.id: flag for flag in book.flags}
    bleeds = {_BLEEDS[by_id[name].bleed or ""] for name in matches if by_id[name].bleed}
    values["bleed"] = float(max(bleeds, default=Bleed.NONE))
    for number, at in book.triggers.get(-1, ()):
        flag = book.flags[number]
        if flag.id not in matches and all(condition.holds(values) for condition in flag.patterns[at].conditions):
            matches[flag.id] = (Said.PRESENT, *_count_words(own_counts or counts, own=bool(own_counts)))
    hits = []
    flags: dict[str, FlagLevel] = {}
    for name, (said, words, span) in matches.items():
        flag = by_id[name]
        if flag.level is None:
            flags[name] = FlagLevel.NONE
            continue
        level = flag.level
        for raised, condition in flag.raises:
            if raised > level and condition.holds(values):
                level = raised
        if said is Said.RESOLVED and (flag.eases or level < FlagLevel.EMERGENCY):
            level = FlagLevel(level - 1)
        flags[name] = level
        if level > FlagLevel.NONE:
            hits.append(Hit(name, level, span, words, flag.reason, flag.name))
    picture = _picture(flags, matches, bleeds, values)
    row, level, why = decide(picture)
    hits.sort(key=lambda hit: -hit.level)
    return Verdict(
        flag_level=level,
        hits=tuple(hits),
        advice=_advice(by_id, hits, level, flags),
        reason=_reason(why, hits, row),
        needs=_needs(picture, level, counts, ask_now),
        row=row,
        version=book.version,
    )


def _picture(
    flags: dict[str, FlagLevel],
    matches: dict[str, tuple[Said, str, tuple[int, int] | None]],
    bleeds: Iterable[Bleed],
    values: Values,
) -> Picture:
    still = any(matches[name][0] is Said.PRESENT for name in ("sign_still_bleeding",) if name in matches)
    # A headache that is over has no row of its own, only its flag.
    present = {
        name: level for name, level in flags.items() if name != "headache_new_mild" or matches[name][0] is Said.PRESENT
    }
    return Picture(present, frozenset(bleeds), still, values)


def _count_words(counts: list[PlateletReading], *, own: bool) -> tuple[str, tuple[int, int] | None]:
    current = [count for count in counts if count.role == "current"]
    if not current:
        return "", None
    lowest = min(current, key=lambda count: count.lowest)
    return lowest.typed, (lowest.start, lowest.end) if own else None


_ADVICE_FIRST = ("self_harm", "poisoning", "anaphylaxis", "obstetric", "infection", "bleeding")


def _advice(by_id: dict[str, Flag], hits: Sequence[Hit], level: FlagLevel, flags: dict[str, FlagLevel]) -> str | None:
    if level is FlagLevel.EMERGENCY:
        wanted = {by_id[hit.flag_id].advice for hit in hits if hit.level is FlagLevel.EMERGENCY}
        return next((advice for advice in _ADVICE_FIRST if advice in wanted), "bleeding")
    if level is FlagLevel.URGENT:
        return "mood" if any(hit.flag_id == "mood_distress" for hit in hits) else "urgent"
    return "watch" if level is FlagLevel.WATCH else None


def _reason(why: str, hits: Sequence[Hit], row: int) -> str:
    if not hits:
        return f"{why}（表第{row}行）"
    names = "；".join(f"{hit.name}（「{hit.words}」）" if hit.words else hit.name for hit in hits[:4])
    return f"{names}。{why}（表第{row}行）"


def _needs(picture: Picture, level: FlagLevel, counts: list[PlateletReading], ask_now: bool) -> tuple[Need, ...]:
    needs: list[Need] = []
    if ask_now and level < FlagLevel.EMERGENCY:
        needs.append("is_it_now")
    current = [count for count in counts if count.role == "current"]
    if current and (current[-1].needs_confirmation or current[-1].ambiguous):
        needs.append("count_unit")
    if picture.unknown and level < FlagLevel.EMERGENCY and picture.bleed > Bleed.NONE:
        needs.append("platelet_count")
    for name, need in _BY_NEED:
        if level >= FlagLevel.EMERGENCY or picture.values.get(name) is not None:
            continue
        if name == "pregnant" and not picture.values.get("female"):
            continue
        worse = Picture(picture.flags, picture.bleeds, picture.still_bleeding, {**picture.values, name: 1.0})
        if decide(worse)[1] > level:
            needs.append("pregnant" if need == "pregnant" else "medicines")
    return tuple(needs)


def safe_triage(text: str, *, earlier: Sequence[str] = (), record: Facts | None = None, today: date) -> Verdict:
    """`triage` that never raises: if it breaks, the message goes to the doctors as urgent (it fails closed)."""
    try:
        return triage(text, earlier=earlier, record=record, today=today)
    except Exception:  # noqa: BLE001 (whatever broke, the doctors must see the message)
        return Verdict(
            flag_level=FlagLevel.URGENT,
            hits=(),
            advice="urgent",
            reason="自动分诊出错，这条消息没有被判断，请医生亲自阅读",
            needs=(),
            row=None,
            version="",
            failed=True,
        )
