"""The red-flag data and the advice: checked by a schema, named places when wrong, written for frightened people."""

import re

import pytest
import yaml
from care.triage.said import DATASET

from bot.care.triage import advice, rulebook
from bot.care.triage.conditions import parse_condition
from bot.care.triage.rulebook import RulebookError, expand, load


def broken(change):
    data = yaml.safe_load(yaml.safe_dump(DATASET, allow_unicode=True))
    change(data)
    return yaml.safe_dump(data, allow_unicode=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: data["flags"][0].update(level="red"), "flags/0/level"),
        (lambda data: data["flags"][0].update(colour="red"), "colour"),
        (lambda data: data["flags"][0].pop("reason"), "reason"),
        (lambda data: data["flags"][0]["any"].append("[没有这个]"), "没有这个"),
        (lambda data: data["flags"].append(data["flags"][0]), "share an id"),
        (lambda data: data["typos"].update({"吐学了": "吐血"}), "one length"),
        (lambda data: data["senses"].update({"甲": ["[甲]"]}), "甲"),
    ],
)
def test_wrong_data_is_refused_and_the_place_is_named(change, named):
    with pytest.raises(RulebookError, match=re.escape(named)):
        load(broken(change))


def test_a_flag_can_be_added_without_code():
    new = {
        "id": "test_only",
        "level": "urgent",
        "name": "测试",
        "reason": "测试",
        "source": "draft",
        "advice": "urgent",
        "any": ["{紫色|绿色}大象"],
    }
    book = load(broken(lambda data: data["flags"].append(new)))
    assert book.flag("test_only").name == "测试"


def test_alternatives_are_all_expanded():
    assert expand("{头|脑袋}{很|}疼") == ["头很疼", "头疼", "脑袋很疼", "脑袋疼"]


@pytest.mark.parametrize("text", ["plt", "plt<30 or age>=60", "plt unknown", "not pregnant and plt<20"])
def test_conditions_are_read(text):
    assert parse_condition(text).source == text


@pytest.mark.parametrize("text", ["", "platelets<30", "plt<", "plt<30 or", "import os"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("plt<30", {"plt": 29.0}, True),
        ("plt<30", {"plt": None}, False),
        ("plt unknown", {}, True),
        ("plt<30 or age>=60", {"plt": 90.0, "age": 61.0}, True),
        ("plt<30 and age>=60", {"plt": 20.0}, False),
        ("pregnant", {"pregnant": 0.0}, False),
        ("not pregnant", {"pregnant": None}, True),
    ],
)
def test_an_unknown_value_makes_no_comparison_true(text, values, holds):
    assert parse_condition(text).holds(values) is holds


def test_each_flag_has_an_advice_and_a_source():
    for flag in rulebook().flags:
        if flag.level is not None:
            assert flag.advice in advice.ids(), flag.id
            assert flag.source and flag.reason, flag.id


@pytest.mark.parametrize("advice_id", ["bleeding", "infection", "obstetric", "anaphylaxis", "poisoning", "self_harm"])
def test_an_emergency_text_has_the_number_on_a_line_of_its_own_and_is_short(advice_id):
    found = advice.text(advice_id)
    lines = found.text.splitlines()
    assert any(re.fullmatch(r"\d{3,5}", line) for line in lines)
    assert lines.index(next(line for line in lines if re.fullmatch(r"\d{3,5}", line))) <= 1
    assert len(found.text) <= 160
    assert found.status == "draft" and found.version


@pytest.mark.parametrize("advice_id", advice.ids())
def test_no_advice_comforts_falsely_or_doses(advice_id):
    said = advice.text(advice_id).text
    assert not re.search(r"没事|不要紧|放心|不用担心|mg|毫克|加量|系统错误|建议您吃", said)


def test_an_unknown_advice_is_an_error():
    with pytest.raises(KeyError):
        advice.text("nothing")
