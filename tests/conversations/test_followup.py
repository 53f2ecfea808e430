"""Check-ins: the clock asks, the patient answers in any wording, today or in three days."""

import pytest
from conversations.clinic import Clinic, Patient

from bot.simulator.history import Channel

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST, SECOND = "最近一次血小板是多少", "有没有出血"


async def followed_up(clinic: Clinic) -> Patient:
    """A patient whose plan begins today, with the doctor gone again."""
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await zhou.takes(lin)
    await zhou.starts_followup()
    await zhou.closes()
    await lin.hears("智能助手继续陪您")
    return lin


async def states(patient: Patient) -> str:
    """The states of the check-ins that are not to come, by day."""
    query = "select string_agg(state, ' ' order by due_at) from checkin where account_id = :account and state <> 'scheduled'"
    return await patient.one(query) or ""


async def test_on_the_next_day_the_question_comes_by_itself_and_answers_are_kept(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    question = await lin.hears(FIRST, since=since, within=30)
    assert question.channel is Channel.ACTIVE
    assert SECOND in await lin.says("查了，4.8万")
    interrupted = await lin.says("血小板低能不能打篮球")
    assert "篮球" in interrupted
    assert SECOND in interrupted, "and the open question comes again"
    assert "随访记好了" in await lin.says("没有")
    assert (await states(lin)).split()[0] == "answered"
    assert await lin.counts() == [48.0]
    bleeding = "select code from observation where person_id = :person and kind = 'bleeding'"
    assert await lin.one(bleeding) == "none"
    assert lin.heard(FIRST) == 1


async def test_a_worrying_answer_goes_to_the_doctor(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    first = await lin.says("1.8万")
    assert "18 ×10⁹/L" in first
    assert "已经转给值班医生" in first, "a worrying answer goes to the doctor at once"
    assert SECOND in first, "and the check-in goes on"
    assert "需要医生看一下" in await lin.says("腿上有几个新的出血点")
    question = await lin.question()
    assert question["level"] in ("urgent", "emergency")
    assert question["stage"] == "queued"


@pytest.mark.parametrize("span", [{"hours": 5}, {"days": 3}], ids=["5 hours", "3 days"])
async def test_a_number_answers_its_question_hours_and_days_later(later: Clinic, span: dict[str, int]) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    await later.passes(**span)
    reply = await lin.says("48")
    assert SECOND in reply
    assert "随访记好了" in await lin.says("没有")
    assert await lin.counts() == [48.0]


async def test_outside_the_window_the_patient_is_invited_and_begins_by_writing(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=4)
    invitation = await lin.hears("随访提醒", since=since, within=30)
    assert invitation.channel is Channel.TEMPLATE
    assert FIRST not in lin.phone.hears(since=since)
    assert "merged" in await states(lin), "the one of the day before is part of it"
    since = lin.newest
    await lin.says("开始")
    await lin.hears(FIRST, since=since, within=20)
    assert SECOND in await lin.says("没查")
    assert "随访记好了" in await lin.says("没有出血")
    assert await lin.counts() == []


async def test_writing_about_something_else_is_answered_first_and_then_the_checkin_begins(later: Clinic) -> None:
    lin = await followed_up(later)
    await later.is_morning(days=4)
    await lin.hears("随访提醒", within=30)
    assert "篮球" in await lin.says("血小板低能不能打篮球")
    await lin.hears(FIRST, within=20)


async def test_nothing_is_asked_while_a_doctor_has_the_conversation(later: Clinic) -> None:
    lin, zhou = await followed_up(later), later.doctor("周医生")
    await lin.says("再问一下，能不能喝酒，我在吃药")
    await lin.says("问医生")
    await lin.says("我能不能喝一点酒")
    await zhou.takes(lin)
    await later.is_morning(days=1)
    postponed = "select max(postponed) from checkin where account_id = :account"
    await later.until(lambda: lin.one(f"select ({postponed}) > 0"), True)
    assert lin.heard(FIRST) == 0
    since = lin.newest
    await zhou.closes()
    await later.passes(minutes=31)
    await lin.hears(FIRST, since=since, within=30)


async def test_stopping_in_the_middle_is_respected_until_the_patient_begins_again(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    assert SECOND in await lin.says("4.8万")
    assert "先不问了" in await lin.says("不想填了")
    assert await lin.counts() == [48.0], "what was answered is kept"
    reply = await lin.says("血小板低能不能打篮球")
    assert "篮球" in reply
    assert SECOND not in reply
    assert lin.heard(FIRST) == 1, "and not asked again at once"
    since = lin.newest
    await later.passes(days=1, minutes=1)
    await lin.hears("随访提醒", since=since, within=30)
    since = lin.newest
    await lin.says("开始")
    await lin.hears(FIRST, since=since, within=20)
    await lin.says("没查")
    assert "随访记好了" in await lin.says("没有")
    assert (await first_state(lin)) == "answered"


async def test_a_checkin_left_unanswered_does_not_stand_in_the_way_of_the_next(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    assert SECOND in await lin.says("4.8万")
    for _ in range(4):
        await later.is_morning(days=1)
    waiting = "select key from checkin where account_id = :account and invited_at is not null and asked_at is null"
    await later.until(lambda: lin.one(waiting), "day_3")
    since = lin.newest
    await lin.says("开始")
    await lin.hears(FIRST, since=since, within=20)
    assert SECOND in await lin.says("5.2万"), "the answers of the one before are not taken for this one's"
    assert "随访记好了" in await lin.says("没有")
    assert await lin.counts() == [48.0, 52.0], "what was answered then is kept"


async def test_a_red_flag_in_the_middle_of_the_form_stops_it(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    reply = await lin.says("现在头疼得厉害，吐了两次")
    assert "120" in reply
    assert FIRST not in reply
    assert await lin.holder() == "alarm"


async def test_a_checkin_that_is_never_answered_reaches_a_doctor(later: Clinic) -> None:
    lin = await followed_up(later)
    since = lin.newest
    await later.is_morning(days=1)
    await lin.hears(FIRST, since=since, within=30)
    await later.passes(days=1, minutes=1)
    await later.until(lambda: first_state(lin), "nudged")
    await later.passes(days=1)
    await later.until(lambda: first_state(lin), "nurse_task")
    await later.passes(days=1)
    await later.until(lambda: first_state(lin), "doctor_task")
    assert "没有回答" in await later.doctor("周医生").opens_alert(lin)


async def first_state(patient: Patient) -> str:
    query = "select state from checkin where account_id = :account and key = 'day_1'"
    return str(await patient.one(query))
