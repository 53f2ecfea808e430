"""One spelling of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.language.normal import normalise, normalise_keeping_offsets

ANY = st.text(max_size=120) | st.text(
    alphabet="頭疼吐了两次！！！。 \t\n０１２ａＢ🩸🤮\u200b\ufe0f血小板×⁹", max_size=60
)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("頭痛嘔吐，流鼻血", "头痛呕吐,流鼻血"),
        ("ＰＬＴ　２３", "plt 23"),
        ("头\u200b疼\ufeff", "头疼"),
        ("疼疼疼疼死了！！！", "疼死了!"),
        ("一直🤮，都是🩸", "一直吐,都是血"),
        ("32×10⁹/L", "32x109/l"),
        ("吐 血 了", "吐血了"),
        ("头 疼得厉害", "头疼得厉害"),
        ("头疼 吐了", "头疼 吐了"),
        ("血小板111", "血小板111"),
        ("第一行\n\n第二行", "第一行\n第二行"),
        ("", ""),
    ],
)
def test_a_message_has_one_spelling(typed, read):
    assert normalise(typed) == read


@given(ANY)
def test_both_ways_of_normalising_agree_for_any_text(text):
    assert normalise_keeping_offsets(text).text == normalise(text)


@given(ANY)
def test_offsets_point_into_the_original_and_never_run_backwards(text):
    plain = normalise_keeping_offsets(text)
    assert len(plain.starts) == len(plain.ends) == len(plain.text)
    assert list(plain.starts) == sorted(plain.starts)
    for start, end in zip(plain.starts, plain.ends, strict=True):
        assert 0 <= start < end <= len(text)


def test_a_span_leads_back_to_what_was_typed():
    typed = "我🤮了！！！頭　疼"
    plain = normalise_keeping_offsets(typed)
    at = plain.text.index("吐")
    assert typed[slice(*plain.original(at, at + 1))] == "🤮"
    at = plain.text.index("疼")
    assert typed[slice(*plain.original(at, at + 1))] == "疼"


@given(ANY)
def test_normalising_twice_changes_nothing_more(text):
    once = normalise(text)
    assert normalise(normalise(once)) == normalise(once)
