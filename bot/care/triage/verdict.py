"""What triage says of a message, and what it may know of the person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Literal

AdviceId = str
"""A key of `data/advice.yml`."""

Need = Literal["platelet_count", "count_unit", "is_it_now", "pregnant", "medicines"]
"""A question to ask the patient: each has its text in the dialogue, not here."""


class FlagLevel(IntEnum):
    """How soon somebody must act. `EMERGENCY`: 120 or the nearest emergency department now; `URGENT`: a doctor the same
    day; `WATCH`: the doctors' ordinary queue."""

    NONE = 0
    WATCH = 1
    URGENT = 2
    EMERGENCY = 3

    @property
    def word(self) -> str:
        """The name used in stored rows and files: none, watch, urgent, emergency."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "FlagLevel":
        """The level of a stored name.

        Raises:
            KeyError: there is no such level.
        """
        return cls[word.upper()]


@dataclass(frozen=True)
class Hit:
    """A red flag that fired: `words` are those of the message at `span` (of the original text, or of an earlier
    message, then `span` is None)."""

    flag_id: str
    level: FlagLevel
    span: tuple[int, int] | None
    words: str
    reason: str
    name: str


@dataclass(frozen=True)
class Verdict:
    """What triage says of a message.

    `reason` is Chinese, for the doctor. `row` is the row of the combination table (clinical table of section 4) that
    decided, `version` that of the red-flag data. `failed` means that triage itself broke and the message goes to the
    doctors for that reason.
    """

    flag_level: FlagLevel
    hits: tuple[Hit, ...]
    advice: AdviceId | None
    reason: str
    needs: tuple[Need, ...]
    row: int | None
    version: str
    failed: bool = False


@dataclass(frozen=True)
class Facts:
    """What the record knows; everything may be unknown, and unknown is not taken for the worst.

    `last_counts` are (day, 10⁹/L), the newest last. `medicines` are generic Chinese names taken in the last seven days.
    `procedure_on` is the day of the next operation, extraction
    or the like. `personal_rule` is a doctor's written exception that is in force today.
    """

    age: int | None = None
    pregnant: bool | None = None
    pregnancy_weeks: int | None = None
    last_counts: Sequence[tuple[date, float]] = ()
    medicines: Sequence[str] = ()
    asplenic: bool | None = None
    immunosuppressed: bool | None = None
    diagnosed_on: date | None = None
    personal_rule: bool = False
    procedure_on: date | None = None
    newborn: bool = False
