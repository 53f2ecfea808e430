"""The red flags of `data/redflags.yml`, compiled once for fast matching.

A phrase is plain text with alternatives in braces: `头{|好|很}{痛|疼}`. `A > B` is B within four characters after A in the
same clause (`A >9 B`: within nine). A pattern of a flag joins parts with ` ~ ` (same sentence, near each other, any order)
or ` + ` (anywhere in the message); a part is a phrase, `[sense]`, or a condition `?plt<30`.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from bot.care.triage.conditions import Condition, parse_condition
from bot.care.triage.verdict import FlagLevel

DATA = Path(__file__).resolve().parents[3] / "data"
NEAR = 15
"""How many characters may lie between two parts joined by `~`."""

_SEQUENCE = re.compile(r" >(\d*) ")
_BRACES = re.compile(r"\{([^{}]*)\}")
_EXPANSIONS = 3_000


class RulebookError(ValueError):
    """The data cannot be used; the message names the place."""


@dataclass(frozen=True)
class Pattern:
    """Parts that must all be present. `joins[i]` says how part i+1 stands to the parts before: near or anywhere."""

    parts: tuple[int, ...]
    joins: tuple[str, ...]
    conditions: tuple[Condition, ...]
    source: str


@dataclass(frozen=True)
class Flag:
    """A red flag, or (level None) a sign that only grades bleeding."""

    id: str
    level: FlagLevel | None
    name: str
    reason: str
    source: str
    advice: str
    bleed: str | None
    patterns: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    raises: tuple[tuple[FlagLevel, Condition], ...]
    eases: bool
    accepts: frozenset[str]


@dataclass(frozen=True)
class Rulebook:
    """Everything triage needs, ready to match.

    `starts` maps the first two characters of a literal to (literal, sense); `singles` one character to senses; `sequences`
    are (sense made, first sense, gap, second sense) in an order in which each is made before it is used. `complaints`
    are the named senses of complaints, `symptoms` these and all parts of patterns.
    """

    version: str
    flags: tuple[Flag, ...]
    starts: Mapping[str, tuple[tuple[str, int], ...]]
    singles: Mapping[str, tuple[int, ...]]
    sequences: tuple[tuple[int, int, int, int], ...]
    triggers: Mapping[int, tuple[tuple[int, int], ...]]
    names: tuple[str, ...]
    complaints: frozenset[int]
    symptoms: frozenset[int]
    contexts: frozenset[int]
    markers: Mapping[str, int]
    typos: re.Pattern[str] | None
    corrections: Mapping[str, str]
    senses: Mapping[str, int]

    def flag(self, flag_id: str) -> Flag:
        """The flag of this id.

        Raises:
            KeyError: there is none.
        """
        for flag in self.flags:
            if flag.id == flag_id:
                return flag
        raise KeyError(flag_id)


def expand(phrase: str) -> list[str]:
    """All plain texts of a phrase with alternatives.

    >>> expand("{头|脑袋}疼")
    ['头疼', '脑袋疼']
    """
    pieces = _BRACES.split(phrase)
    choices = [piece.split("|") if at % 2 else [piece] for at, piece in enumerate(pieces)]
    size = 1
    for choice in choices:
        size *= len(choice)
    if size > _EXPANSIONS:
        raise RulebookError(f"phrase has {size} forms: {phrase}")
    return ["".join(words) for words in itertools.product(*choices)]


@cache
def rulebook() -> Rulebook:
    """The rulebook of the repository's data, loaded once.

    Raises:
        RulebookError: the data does not fit the schema or names something unknown.
    """
    return load((DATA / "redflags.yml").read_text(encoding="utf-8"))


def load(text: str) -> Rulebook:
    """Compile red-flag data.

    Raises:
        RulebookError: see `rulebook`.
    """
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema = json.loads((DATA / "redflags.schema.json").read_text(encoding="utf-8"))
    problem = next(iter(Draft202012Validator(schema).iter_errors(data)), None)
    if problem is not None:
        raise RulebookError(f"{'/'.join(str(step) for step in problem.absolute_path)}: {problem.message}")
    return _Compiler().compile(data)


class _Compiler:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.ids: dict[str, int] = {}
        self.literals: dict[str, set[int]] = {}
        self.sequences: dict[tuple[int, int, int, int], None] = {}
        self.whole: set[int] = set()
        self.open: list[str] = []
        self.items: dict[str, list[str]] = {}

    def compile(self, data: Mapping[str, Any]) -> Rulebook:
        self.items = {**data["senses"], **data["contexts"]}
        for name in self.items:
            self.sense(name)
        symptoms = {self.ids[name] for name in data["senses"]}
        contexts = {self.ids[name] for name in data["contexts"]}
        markers = {}
        for name, phrases in data["markers"].items():
            markers[name] = self.group(f"@{name}", phrases)
        flags = []
        for entry in (*data["signs"], *data["flags"]):
            flags.append(self.flag(entry))
        if len({flag.id for flag in flags}) != len(flags):
            raise RulebookError("two flags share an id")
        complaints = frozenset(symptoms)
        symptoms |= self.whole - contexts
        triggers: dict[int, list[tuple[int, int]]] = {}
        for number, flag in enumerate(flags):
            for at, pattern in enumerate(flag.patterns):
                triggers.setdefault(pattern.parts[0] if pattern.parts else -1, []).append((number, at))
        starts: dict[str, list[tuple[str, int]]] = {}
        singles: dict[str, tuple[int, ...]] = {}
        for literal, senses in self.literals.items():
            if len(literal) == 1:
                singles[literal] = tuple(sorted(senses))
            else:
                starts.setdefault(literal[:2], []).extend((literal, sense) for sense in sorted(senses))
        typos: dict[str, str] = {}
        for wrong, right in data["typos"].items():
            if len(wrong) != len(right):
                raise RulebookError(f"a typo and its correction must be of one length: {wrong}")
            typos[wrong] = right
        ordered = sorted(typos, key=len, reverse=True)
        return Rulebook(
            version=data["version"],
            flags=tuple(flags),
            starts={key: tuple(rows) for key, rows in starts.items()},
            singles=singles,
            sequences=tuple(self.sequences),
            triggers={key: tuple(rows) for key, rows in triggers.items()},
            names=tuple(self.names),
            complaints=complaints,
            symptoms=frozenset(symptoms),
            contexts=frozenset(contexts),
            markers=markers,
            typos=re.compile("|".join(map(re.escape, ordered))) if ordered else None,
            corrections=typos,
            senses=dict(self.ids),
        )

    def number(self, name: str) -> int:
        if name not in self.ids:
            self.ids[name] = len(self.names)
            self.names.append(name)
        return self.ids[name]

    def sense(self, name: str) -> int:
        """The id of a named sense, its phrases compiled at first use."""
        if name in self.ids:
            return self.ids[name]
        if name in self.open:
            raise RulebookError(f"sense {name} contains itself")
        if name not in self.items:
            raise RulebookError(f"no such sense: {name}")
        self.open.append(name)
        sense = self.group(name, self.items[name])
        self.open.remove(name)
        return sense

    def group(self, name: str, phrases: Iterable[str]) -> int:
        members: list[tuple[int, int, int] | int] = []
        plain: list[str] = []
        for phrase in phrases:
            pieces = _SEQUENCE.split(phrase)
            if len(pieces) > 1:
                first = self.part(pieces[0])
                for at in range(1, len(pieces) - 2, 2):
                    made = self.number(f"'{'>'.join(pieces[: at + 2])}")
                    self.sequences[(made, first, int(pieces[at] or 4), self.part(pieces[at + 1]))] = None
                    first = made
                members.append((first, int(pieces[-2] or 4), self.part(pieces[-1])))
            elif phrase.startswith("["):
                members.append(self.part(phrase))
            else:
                plain.extend(expand(phrase))
        sense = self.number(name)
        for literal in plain:
            if not literal:
                raise RulebookError(f"empty phrase in {name}")
            self.literals.setdefault(literal, set()).add(sense)
        for member in members:
            if isinstance(member, tuple):
                self.sequences[(sense, *member)] = None
            else:
                # Copying comes in the order of the sequences, so it is written as one with itself.
                self.sequences[(sense, member, -1, member)] = None
        return sense

    def part(self, text: str) -> int:
        text = text.strip()
        if text.startswith("["):
            return self.sense(text.strip("[]"))
        name = f"'{text}"
        return self.ids[name] if name in self.ids else self.group(name, [text])

    def pattern(self, text: str) -> Pattern:
        pieces = re.split(r" ([~+]) ", text)
        parts: list[int] = []
        joins: list[str] = []
        conditions: list[Condition] = []
        for at in range(0, len(pieces), 2):
            piece = pieces[at].strip()
            if piece.startswith("?"):
                conditions.append(parse_condition(piece[1:]))
                continue
            if parts:
                joins.append(pieces[at - 1])
            if _SEQUENCE.search(piece):
                name = f"'{piece}"
                parts.append(self.ids[name] if name in self.ids else self.group(name, [piece]))
            else:
                parts.append(self.part(piece))
            self.whole.add(parts[-1])
        return Pattern(tuple(parts), tuple(joins), tuple(conditions), text)

    def flag(self, entry: Mapping[str, Any]) -> Flag:
        try:
            return Flag(
                id=entry["id"],
                level=FlagLevel.of(entry["level"]) if "level" in entry else None,
                name=entry["name"],
                reason=entry.get("reason", ""),
                source=entry.get("source", ""),
                advice=entry.get("advice", ""),
                bleed=entry.get("bleed"),
                patterns=tuple(self.pattern(text) for text in entry["any"]),
                unless=tuple(self.pattern(text) for text in entry.get("unless", ())),
                raises=tuple(
                    (FlagLevel.of(rule["to"]), parse_condition(rule["if"])) for rule in entry.get("raise", ())
                ),
                eases=entry.get("eases", False),
                accepts=frozenset(entry.get("accepts", ())),
            )
        except RulebookError as problem:
            raise RulebookError(f"{entry['id']}: {problem}") from problem
