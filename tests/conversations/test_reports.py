"""Telling counts in the chat: kept, asked back, corrected, shown."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_count_is_repeated_in_both_notations_with_its_day(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("昨天血小板 4.5万")
    assert "45 ×10⁹/L（4.5万）" in reply
    assert "昨天（" in reply
    assert await lin.counts() == [45.0]


async def test_a_correction_replaces_the_count(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("前天查的血小板32")
    assert "32 ×10⁹/L（3.2万） 改为 82 ×10⁹/L（8.2万）" in await lin.says("打错了，是82")
    assert await lin.counts() == [82.0]
    days = "select max(taken_on) - min(taken_on) from observation where person_id = :person"
    assert await lin.one(days) == 0, "the day stays"


async def test_a_bare_three_alarms_is_asked_back_and_the_answer_ends_or_keeps_the_alarm(clinic: Clinic) -> None:
    for chosen, holder, counted in (("30 ×10⁹/L（3万）", "assistant", 30.0), ("3 ×10⁹/L（0.3万）", "alarm", 3.0)):
        lin = await clinic.patient()
        reply = await lin.says("血小板3")
        assert "120" in reply, "until it is clear the lower reading counts"
        assert "您说的血小板是哪一个" in reply
        assert await lin.counts() == []
        assert (await lin.question())["level"] == "emergency"
        reply = await lin.taps(chosen)
        assert "120" in reply
        assert await lin.counts() == [counted]
        assert await lin.holder() == holder
        assert (await lin.question())["stage"] == "queued", "a doctor looks at it in either case"


async def test_an_alarm_with_another_reason_is_not_ended_by_a_clearer_number(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("血小板3，头疼得厉害，吐了两次")
    assert (await lin.says("血小板是3万")).startswith("请先打120")
    assert await lin.holder() == "alarm"


async def test_a_clear_low_count_is_not_talked_away_by_another_number(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("今天血小板5千")
    assert await lin.counts() == [5.0], "an emergency's count is recorded as any other"
    await lin.says("血小板3")
    await lin.says("血小板是3万")
    assert await lin.holder() == "alarm"


@pytest.mark.parametrize("line", [1, 2])
async def test_a_bare_twelve_is_urgent_and_asked_back(clinic: Clinic, line: int) -> None:
    lin = await clinic.patient()
    reply = await lin.says("昨天血小板12")
    assert "120" in reply
    assert "您说的血小板是哪一个" in reply
    assert await lin.counts() == []
    assert (await lin.question())["level"] == "urgent"
    await lin.says(str(line))
    await lin.outcomes()
    assert await lin.counts() == [[12.0, 120.0][line - 1]]
    day = "select taken_on = (:today)::date - 1 from observation where person_id = :person"
    assert await lin.one(day.replace(":today", f"'{clinic.today()}'"))


async def test_a_range_is_asked_back_and_the_answer_kept(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "具体是多少" in await lin.says("今天血小板40-50")
    assert await lin.counts() == []
    assert "45 ×10⁹/L（4.5万）" in await lin.says("4.5万")
    assert await lin.counts() == [45.0]


async def test_the_last_counts_are_shown(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "还没有记过血小板" in await lin.says("看看我的记录")
    await lin.says("昨天血小板45")
    await lin.says("今天血小板52")
    shown = await lin.says("看看我的记录")
    assert shown.index("45 ×10⁹/L") < shown.index("52 ×10⁹/L")


async def test_saying_yes_to_nothing_is_no_failed_report(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("好的")
    assert "没找到要记的数值" not in reply
