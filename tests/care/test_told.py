"""What a patient tells in a sentence: stored when certain, asked back when it can mean two things, corrected."""

from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot.care import records
from bot.care.told import Corrected, Report, confirm, correct, record_told

TODAY = date(2026, 3, 4)


@pytest.fixture
async def lin(ward: Ward, now: datetime) -> SimpleNamespace:
    account, person = await ward.patient()
    return SimpleNamespace(account=account, person=person)


async def standing(session: AsyncSession, lin: SimpleNamespace) -> list[tuple[float, date]]:
    return [(count.value, count.taken_on) for count in await records.counts(session, lin.person.id)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("今天血小板23", 23.0),
        ("今天血小板2.3万", 23.0),
        ("血小板２３", 23.0),
        ("今天血小板三万", 30.0),
        ("血小板120", 120.0),
        ("血小板5千", 5.0),
    ],
)
async def test_what_is_certain_is_stored(session: AsyncSession, lin: SimpleNamespace, text: str, value: float) -> None:
    report = await record_told(session, lin.person, text, cause="m")
    assert report.doubt is None
    assert report.pending is None
    assert await standing(session, lin) == [(value, TODAY)]


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("血小板3", ("3 ×10⁹/L（0.3万）", "30 ×10⁹/L（3万）")),
        ("今天血小板1.5", ("1.5 ×10⁹/L（0.15万）", "15 ×10⁹/L（1.5万）")),
        ("血小板8", ("8 ×10⁹/L（0.8万）", "80 ×10⁹/L（8万）")),
    ],
)
async def test_a_bare_small_number_is_asked_back_and_not_stored(
    session: AsyncSession, lin: SimpleNamespace, text: str, choices: tuple[str, ...]
) -> None:
    report = await record_told(session, lin.person, text, cause="m")
    assert report.doubt == "您说的血小板是哪一个？"
    assert report.choices == choices
    assert await standing(session, lin) == []


@pytest.mark.parametrize("chosen", [0, 1])
async def test_the_chosen_line_is_stored_with_the_day_that_was_told(
    session: AsyncSession, lin: SimpleNamespace, chosen: int
) -> None:
    report = await record_told(session, lin.person, "血小板3", cause="m1")
    assert report.pending is not None
    answered = await confirm(session, lin.person, report.pending, report.choices[chosen], cause="m2")
    assert [row.value for row in answered.counts] == [[3.0, 30.0][chosen]]
    assert await standing(session, lin) == [([3.0, 30.0][chosen], TODAY)]


@pytest.mark.parametrize(
    ("said", "value"), [("是3万", 30.0), ("3万", 30.0), ("血小板是30", 30.0), ("0.3万", 3.0), ("三千", 3.0)]
)
async def test_a_doubt_may_be_cleared_in_ones_own_words(
    session: AsyncSession, lin: SimpleNamespace, said: str, value: float
) -> None:
    report = await record_told(session, lin.person, "血小板3", cause="m1")
    assert report.pending is not None
    await confirm(session, lin.person, report.pending, said, cause="m2")
    assert await standing(session, lin) == [(value, TODAY)]


@pytest.mark.parametrize("said", ["不知道", "好的", "能不能跑步"])
async def test_an_answer_that_clears_nothing_stores_nothing(
    session: AsyncSession, lin: SimpleNamespace, said: str
) -> None:
    report = await record_told(session, lin.person, "血小板3", cause="m1")
    assert report.pending is not None
    assert (await confirm(session, lin.person, report.pending, said, cause="m2")).counts == ()
    assert await standing(session, lin) == []


async def test_the_same_bare_number_again_is_asked_again(session: AsyncSession, lin: SimpleNamespace) -> None:
    report = await record_told(session, lin.person, "昨天血小板3", cause="m1")
    assert report.pending is not None
    again = await confirm(session, lin.person, report.pending, "3", cause="m2")
    assert (again.doubt, again.choices, again.pending) == (report.doubt, report.choices, report.pending)
    assert await standing(session, lin) == []


