"""Times, states and counts in people's words, and the picture of a course."""

from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest

from bot import clock
from bot.care.records import Count
from bot.outbox.rows import State
from bot.web import words
from bot.web.chart import chart
from bot.web.prose import prose

NOON = datetime(2026, 3, 4, 12, tzinfo=clock.SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("back", "said"),
    [
        (timedelta(seconds=59), "刚刚"),
        (timedelta(seconds=-5), "刚刚"),
        (timedelta(minutes=12, seconds=40), "12分钟前"),
        (timedelta(hours=3, minutes=59), "3小时前"),
        (timedelta(hours=12, minutes=1), "昨天 23:59"),
        (timedelta(days=2), "3月2日 12:00"),
        (timedelta(days=100), "2025年11月24日"),
    ],
)
def test_how_long_ago_is_said_as_people_say_it(back, said):
    assert words.ago(NOON - back, NOON) == said


@pytest.mark.parametrize(
    ("ahead", "said", "drawn"),
    [
        (timedelta(minutes=18), "还剩18分钟", "calm"),
        (timedelta(minutes=4), "还剩4分钟", "soon"),
        (timedelta(seconds=20), "还剩不到1分钟", "soon"),
        (timedelta(), "已超时不到1分钟", "over"),
        (timedelta(hours=-2, minutes=-5), "已超时2小时5分钟", "over"),
        (timedelta(days=-4), "已超时4天", "over"),
    ],
)
def test_the_time_left_is_said_and_drawn(ahead, said, drawn):
    assert words.left(NOON + ahead, NOON) == said
    assert words.pressing(NOON - timedelta(minutes=20), NOON + ahead, NOON) == drawn


@pytest.mark.parametrize(
    ("days", "phase"),
    [(0, "新诊断"), (89, "新诊断"), (90, "持续性"), (364, "持续性"), (365, "慢性"), (-1, "未登记诊断日期")],
)
def test_the_phase_changes_on_its_day(days, phase):
    today = date(2026, 3, 4)
    assert words.phase(today - timedelta(days=days), today) == phase
    assert words.phase(None, today) == "未登记诊断日期"


def test_only_what_has_arrived_is_called_arrived():
    arrived = {state for state in State if words.delivery(state, None).startswith("已送达")}
    assert arrived == {State.SENT_PASSIVE, State.SENT_ACTIVE}
    assert "请打电话" in words.delivery(State.FAILED, "a reason nobody knew")


def test_a_count_that_was_not_exact_says_so():
    assert words.count(Count(23, date(2026, 3, 4))) == "23 ×10⁹/L（2.3万）"
    assert words.count(Count(20, date(2026, 3, 4), approximate=True)) == "约20 ×10⁹/L（2万）"


@pytest.mark.parametrize("values", [[0], [5], [3, 30], [0, 0], [2000], list(range(0, 800, 7))])
def test_a_chart_is_well_formed_and_nothing_leaves_it(values):
    days = [date(2025, 1, 1) + timedelta(days=3 * at) for at in range(len(values))]
    drawn = ElementTree.fromstring(chart([Count(v, on, v == 5) for v, on in zip(values, days, strict=True)]))
    width, height = map(float, drawn.attrib["viewBox"].split()[2:])
    points = drawn.findall("circle")
    assert len(points) == min(len(values), 60)
    assert all(0 < float(p.attrib["cx"]) < width and 0 < float(p.attrib["cy"]) < height for p in points)
    shown = [text.text for text in drawn.findall("text") if text.attrib["class"] == "chart-value"]
    assert f"{values[-1]:g}" in shown
    assert "血小板" in drawn.attrib["aria-label"]


def test_no_counts_no_chart():
    assert chart([]) == ""


def test_a_text_becomes_paragraphs_lists_and_bold_and_nothing_else():
    text = "# 标题\n**粗**的 [链接](javascript:x)\n第二行\n\n- 一\n- **二**\n1. 甲\n2. 乙\n<script>"
    assert str(prose(text)) == (
        "<h3>标题</h3>\n<p><strong>粗</strong>的 [链接](javascript:x)<br>第二行</p>\n"
        "<ul><li>一</li><li><strong>二</strong></li></ul>\n<ol><li>甲</li><li>乙</li></ol>\n<p>&lt;script&gt;</p>"
    )
