"""Sentences made from the red-flag data, for the tests: what each pattern would have a patient say."""

import re
from pathlib import Path
from typing import Any

import yaml

from bot.care.triage.rulebook import DATA, expand

DATASET: dict[str, Any] = yaml.load(
    (DATA / "redflags.yml").read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
)
CASES = Path(__file__).with_name("cases.tsv")


def phrases(sense: str) -> list[str]:
    """Every plain text of a named sense; of a sequence its shortest form, the parts side by side."""
    items = {**DATASET["senses"], **DATASET["contexts"]}[sense]
    return [text for item in items for text in _plain(item)]


def _plain(item: str) -> list[str]:
    if re.search(r" >\d* ", item):
        return ["".join(expand(part.strip("[]"))[0] for part in re.split(r" >\d* ", item))]
    return expand(item)


def sample(pattern: str) -> str | None:
    """A sentence that a pattern of the data describes, or None where it has a condition on values."""
    if "?" in pattern:
        return None
    words = []
    for part in re.split(r" [~+] ", pattern):
        pieces = [piece.strip() for piece in re.split(r" >\d* ", part)]
        words.append(
            "".join(phrases(piece[1:-1])[0] if piece.startswith("[") else expand(piece)[0] for piece in pieces)
        )
    return "".join(words)


def cases() -> list[tuple[str, str, list[str], str, list[str]]]:
    """(flag, level letter, what patients say, what denies it, what is past or supposed) of the clinical brief."""
    rows = []
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            flag, level, said, denied, past = line.split("\t")
            rows.append((flag, level, said.split(" / "), denied, past.split(" / ")))
    return rows
