"""Dates as people say them, seen from Monday, 23 November 2026."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.language.dates import read_date

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("said", "day"),
    [
        *(
            ("今天查的", (2026, 11, 23)),
            ("今早抽血", (2026, 11, 23)),
            ("昨天", (2026, 11, 22)),
            ("昨晚", (2026, 11, 22)),
            ("前天", (2026, 11, 21)),
        ),
        *(
            ("大前天", (2026, 11, 20)),
            ("三天前", (2026, 11, 20)),
            ("3天前", (2026, 11, 20)),
            ("两周前", (2026, 11, 9)),
            ("一个星期前", (2026, 11, 16)),
        ),
        *(
            ("上周三", (2026, 11, 18)),
            ("上周一", (2026, 11, 16)),
            ("上个礼拜天", (2026, 11, 22)),
            ("周五查的", (2026, 11, 20)),
            ("周一", (2026, 11, 23)),
        ),
        *(
            ("11月20号", (2026, 11, 20)),
            ("11月20日", (2026, 11, 20)),
            ("十一月二十号", (2026, 11, 20)),
            ("2026-11-02", (2026, 11, 2)),
        ),
        *(
            ("2026年10月8日", (2026, 10, 8)),
            ("12月3号", (2025, 12, 3)),
            ("去年12月3号", (2024, 12, 3)),
            ("20号查的", (2026, 11, 20)),
        ),
        *(
            ("上个月15号", (2026, 10, 15)),
            ("这个月5号", (2026, 11, 5)),
            ("11/19 血小板 64", (2026, 11, 19)),
            ("刚查的", (2026, 11, 23)),
        ),
    ],
)
def test_a_date_is_read_as_people_mean_it(said, day):
    if said.startswith("去年"):
        # 去年12月 is December of last year, whatever "the last December" would be.
        day = (2025, 12, 3)
    assert read_date(said, today=TODAY) == date(*day)


@pytest.mark.parametrize(
    "said",
    ["", "半个月前", "三个月前", "白细胞5.2", "2月30号", "一周三次", "每天早上吃", "血小板32", "明天复查", "下周三"],
)
def test_what_names_no_day_of_a_result_gives_none(said):
    assert read_date(said, today=TODAY) is None


@given(st.text(max_size=60) | st.text(alphabet="0123456789年月日号周星期天前上下个大昨今明./-一二三十 ", max_size=30))
def test_no_text_breaks_it_and_no_result_lies_in_the_future(text):
    day = read_date(text, today=TODAY)
    assert day is None or day <= TODAY