async def test_a_doubt_about_yesterday_is_stored_for_yesterday(session: AsyncSession, lin: SimpleNamespace) -> None:
    report = await record_told(session, lin.person, "昨天血小板3", cause="m1")
    assert report.pending is not None
    await confirm(session, lin.person, report.pending, "是3万", cause="m2")
    assert await standing(session, lin) == [(30.0, TODAY - timedelta(days=1))]


async def test_a_range_is_asked_back_without_choices(session: AsyncSession, lin: SimpleNamespace) -> None:
    report = await record_told(session, lin.person, "血小板20-30", cause="m")
    assert report.doubt is not None
    assert report.choices == ()
    assert await standing(session, lin) == []


async def test_telling_nothing_is_no_report(session: AsyncSession, lin: SimpleNamespace) -> None:
    report = await record_told(session, lin.person, "今天天气不错", cause="m")
    assert (list(report.counts), report.doubt) == ([], None)


async def test_a_correction_replaces_the_last_count_and_keeps_its_day(
    ward: Ward, session: AsyncSession, lin: SimpleNamespace
) -> None:
    await record_told(session, lin.person, "前天查的血小板32", cause="m1")
    corrected = await correct(session, lin.person, "打错了，是82", cause="m2")
    assert isinstance(corrected, Corrected)
    assert (corrected.was, corrected.now) == ("32 ×10⁹/L（3.2万）", "82 ×10⁹/L（8.2万）")
    assert await standing(session, lin) == [(82.0, TODAY - timedelta(days=2))]
    wrong, right = await ward.observations(lin.person)
    assert wrong.replaced_by == right.id


async def test_a_correction_may_name_another_day(session: AsyncSession, lin: SimpleNamespace) -> None:
    await record_told(session, lin.person, "今天血小板32", cause="m1")
    await correct(session, lin.person, "不对，昨天血小板82", cause="m2")
    assert await standing(session, lin) == [(82.0, TODAY - timedelta(days=1))]


async def test_a_correction_corrected_again_leaves_one_count(session: AsyncSession, lin: SimpleNamespace) -> None:
    await record_told(session, lin.person, "今天血小板32", cause="m1")
    await correct(session, lin.person, "打错了，是82", cause="m2")
    await correct(session, lin.person, "又错了，是28", cause="m3")
    assert await standing(session, lin) == [(28.0, TODAY)]


@pytest.mark.parametrize("text", ["打错了", "不对", "打错了，是好的"])
async def test_a_correction_without_a_number_changes_nothing(
    session: AsyncSession, lin: SimpleNamespace, text: str
) -> None:
    await record_told(session, lin.person, "今天血小板32", cause="m1")
    assert await correct(session, lin.person, text, cause="m2") is None
    assert await standing(session, lin) == [(32.0, TODAY)]


async def test_there_is_nothing_to_correct_before_anything_was_told(
    session: AsyncSession, lin: SimpleNamespace
) -> None:
    assert await correct(session, lin.person, "打错了，是82", cause="m") is None
    assert await standing(session, lin) == []


async def test_a_correction_that_is_itself_in_doubt_is_asked_back_and_then_made(
    ward: Ward, session: AsyncSession, lin: SimpleNamespace
) -> None:
    await record_told(session, lin.person, "昨天血小板32", cause="m1")
    doubt = await correct(session, lin.person, "打错了，是3", cause="m2")
    assert isinstance(doubt, Report)
    assert doubt.pending is not None
    assert await standing(session, lin) == [(32.0, TODAY - timedelta(days=1))]
    await confirm(session, lin.person, doubt.pending, doubt.choices[1], cause="m3")
    assert await standing(session, lin) == [(30.0, TODAY - timedelta(days=1))]
    wrong, right = await ward.observations(lin.person)
    assert wrong.replaced_by == right.id
