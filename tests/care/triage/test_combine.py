"""The combination table: its worked examples and each of its rows."""

from datetime import date, timedelta

import pytest

from bot.care.triage import Facts, FlagLevel, triage
from bot.care.triage.combine import ROWS, Bleed, Picture, decide

TODAY = date(2026, 11, 23)
E, U, W, NONE = FlagLevel.EMERGENCY, FlagLevel.URGENT, FlagLevel.WATCH, FlagLevel.NONE


def judged(text, **facts):
    verdict = triage(text, record=Facts(**facts), today=TODAY)
    return verdict.row, verdict.flag_level


@pytest.mark.parametrize(
    ("text", "facts", "row", "level"),
    [
        ("血小板3，没有出血", {}, 9, E),
        ("血小板3万，没有出血", {}, 44, NONE),
        ("血小板15，没有出血", {"age": 25, "diagnosed_on": date(2023, 11, 1)}, 25, U),
        ("血小板18，没有出血", {"age": 67}, 10, E),
        ("怀孕35周，血小板46，没有出血", {}, 28, U),
        ("怀孕35周，血小板28，没有出血", {}, 18, E),
        ("孩子4岁，血小板60，撞头鼓包了，精神好", {}, 2, E),
        ("血小板62，刷牙出血很快就停了", {"age": 30}, 41, W),
        ("血小板45，小便带血，没有血块", {"age": 58}, 24, U),
        ("血小板45，小便带血，没有血块", {"age": 61}, 6, E),
        ("血小板48，流鼻血五分钟停了", {"medicines": ("华法林",)}, 15, E),
        ("体温38.2，血小板120", {"asplenic": True}, 2, E),
        ("血小板520，没有不舒服", {"medicines": ("艾曲泊帕",)}, 34, U),
    ],
)
def test_the_worked_examples_of_the_brief(text, facts, row, level):
    got = judged(text, **facts)
    assert got[1] is level
    # An emergency flag of its own may name the reason before the row of the table does.
    assert got[0] == row or (level is E and got[0] == 2)


def picture(*, flags=None, bleeds=(), still=False, **values):
    return Picture(dict(flags or {}), frozenset(bleeds), still, values)


PICTURES = {
    1: picture(flags={"suicidal": E}),
    2: picture(flags={"gi_melena": E}, plt=200),
    3: picture(flags={"head_injury_days_ago": NONE, "vomiting": NONE}, plt=60),
    4: picture(flags={"headache_new_mild": U}, plt=60, age=61),
    5: picture(bleeds=[Bleed.ORGAN], plt=120),
    6: picture(flags={"haematuria_gross": U}, bleeds=[Bleed.ORGAN_MINOR], plt=25),
    7: picture(bleeds=[Bleed.ORGAN_MINOR], plt=19),
    8: picture(bleeds=[Bleed.MUCOSA_WET], still=True),
    9: picture(plt=9),
    10: picture(plt=19, age=65),
    11: picture(plt=19, newly_diagnosed=1),
    12: picture(plt=19, anti=1),
    13: picture(plt=19, bleeds=[Bleed.MUCOSA_MILD]),
    14: picture(plt=29, bleeds=[Bleed.MUCOSA_WET]),
    15: picture(plt=49, anti=1, bleeds=[Bleed.MUCOSA_MILD]),
    16: picture(plt=29, flags={"procedure_tomorrow": NONE}),
    17: picture(plt=80, pregnant=1, bleeds=[Bleed.MUCOSA_WET]),
    18: picture(plt=29, pregnant=1, weeks=34),
    19: picture(plt=49, newborn=1),
    20: picture(plt=19, child=1, bleeds=[Bleed.SKIN_EXTENSIVE]),
    21: picture(plt=19, infant=1, bleeds=[Bleed.SKIN_MINOR]),
    22: picture(plt=120, immunosuppressed=1, temperature=38.5),
    23: picture(plt=49, flags={"thr_dvt": U}),
    24: picture(plt=45, bleeds=[Bleed.ORGAN_MINOR]),
    25: picture(plt=19),
    26: picture(plt=29, falling=1),
    27: picture(plt=49, flags={"procedure_week": NONE}),
    28: picture(plt=49, falling=1),
    29: picture(plt=90, bleeds=[Bleed.SKIN_EXTENSIVE]),
    30: picture(plt=60, bleeds=[Bleed.MUCOSA_WET]),
    31: picture(bleeds=[Bleed.MUCOSA_MILD]),
    32: picture(plt=60, ambiguous=1, bleeds=[Bleed.SKIN_MINOR]),
    33: picture(plt=60, immunosuppressed=1, temperature=37.5),
    34: picture(plt=401, tpo=1),
    35: picture(plt=60, flags={"liver_injury_tpora": U}),
    36: picture(plt=60, flags={"stopped_tpora": U}),
    37: picture(plt=60, flags={"hypertension_severe": U}),
    38: picture(plt=60, flags={"allergic_mild": U}),
    39: picture(plt=29),
    40: picture(plt=200, tpo=1),
    41: picture(plt=50, bleeds=[Bleed.MUCOSA_MILD]),
    42: picture(plt=30, bleeds=[Bleed.SKIN_MINOR]),
    43: picture(plt=60, flags={"missed_dose": W}),
    44: picture(plt=30),
    45: picture(),
}


@pytest.mark.parametrize("row", range(1, 46))
def test_each_row_decides_its_own_picture(row):
    number, level, reason = decide(PICTURES[row])
    assert number == row
    assert level is (E if row <= 23 else U if row <= 38 else W if row <= 43 else NONE)
    assert reason


def test_rows_stand_in_order_and_are_all_there():
    assert [row.number for row in ROWS] == list(range(1, 45))


def test_a_doctors_exception_lowers_only_what_it_may():
    assert judged("血小板8，没有出血", personal_rule=True) == (9, U)
    assert judged("血小板8，没有出血") == (9, E)
    assert judged("血小板8，流鼻血", personal_rule=True)[1] is E
    assert judged("血小板15", personal_rule=True) == (25, W)
    assert judged("血小板8", personal_rule=True, diagnosed_on=TODAY - timedelta(days=3))[1] is E


def test_a_procedure_in_the_record_counts():
    assert judged("血小板25", procedure_on=TODAY + timedelta(days=1)) == (16, E)
    assert judged("血小板45", procedure_on=TODAY + timedelta(days=6)) == (27, U)
    assert judged("血小板45", procedure_on=TODAY + timedelta(days=8)) == (44, NONE)


def test_an_old_count_does_not_speak_of_now():
    old, fresh = (TODAY - timedelta(days=8), 80.0), (TODAY - timedelta(days=2), 80.0)
    assert judged("刷牙出血", last_counts=(old,)) == (31, U)
    assert judged("刷牙出血", last_counts=(fresh,)) == (41, W)


def test_with_new_bleeding_a_count_speaks_for_three_days_unless_it_was_low():
    assert judged("刷牙出血", last_counts=((TODAY - timedelta(days=5), 80.0),)) == (31, U)
    assert judged("刷牙出血", last_counts=((TODAY - timedelta(days=5), 15.0),)) == (13, E)


def test_a_medicine_of_the_record_is_known_by_its_brand():
    assert judged("血小板520", medicines=("瑞弗兰",)) == (34, U)


def test_a_fall_by_half_within_a_fortnight_is_urgent():
    assert judged("血小板45", last_counts=((TODAY - timedelta(days=7), 95.0),)) == (28, U)
    assert judged("血小板45", last_counts=((TODAY - timedelta(days=30), 95.0),)) == (44, NONE)
