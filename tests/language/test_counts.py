"""Platelet counts: the table of the clinical brief, 1.2, row by row, and what is no count."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.language.counts import current, format_count, read_counts

TODAY = date(2026, 11, 23)


def read(text, **more):
    return read_counts(text, today=TODAY, **more)


def one(text, **more):
    readings = read(text, **more)
    assert len(readings) == 1, f"{text}: {readings}"
    return readings[0]


@pytest.mark.parametrize(
    "written",
    [
        *(
            "32×10^9/L",
            "32×10⁹/L",
            "32*10^9",
            "32e9/L",
            "32 G/L",
            "32K/µL",
            "32k",
            "32×10³/µL",
            "32×109/L",
            "32 x 10^9/L",
        ),
        *(
            "3.2×10^4/µL",
            "32000",
            "32,000",
            "3万2",
            "三万二",
            "3.2万",
            "3.2w",
            "3.2W",
            "３．２万",
            "三萬二",
            "32乘以10的9次方",
        ),
        *("32", "三十二", "32000个", "32000/µL"),
    ],
)
def test_every_notation_of_thirty_two_is_thirty_two(written):
    reading = one(f"血小板{written}")
    assert (reading.value, reading.lowest) == (32, 32)
    assert not reading.ambiguous and not reading.needs_confirmation
    assert reading.role == "current"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(
            ("3万", 30),
            ("3w", 30),
            ("三万", 30),
            ("叁万", 30),
            ("两万", 20),
            ("俩万", 20),
            ("0.5万", 5),
            ("32万", 320),
            ("320000", 320),
        ),
        *(
            ("5千", 5),
            ("五千", 5),
            ("5k", 5),
            ("5000", 5),
            ("45", 45),
            ("120", 120),
            ("8万5", 85),
            ("一百二十", 120),
            ("7万左右", 70),
        ),
    ],
)
def test_counts_that_need_no_question(written, value):
    reading = one(f"血小板{written}")
    assert reading.value == value and not reading.ambiguous and not reading.needs_confirmation


@pytest.mark.parametrize(
    ("written", "lowest", "bound"),
    [
        *(
            ("2万多", 20, "lower"),
            ("两万出头", 20, "lower"),
            ("不到2万", 19, "upper"),
            ("20不到", 19, "upper"),
            ("几千", 1, "upper"),
        ),
        *(
            ("个位数", 1, "upper"),
            ("20-30", 20, "lower"),
            ("20多", 20, "lower"),
            ("二三十", 20, "lower"),
            ("三十多", 30, "lower"),
        ),
        *(
            ("测不出", 0, "upper"),
            ("<1", 0, "upper"),
            ("两三万", 20, "lower"),
            ("七八千", 7, "lower"),
            ("十几", 10, "lower"),
        ),
    ],
)
def test_a_range_has_no_value_but_a_worst_reading(written, lowest, bound):
    reading = one(f"血小板{written}")
    assert reading.value is None and reading.ambiguous
    assert (reading.lowest, reading.bound) == (lowest, bound)


def test_about_ten_thousand_is_ten_and_approximate():
    reading = one("血小板一万左右")
    assert (reading.value, reading.bound, reading.ambiguous) == (10, "approx", False)


@pytest.mark.parametrize(
    ("written", "literal"),
    [
        ("3", 3),
        ("8", 8),
        ("1", 1),
        ("12", 12),
        ("15", 15),
        ("3.2", 3.2),
        ("1.5", 1.5),
        ("3200", 3.2),
        ("9800", 9.8),
        ("0", 0),
        ("700", 700),
    ],
)
def test_a_bare_number_that_may_be_ten_times_as_much_is_asked_back(written, literal):
    reading = one(f"血小板{written}")
    assert reading.value == literal == reading.lowest
    assert reading.needs_confirmation


@pytest.mark.parametrize("written", ["0.8", "900", "1200"])
def test_a_number_with_no_sensible_unit_has_no_value(written):
    reading = one(f"血小板{written}")
    assert reading.value is None and reading.ambiguous and reading.lowest <= 1.5


@pytest.mark.parametrize(
    "text",
    [
        *(
            "血小板2500万",
            "血小板-5",
            "血小板123456",
            "MPV 11.2 PDW 16 PCT 0.2",
            "MPV的结果是9.8",
            "血小板压积0.22",
            "血小板分布宽度16",
        ),
        *(
            "白细胞5.6，血红蛋白130",
            "大血小板比率28",
            "艾曲泊帕25mg",
            "强的松4片",
            "我25岁",
            "电话13812345678",
            "11月23号去医院",
            "花了2万块",
        ),
        *(
            "我住5楼",
            "走了一万步",
            "罗普司亭1.5万单位",
            "血小板低能不能打篮球",
            "门诊号000345",
            "血小板的正常范围是多大",
            "体温38.5",
        ),
    ],
)
def test_what_is_no_count_is_not_taken_for_one(text):
    assert [reading for reading in read(text) if reading.role == "current"] == []


@pytest.mark.parametrize(
    "word", ["血小板", "血小版", "雪小板", "血晓板", "血小扳", "小板", "板子", "板板", "PLT", "plt", "血板"]
)
def test_the_count_is_found_behind_every_name_of_platelets(word):
    assert one(f"{word}23").value == 23


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("血小板从56掉到18", [(56, "previous"), (18, "current")]),
        ("血小板上次56这次18", [(56, "previous"), (18, "current")]),
        ("从90掉到30", [(90, "previous"), (30, "current")]),
        ("三年前血小板是25，现在130", [(25, "previous"), (130, "current")]),
        ("去年血小板最低到过5，现在血小板120", [(5, "previous"), (120, "current")]),
        ("血小板目标50，现在血小板32", [(50, "target"), (32, "current")]),
        ("写错了，是23不是32", [(23, "current")]),
    ],
)
def test_earlier_counts_and_goals_are_told_from_the_present_one(text, roles):
    assert [(reading.value, reading.role) for reading in read(text)] == roles


def test_the_story_of_the_morning_count():
    reading = one("我早上血小板 2.3万，艾曲泊帕要不要加量")
    assert (reading.value, reading.typed, reading.taken_on) == (23, "2.3万", TODAY)


def test_the_day_of_the_count_is_read_with_it():
    assert one("昨天血小板18").taken_on == date(2026, 11, 22)
    assert one("11月20号查血小板45").taken_on == date(2026, 11, 20)


def test_a_lone_number_is_a_count_only_where_one_was_asked_for():
    assert read("28") == []
    assert one("28", expecting=True).value == 28
    assert one("3", expecting=True).needs_confirmation


def test_values_that_contradict_each_other_give_none():
    reading = current(read("血小板12，血小板60"))
    assert reading is not None and reading.value is None and reading.ambiguous and reading.lowest == 12


@pytest.mark.parametrize(
    ("value", "shown"),
    [(23, "23 ×10⁹/L（2.3万）"), (5, "5 ×10⁹/L（0.5万）"), (100, "100 ×10⁹/L（10万）"), (0, "0 ×10⁹/L（0万）")],
)
def test_a_count_is_shown_in_both_notations(value, shown):
    assert format_count(value) == shown


@given(st.integers(16, 600))
def test_what_is_shown_is_read_back_as_the_same_count(value):
    shown = format_count(value)
    readings = read(f"血小板{shown}")
    assert {reading.value for reading in readings} == {value}


@given(st.integers(1, 599), st.sampled_from(["{0}×10^9/L", "{0}*10^9/l", "{1}000", "{0}K/µL", "{2}万"]))
def test_notations_with_a_unit_go_round(value, notation):
    if "000" in notation and value < 10:
        return
    written = notation.format(value, value, f"{value / 10:g}")
    assert one(f"血小板{written}").value == pytest.approx(value)


@given(
    st.text(max_size=80) | st.text(alphabet="血小板0123456789.万千十百几多到-~×^/Lplt 从掉，。年月号mgku", max_size=60)
)
def test_no_text_breaks_the_reading_and_spans_are_true(text):
    for reading in read(text):
        assert text[reading.start : reading.end] == reading.typed
        assert 0 <= reading.lowest <= 2000
        assert (reading.value is None) == reading.ambiguous
