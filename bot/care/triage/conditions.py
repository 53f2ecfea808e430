"""Conditions of the red-flag data: `plt<30 or plt unknown or age>=60 or antithrombotic`.

A name stands for a value or a yes; a value that is unknown makes every comparison false and only `unknown` true.
"""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

NAMES = frozenset(
    [
        *("plt", "bleed", "ambiguous", "falling"),
        *("temperature", "systolic", "diastolic", "glucose", "haemoglobin", "alt", "minutes"),
        *("age", "child", "infant", "newborn", "female", "pregnant", "weeks", "newly_diagnosed", "personal_rule"),
        *("asplenic", "immunosuppressed", "steroid", "tpo", "ivig", "antithrombotic", "nsaid", "anti"),
    ]
)
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
_TERM = re.compile(
    r"(?P<not>not )?(?P<name>[a-z_]+)(?:\s*(?P<op><=|>=|<|>|=)\s*(?P<number>\d+(?:\.\d+)?)|(?P<unknown> unknown))?"
)

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Condition:
    """A condition in disjunctive form: true when every term of any one group is."""

    groups: tuple[tuple[tuple[bool, str, str, float], ...], ...]
    source: str

    def holds(self, values: Values) -> bool:
        """Whether the condition is true of these values (a yes is 1.0, a no is 0.0, unknown None or absent)."""
        return any(all(_term(term, values) for term in group) for group in self.groups)


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: the text is no condition, or names something unknown.
    """
    groups = []
    for alternative in text.split(" or "):
        terms = []
        for word in alternative.split(" and "):
            found = _TERM.fullmatch(word.strip())
            if found is None or found["name"] not in NAMES:
                raise ValueError(f"no condition: {text}")
            relation = found["op"] or ("unknown" if found["unknown"] else "true")
            terms.append((bool(found["not"]), found["name"], relation, float(found["number"] or 0)))
        groups.append(tuple(terms))
    return Condition(tuple(groups), text)


def _term(term: tuple[bool, str, str, float], values: Values) -> bool:
    negated, name, relation, number = term
    value = values.get(name)
    if relation == "unknown":
        true = value is None
    elif value is None:
        true = False
    elif relation == "true":
        true = bool(value)
    else:
        true = bool(_OPERATORS[relation](value, number))
    return true != negated
