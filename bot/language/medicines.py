"""Medicines of people with ITP by all the names they are called, typos included, to their generic Chinese name.

The names are data (`data/lexicon/medicines.tsv`: generic, class, aliases). For recording and recognition only: nothing
here says a dose.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from bot.language.normal import normalise_keeping_offsets
from bot.language.words import LEXICON


@dataclass(frozen=True)
class Medicine:
    """A medicine found in a text.

    `generic` is the Chinese generic name, `group` its class (steroid, tpo_ra, immunosuppressant,
    antithrombotic, nsaid, ...), `start` and `end` its place in the original text, `said` the words there.
    """

    generic: str
    group: str
    said: str
    start: int
    end: int


def read_medicines(text: str) -> list[Medicine]:
    """The medicines of a message in order, each mention once, the longest name at a place winning."""
    plain = normalise_keeping_offsets(text)
    found = []
    for generic, group, start, end in find_medicines(plain.text):
        first, last = plain.original(start, end)
        found.append(Medicine(generic, group, text[first:last], first, last))
    return found


def find_medicines(plain: str) -> Iterator[tuple[str, str, int, int]]:
    """(generic, class, start, end) for each medicine in an already normalised text."""
    by_start = _by_first_two()
    at = 0
    while at < len(plain) - 1:
        for alias, generic, group in by_start.get(plain[at : at + 2], ()):
            if plain.startswith(alias, at) and not _inside_latin_word(plain, at, at + len(alias)):
                yield generic, group, at, at + len(alias)
                at += len(alias) - 1
                break
        at += 1


def groups() -> dict[str, str]:
    """Generic name to class, for all medicines known."""
    return {generic: group for generic, group, _ in _table()}


@cache
def _table() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    rows = []
    for line in (LEXICON / "medicines.tsv").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            generic, group, aliases = line.split("\t")
            rows.append((generic, group, tuple(aliases.split())))
    return tuple(rows)


@cache
def _by_first_two() -> dict[str, tuple[tuple[str, str, str], ...]]:
    index: dict[str, list[tuple[str, str, str]]] = {}
    for generic, group, aliases in _table():
        for alias in dict.fromkeys((generic, *aliases)):
            index.setdefault(alias[:2], []).append((alias, generic, group))
    return {key: tuple(sorted(rows, key=lambda row: -len(row[0]))) for key, rows in index.items()}


def _inside_latin_word(plain: str, start: int, end: int) -> bool:
    if not plain[start].isascii():
        return False
    before, after = plain[start - 1 : start], plain[end : end + 1]
    return (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
