"""The texts a patient reads when a red flag fires (`data/advice.yml`)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from bot.care.triage.rulebook import DATA, RulebookError
from bot.care.triage.verdict import AdviceId

_FIELDS = {"text", "version", "status", "source"}


@dataclass(frozen=True)
class Advice:
    """A text with its version; `status` is draft until clinical staff approved it."""

    text: str
    version: str
    status: str
    source: str


def text(advice_id: AdviceId) -> Advice:
    """The advice of this id.

    Raises:
        KeyError: there is none.
    """
    return _all()[advice_id]


def ids() -> tuple[AdviceId, ...]:
    """All ids, in the order of the file."""
    return tuple(_all())


@cache
def _all() -> dict[AdviceId, Advice]:
    entries: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "advice.yml").read_text(encoding="utf-8"))
    texts = {}
    for advice_id, entry in entries.items():
        if set(entry) != _FIELDS or entry["status"] not in {"draft", "approved"}:
            raise RulebookError(f"advice {advice_id} lacks a field or has one too many")
        texts[advice_id] = Advice(entry["text"].strip(), str(entry["version"]), entry["status"], entry["source"])
    return texts
