"""Triage answers for any text, fast enough for the open request, and fails towards the doctors."""

import statistics
import time
from datetime import date

import pytest
from care.triage.said import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.care.triage import Facts, FlagLevel, judge, safe_triage, triage

TODAY = date(2026, 11, 23)
GARBAGE = (
    st.text(max_size=200)
    | st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
    | st.text(alphabet="头痛吐血没有不去年如果会吗，。！？、血小板0123456789万千.现在今天孩子我 \n", max_size=80)
)


@settings(max_examples=1000, deadline=None)
@given(GARBAGE)
def test_a_thousand_strings_of_garbage_raise_nothing(text):
    verdict = triage(text, today=TODAY)
    for hit in verdict.hits:
        if hit.span is not None:
            assert text[slice(*hit.span)] == hit.words


@settings(max_examples=100, deadline=None)
@given(st.lists(GARBAGE, max_size=8), GARBAGE)
def test_whatever_came_before_raises_nothing(earlier, text):
    triage(text, earlier=earlier, record=Facts(age=30, last_counts=((TODAY, 25.0),)), today=TODAY)


def test_an_emergency_at_the_end_of_ten_thousand_characters_is_found():
    text = "今天天气不错，我去公园走了走。" * 660 + "刚才吐血了"
    assert triage(text, today=TODAY).flag_level is FlagLevel.EMERGENCY


def test_ten_thousand_characters_of_markers_are_read_in_bounded_time():
    started = time.perf_counter()
    triage("去年头痛没有吐血会不会今天" * 800, today=TODAY)
    assert time.perf_counter() - started < 5


def test_a_broken_triage_sends_the_message_to_the_doctors(monkeypatch):
    def broken():
        raise RuntimeError("broken")

    monkeypatch.setattr(judge, "rulebook", broken)
    with pytest.raises(RuntimeError):
        triage("早上好", today=TODAY)
    verdict = safe_triage("早上好", today=TODAY)
    assert verdict.failed and verdict.flag_level is FlagLevel.URGENT and verdict.advice == "urgent"
    assert "早上好" not in verdict.reason


def test_the_rules_take_less_than_a_millisecond_at_the_median():
    texts = [text for _, _, said, _, _ in cases() for text in said]
    triage(texts[0], today=TODAY)
    times = []
    for text in texts:
        started = time.perf_counter()
        triage(text, today=TODAY)
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.001
