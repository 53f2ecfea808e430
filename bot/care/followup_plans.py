"""The named follow-up plans of `data/followups/`: when a patient is asked, and what.

A plan counts its days from an anchor (a diagnosis, a first dose, an operation). The files give groups of days, single or
repeated; a day named by several groups becomes one check-in that asks all their questions. Drafts until a haematologist
has signed them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

FOLLOWUPS_FOLDER = Path(__file__).resolve().parents[2] / "data" / "followups"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SourceCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9-]*$")]
LocalTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

type Anchor = Literal[
    "diagnosis",
    "first_dose",
    "last_dose",
    "infusion",
    "operation",
    "procedure",
    "vaccination",
    "last_period",
    "birth",
    "day_90_of_disease",
    "off_treatment",
]

type Item = Literal["C", "B", "T", "M", "S", "P", "Q", "K", "V", "X"]
"""What a question is about: count, bleeding, temperature, medicines, side effects, pressure and glucose, quality of
life, knowledge, visits, anything new."""


class PlansError(Exception):
    """A file of the plans is not what it should be; the text names the file and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Strict):
    """A question of a check-in, in the words a patient reads."""

    id: Name
    item: Item
    asks: Text


class CheckInTemplate(_Strict):
    """One check-in: so many days after the anchor (before it when negative), counted if at most `window_days` off."""

    key: str
    offset_days: int
    window_days: int
    questions: tuple[str, ...]


class Plan(_Strict):
    """A named plan, its check-ins sorted by day."""

    id: str
    title: str
    anchor: Anchor
    check_ins: tuple[CheckInTemplate, ...]
    escalate: tuple[str, ...]
    sources: tuple[str, ...]
    status: Literal["draft"]

    @property
    def questions(self) -> frozenset[str]:
        """Every question that some check-in of the plan asks.

        >>> sorted(plans()["new_treatment"].questions)
        ['bleeding', 'platelet']
        """
        return frozenset(question for check_in in self.check_ins for question in check_in.questions)


class When(_Strict):
    """What a dynamic rule waits for; all that is given must hold. Counts in 10⁹/L, times in Asia/Shanghai."""

    latest_platelet_below: int | None = None
    platelet_at_least: int | None = None
    times: int | None = None
    level_in: tuple[Literal["emergency", "urgent"], ...] | None = None
    event: Literal["medicine_changed_by_doctor", "pregnancy_reported", "consent_withdrawn"] | None = None
    silent_days: int | None = None
    unanswered_attempts: int | None = None
    within_days: int | None = None
    local_time_from: LocalTime | None = None
    local_time_to: LocalTime | None = None


class Then(_Strict):
    """What a dynamic rule changes."""

    interval_factor: float | None = None
    interval_at_least_days: int | None = None
    interval_up_to_plan_limit: bool = False
    add_check_in_days: tuple[int, ...] = ()
    window_days: int | None = None
    start_plan: Name | None = None
    start_plan_of_new_medicine: bool = False
    end_plan_of_old_medicine: bool = False
    stop_all_reminders: bool = False
    hold_messages: bool = False
    except_levels: tuple[Literal["emergency", "urgent"], ...] = ()
    tell: Literal["doctor", "nurse"] | None = None
    within_hours: int | None = None
    become: Literal["lost_to_follow_up"] | None = None


class DynamicRule(_Strict):
    """What changes a running plan."""

    id: Name
    when: When
    then: Then
    sources: Annotated[tuple[SourceCode, ...], Field(min_length=1)]
    status: Literal["draft"]


