"""While an emergency holds the conversation."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINE = "请先打120或马上去最近的急诊"


async def test_in_alarm_no_question_is_answered_every_text_gets_the_one_line(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("头疼得厉害，吐了两次")
    for words in ("血小板低能不能打篮球", "要不要先睡一觉看看", "谢谢"):
        reply = await lin.says(words)
        assert reply.startswith(LINE)
        assert "篮球" not in reply
    page = await zhou.opens_alert(lin)
    assert "睡一觉" in page


async def test_having_called_and_having_arrived_are_told_to_the_doctors(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("头疼得厉害，吐了两次")
    await lin.says("怎么办")
    assert "坐着或侧躺" in await lin.taps("已联系120")
    await lin.says("好")
    assert "告诉医生您有ITP" in await lin.says("2")
    page = await zhou.opens_alert(lin)
    assert "患者点了「已联系120」" in page
    assert "患者点了「已到医院」" in page
    assert await lin.holder() == "alarm", "the alarm is the doctors' to end"


async def test_not_my_case_is_asked_twice_and_then_the_assistant_is_back(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("头疼得厉害，吐了两次")
    await lin.says("嗯？")
    assert "再确认一下" in await lin.taps("不是我现在的情况")
    assert await lin.holder() == "alarm"
    assert "急救提醒先解除" in await lin.taps("确定，不是我现在的情况")
    assert await lin.holder() == "assistant"
    assert (await lin.question())["stage"] == "queued", "a doctor looks at it all the same"
    assert "篮球" in await lin.says("血小板低能不能打篮球")


async def test_saying_something_else_to_are_you_sure_keeps_the_alarm(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("头疼得厉害，吐了两次")
    await lin.says("不是我现在的情况")
    assert (await lin.says("其实还是疼")).startswith(LINE)
    assert await lin.holder() == "alarm"


async def test_a_doctor_takes_over_from_the_alarm(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("头疼得厉害，吐了两次")
    await zhou.takes(lin)
    assert await lin.holder() == "doctor"
    assert await lin.says("我现在该怎么办") == ""
    await zhou.answers("请马上去最近的急诊做头颅CT。")
    await lin.hears("头颅CT")


async def test_an_emergency_while_a_doctor_holds_is_advised_at_once_and_the_doctor_is_alerted(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await zhou.takes(lin)
    number = str((await lin.question())["number"])
    since = zhou.phone.history[-1].id
    assert "120" in await lin.says("刚才突然头疼得厉害，吐了两次")
    alert = await zhou.phone.waits_for(number, within=15, since=since)
    assert "紧急" in alert.words()
    assert await lin.holder() == "doctor", "the doctor keeps the conversation"
    assert (await lin.question())["level"] == "emergency"
    assert "吐了两次" in await zhou.opens()


async def test_a_second_emergency_adds_to_the_same_consultation(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("头疼得厉害，吐了两次")
    assert "120" in await lin.says("现在半边身子没力气")
    assert await lin.questions() == 1
