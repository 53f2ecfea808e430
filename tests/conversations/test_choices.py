"""Menus in the chat: a line may be tapped, or typed as its number or in words."""

import pytest
from conversations.clinic import Clinic, Patient

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Two topics at once: the engine cannot be sure, and asks.
UNSURE = "海曲泊帕医保报多少"
COST = "医保报销、慢特病怎么办？"


async def offered(patient: Patient) -> list[str]:
    """A question that the assistant is unsure of, and the lines of its menu."""
    reply = await patient.says(UNSURE)
    assert "您是想问下面哪一个" in reply
    assert patient.last.reply is not None
    return [choice.content for choice in patient.last.reply.tappable()]


@pytest.mark.parametrize("how", ["tapped", "number", "words", "words without signs"])
async def test_a_chosen_topic_is_answered_whatever_way_it_is_chosen(clinic: Clinic, how: str) -> None:
    lin = await clinic.patient()
    lines = await offered(lin)
    assert lines[-1] == "都不是，问医生"
    number = lines.index(COST) + 1
    match how:
        case "tapped":
            reply = await lin.taps(COST)
        case "number":
            reply = await lin.says(str(number))
        case "words":
            reply = await lin.says(COST)
        case _:
            reply = await lin.says(COST.strip("？"))
    assert "医保" in reply
    assert "看完整说明" in reply
    noted = "select topic_id from faq_answered where account_id = :account"
    assert await lin.one(noted) == "insurance"
    assert await lin.one("select confidence from faq_answered where account_id = :account") is None


async def test_a_number_means_nothing_once_something_else_was_said(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await offered(lin)
    await lin.says("谢谢")
    assert "看完整说明" not in await lin.says("1")


async def test_a_number_that_stands_before_no_line_chooses_nothing(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await offered(lin)
    assert "看完整说明" not in await lin.says("9")
    assert await lin.one("select count(*) from faq_answered where account_id = :account") == 0


async def test_none_of_these_leads_to_the_doctor_who_gets_the_next_sentence(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await offered(lin)
    assert "用一句话发给我" in await lin.taps("都不是，问医生")
    reply = await lin.says("我想知道换药要不要住院")
    assert "已转给值班的周医生" in reply
    assert "换药要不要住院" in await clinic.doctor().opens_alert(lin)


ASK_DOCTOR = "<Event>CLICK</Event><EventKey>ask_doctor</EventKey>"


async def test_after_ask_a_doctor_in_the_menu_below_the_chat_the_next_sentence_goes_to_the_doctor(
    clinic: Clinic,
) -> None:
    lin = await clinic.patient()
    assert "用一句话发给我" in await lin.sends("event", ASK_DOCTOR)
    assert await lin.questions() == 0
    reply = await lin.says("血小板低能不能打篮球")
    assert "已转给值班的周医生" in reply, "also a sentence that the assistant could have answered"
    assert "打篮球" in await clinic.doctor().opens_alert(lin)


async def test_ask_a_doctor_needs_agreement(clinic: Clinic) -> None:
    stranger = await clinic.stranger()
    assert "同意" in await stranger.sends("event", ASK_DOCTOR)
    assert "篮球" in await stranger.says("血小板低能不能打篮球")
    assert await stranger.questions() == 0


async def test_ask_a_doctor_while_one_has_the_conversation_says_just_write(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("艾曲泊帕要不要加量")
    await clinic.doctor().takes(lin)
    assert "直接" in await lin.sends("event", ASK_DOCTOR)


async def test_ask_a_doctor_in_alarm_says_120_first(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("头疼得厉害，吐了两次")
    assert "请先打120" in await lin.sends("event", ASK_DOCTOR)


async def test_not_understood_twice_in_a_row_offers_the_doctor(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("哗啦啦咕噜噜")
    reply = await lin.says("叽里呱啦嘟嘟嘟")
    assert "问医生" in reply
    assert await lin.questions() == 0
