"""Promises about the follow-up plans that ship with the service."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.care.followup_plans import (
    FOLLOWUPS_FOLDER,
    PlansError,
    dynamic_rules,
    load_dynamic_rules,
    load_plans,
    load_questions,
    plans,
    questions,
)


def days(plan: str, question: str | None = None) -> list[int]:
    return [c.offset_days for c in plans()[plan].check_ins if question is None or question in c.questions]


def test_a_new_treatment_is_followed_up_from_the_next_day_on() -> None:
    first = plans()["new_treatment"].check_ins[0]
    assert (first.key, first.offset_days, first.questions) == ("day_1", 1, ("platelet", "bleeding"))
    assert plans()["new_treatment"].questions == {"platelet", "bleeding"}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("newly_diagnosed", [1, 3, 7, 10, 14, 21, 28, 42, 56, 70, 90]),
        ("dex_pulse", [1, 2, 3, 4, 7, 10, 14, 28]),
        ("steroid_taper", [7, 14, 21, 28, 35, 42, 49, 56]),
        ("steroid_stopped", [7, 14, 28, 90]),
        ("tpora_stop", [3, 7, 14, 21, 28]),
        ("rhtpo", [4, 7, 10, 14]),
        ("rhtpo_stopped", [7, 14]),
        ("ivig", [0, 1, 2, 3, 5, 7, 10, 14, 28]),
        ("rituximab", [0, 1, 3, 7, 14, 21, 28, 42, 56, 84, 180, 270, 365]),
        ("post_splenectomy", [-14, 3, 7, 14, 30, 60, 90, 180, 360, 540, 720]),
        ("remission_observation", [30, 60, 90, 180, 270, 360, 540, 720]),
        ("postpartum", [3, 7, 14, 42]),
        ("newborn", [0, 1, 2, 3, 5, 7, 14, 28]),
        ("child", [1, 3, 7, 14, 21, 28, 60, 90, 180, 270, 365]),
        ("post_vaccine", [1, 3, 5, 7, 14]),
        ("peri_procedure", [-7, -3, -1, 1, 3, 7]),
    ],
)
def test_a_plan_asks_on_its_days(plan: str, expected: list[int]) -> None:
    assert days(plan) == expected


def test_a_year_of_tablets_starts_closely_and_goes_on_monthly() -> None:
    assert days("tpora_titration")[:8] == [7, 14, 21, 28, 42, 56, 84, 112]
    assert days("tpora_titration")[-1] == 364
    assert days("tpora_titration", "liver_tests")[:6] == [14, 28, 42, 56, 84, 112]


def test_pregnancy_is_asked_monthly_then_fortnightly_then_weekly() -> None:
    weeks = [day / 7 for day in days("pregnancy")]
    assert weeks == [4, 8, 12, 16, 20, 24, 28, 30, 32, 34, 36, 37, 38, 39, 40, 41]
    assert days("pregnancy", "delivery_plan") == [32 * 7]
    assert days("pregnancy", "anaesthesia_talk") == [34 * 7, 36 * 7]


def test_the_days_after_immunoglobulin_ask_for_headache_first() -> None:
    assert all(c.questions[0] == "headache_neck_light" for c in plans()["ivig"].check_ins)


def test_hepatitis_b_is_asked_for_on_the_day_of_rituximab() -> None:
    assert days("rituximab", "hepatitis_b_on_file") == [0]


def test_the_questionnaires_come_on_their_days() -> None:
    assert days("newly_diagnosed", "quality_of_life") == [28, 56, 90]
    assert days("newly_diagnosed", "knowledge_quiz") == [3, 90]
    assert days("newly_diagnosed", "next_visit") == [7, 28]


@pytest.mark.parametrize("plan", plans().values(), ids=plans().keys())
def test_a_plan_has_a_chinese_title_sources_reasons_to_escalate_and_ordered_days(plan: Any) -> None:
    offsets = [c.offset_days for c in plan.check_ins]
    assert offsets == sorted(set(offsets))
    assert len({c.key for c in plan.check_ins}) == len(plan.check_ins)
    assert plan.sources
    assert plan.escalate
    assert plan.status == "draft"
    assert any("\u4e00" <= letter <= "\u9fff" for letter in plan.title)


def test_every_question_is_asked_by_some_plan_in_one_short_sentence_or_two() -> None:
    assert questions().keys() == {question for plan in plans().values() for question in plan.questions}
    assert max(len(question.asks) for question in questions().values()) <= 45


def test_the_rules_that_change_a_running_plan_are_there() -> None:
    rules = dynamic_rules()
    assert (rules["low_count_asks_sooner"].when.latest_platelet_below, rules["low_count_asks_sooner"].then.tell) == (
        30,
        "doctor",
    )
    assert rules["after_an_alarm"].then.add_check_in_days == (1, 3, 7)
    assert rules["quiet_hours"].then.except_levels == ("emergency", "urgent")
    assert rules["consent_withdrawn"].then.stop_all_reminders
    assert {rule.then.start_plan for rule in rules.values()} - {None} <= plans().keys()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the plans to spoil."""
    return Path(shutil.copytree(FOLLOWUPS_FOLDER, tmp_path / "followups"))


def _rewrite(path: Path, **change: Any) -> None:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries[0].update(change)
    path.write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")


ONE = {"window_days": 1, "questions": ["platelet"]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": "red"}, "colour"),
        ({"anchor": "full_moon"}, "anchor"),
        ({"sources": []}, "sources"),
        ({"check_ins": []}, "check_ins"),
        ({"check_ins": [{**ONE, "days": [1], "questions": ["horoscope"]}]}, "unknown questions: horoscope"),
        ({"check_ins": [{**ONE, "days": [1]}, {**ONE, "days": [1]}]}, "asks platelet twice on day 1"),
        ({"check_ins": [{"days": [1], "questions": ["platelet"]}]}, "gives day 1 no window"),
        (
            {"check_ins": [{**ONE, "days": [1]}, {"days": [1], "window_days": 2, "questions": ["bleeding"]}]},
            "gives day 1 two windows",
        ),
        ({"check_ins": [{**ONE}]}, "either days"),
        ({"check_ins": [{**ONE, "every_days": 7, "first_day": 7}]}, "needs first_day and last_day"),
        ({"check_ins": [{**ONE, "every_days": 7, "first_day": 7, "last_day": 1}]}, "no day is named"),
        ({"check_ins": [{**ONE, "days": [1], "last_day": 3}]}, "either days"),
        ({"id": "dex_pulse"}, "dex_pulse stands twice"),
    ],
)
def test_a_spoilt_plan_is_refused_with_its_reason(folder: Path, change: dict[str, Any], reason: str) -> None:
    _rewrite(folder / "disease.yml", **change)
    with pytest.raises(PlansError) as refused:
        load_plans(folder)
    assert reason in str(refused.value)


def test_a_missing_or_broken_file_is_named(folder: Path) -> None:
    (folder / "events.yml").write_text("- id: [", encoding="utf-8")
    with pytest.raises(PlansError, match=r"events\.yml is not YAML"):
        load_plans(folder)
    (folder / "questions.yml").unlink()
    with pytest.raises(PlansError, match=r"questions\.yml is missing"):
        load_plans(folder)


@pytest.mark.parametrize(
    ("file", "load"), [("questions.yml", load_questions), ("dynamic_rules.yml", load_dynamic_rules)]
)
def test_a_question_or_rule_stands_once(folder: Path, file: str, load: Any) -> None:
    path = folder / file
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump([*entries, entries[0]], allow_unicode=True), encoding="utf-8")
    with pytest.raises(PlansError, match="stands twice"):
        load(folder)