class _Group(_Strict):
    days: tuple[int, ...] = ()
    every_days: Annotated[int, Field(gt=0)] | None = None
    first_day: int | None = None
    last_day: int | None = None
    window_days: Annotated[int, Field(ge=0)] | None = None
    questions: Annotated[tuple[Name, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _single_or_repeated(self) -> Self:
        repeated = (self.every_days, self.first_day, self.last_day)
        if bool(self.days) == any(part is not None for part in repeated):
            raise ValueError("give either days, or every_days with first_day and last_day")
        if not self.days and None in repeated:
            raise ValueError("every_days needs first_day and last_day")
        if not self.all_days():
            raise ValueError("no day is named")
        return self

    def all_days(self) -> tuple[int, ...]:
        if self.every_days is None or self.first_day is None or self.last_day is None:
            return self.days
        return tuple(range(self.first_day, self.last_day + 1, self.every_days))


class _PlanFile(_Strict):
    id: Name
    title: Text
    anchor: Anchor
    check_ins: Annotated[tuple[_Group, ...], Field(min_length=1)]
    escalate: tuple[Text, ...]
    sources: Annotated[tuple[SourceCode, ...], Field(min_length=1)]
    status: Literal["draft"]

    def plan(self) -> Plan:
        windows: dict[int, int] = {}
        questions: dict[int, list[str]] = {}
        for group in self.check_ins:
            for day in group.all_days():
                asked = questions.setdefault(day, [])
                if twice := [question for question in group.questions if question in asked]:
                    raise ValueError(f"{self.id} asks {twice[0]} twice on day {day}")
                asked.extend(group.questions)
                if group.window_days is not None and windows.setdefault(day, group.window_days) != group.window_days:
                    raise ValueError(f"{self.id} gives day {day} two windows")
        if missing := sorted(questions.keys() - windows.keys()):
            raise ValueError(f"{self.id} gives day {missing[0]} no window")
        return Plan(
            id=self.id,
            title=self.title,
            anchor=self.anchor,
            check_ins=tuple(
                CheckInTemplate(
                    key=f"day_{day}" if day >= 0 else f"day_minus_{-day}",
                    offset_days=day,
                    window_days=windows[day],
                    questions=tuple(questions[day]),
                )
                for day in sorted(questions)
            ),
            escalate=self.escalate,
            sources=self.sources,
            status=self.status,
        )


def load_plans(folder: Path = FOLLOWUPS_FOLDER) -> dict[str, Plan]:
    """Read and check every plan of a folder.

    Raises:
        PlansError: a file does not parse, a field or question is unknown, a plan or a day's question stands twice.
    """
    known = load_questions(folder)
    found: dict[str, Plan] = {}
    for path in sorted(folder.glob("*.yml")):
        if path.name in {"questions.yml", "dynamic_rules.yml"}:
            continue
        for entry in _read(path, TypeAdapter(tuple[_PlanFile, ...])):
            if entry.id in found:
                raise PlansError(f"{path.name}: {entry.id} stands twice")
            try:
                plan = entry.plan()
            except ValueError as error:
                raise PlansError(f"{path.name}: {error}") from None
            if unknown := sorted(plan.questions - known.keys()):
                raise PlansError(f"{path.name}: {plan.id} asks unknown questions: {', '.join(unknown)}")
            found[plan.id] = plan
    return found


def load_questions(folder: Path = FOLLOWUPS_FOLDER) -> dict[str, Question]:
    """The questions by id.

    Raises:
        PlansError: the file does not parse, or a question stands twice.
    """
    questions = _read(folder / "questions.yml", TypeAdapter(tuple[Question, ...]))
    _once((question.id for question in questions), "questions.yml")
    return {question.id: question for question in questions}


def load_dynamic_rules(folder: Path = FOLLOWUPS_FOLDER) -> dict[str, DynamicRule]:
    """The rules that change running plans, by id.

    Raises:
        PlansError: the file does not parse, or a rule stands twice.
    """
    rules = _read(folder / "dynamic_rules.yml", TypeAdapter(tuple[DynamicRule, ...]))
    _once((rule.id for rule in rules), "dynamic_rules.yml")
    return {rule.id: rule for rule in rules}


@cache
def plans() -> Mapping[str, Plan]:
    """The plans that ship with the service, by id, read once."""
    return load_plans()


@cache
def questions() -> Mapping[str, Question]:
    """The questions that the plans ask, by id, read once."""
    return load_questions()


@cache
def dynamic_rules() -> Mapping[str, DynamicRule]:
    """The rules that change running plans, by id, read once."""
    return load_dynamic_rules()


def _read[T](path: Path, shape: TypeAdapter[T]) -> T:
    try:
        return shape.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PlansError(f"{path.name} is missing") from None
    except yaml.YAMLError as error:
        raise PlansError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise PlansError(f"{path.name}: {wrong}") from None


def _once(names: Iterable[str], file: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise PlansError(f"{file}: {name} stands twice")
