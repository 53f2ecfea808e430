"""Without agreement: general knowledge and red-flag advice, no record, and no word shown to anybody."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_stranger_gets_general_knowledge(clinic: Clinic) -> None:
    stranger = await clinic.stranger()
    assert "篮球" in await stranger.says("血小板低能不能打篮球")


async def test_a_strangers_count_and_question_build_nothing(clinic: Clinic) -> None:
    stranger = await clinic.stranger()
    assert "同意" in await stranger.says("今天血小板 45")
    assert "同意" in await stranger.says("艾曲泊帕要不要加量")
    assert await stranger.questions() == 0
    assert await stranger.one("select count(*) from acts_for where account_id = :account") == 0


async def test_an_urgent_word_of_a_stranger_gets_advice_and_the_way_to_a_doctor_but_no_consultation(
    clinic: Clinic,
) -> None:
    stranger = await clinic.stranger()
    reply = await stranger.says("今天血小板12")
    assert "120" in reply
    assert "同意" in reply
    assert await stranger.questions() == 0


async def test_doctors_see_no_word_of_a_stranger_in_danger_until_it_is_passed_on(clinic: Clinic) -> None:
    stranger, zhou = await clinic.stranger(), clinic.doctor("周医生")
    advice = await stranger.says("我头疼得厉害，吐了两次")
    assert "120" in advice
    assert "同意把这句话发给值班医生" in advice
    page = await zhou.opens_alert(stranger)
    assert "未登记的用户" in page
    assert "吐了两次" not in page
    assert "已把您刚才那句话转给" in await stranger.taps("同意把这句话发给值班医生")
    assert "吐了两次" in await zhou.opens()


async def test_passing_on_one_sentence_agrees_to_nothing_more(clinic: Clinic) -> None:
    stranger, zhou = await clinic.stranger(), clinic.doctor("周医生")
    await stranger.says("我头疼得厉害，吐了两次")
    assert "已把您刚才那句话转给" in await stranger.says("1")
    assert "120" in await stranger.says("我家住在临河路8号，今天血小板 9")
    page = await zhou.opens_alert(stranger)
    assert "吐了两次" in page
    assert "临河路" not in page
    assert await stranger.one("select count(*) from acts_for where account_id = :account") == 0


async def test_a_stranger_in_alarm_is_not_told_that_doctors_read_along(clinic: Clinic) -> None:
    stranger, zhou = await clinic.stranger(), clinic.doctor("周医生")
    await stranger.says("我头疼得厉害，吐了两次")
    reply = await stranger.says("我是临河路的老林，怎么办")
    assert reply.startswith("请先打120或马上去最近的急诊")
    assert "都能看到" not in reply
    assert "同意把这句话发给值班医生" in reply
    assert "都能看到" not in await stranger.sends_photo()
    assert "再确认一下" in await stranger.says("不是我现在的情况")
    off = await stranger.says("1")
    assert "先解除" in off
    assert "转给值班医生" not in off
    assert "临河路" not in await zhou.opens_alert(stranger)


async def test_a_number_that_stands_before_no_line_passes_nothing_on(clinic: Clinic) -> None:
    stranger, zhou = await clinic.stranger(), clinic.doctor("周医生")
    await stranger.says("我头疼得厉害，吐了两次")
    await stranger.says("已联系120")
    assert "已把您刚才那句话转给" not in await stranger.says("1")
    assert "吐了两次" not in await zhou.opens_alert(stranger)


async def test_a_photo_of_a_stranger_is_not_kept(clinic: Clinic) -> None:
    stranger = await clinic.stranger()
    assert "这件事急吗" in await stranger.sends_photo()
    kept = "select failed from attachment where account_id = :account and data_sealed is null"
    assert await stranger.one(kept) == "no_consent"
    assert "同意" in await stranger.says("很急")
    assert await stranger.questions() == 0


async def test_who_takes_the_agreement_back_is_a_stranger_again(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "45 ×10⁹/L" in await lin.says("今天血小板 45")
    assert "已撤回同意" in await lin.says("撤回同意")
    assert "同意" in await lin.says("今天血小板 50")
    assert await lin.counts() == [45.0]
    assert "谢谢" in await lin.says("同意")
    assert "52 ×10⁹/L" in await lin.says("今天血小板 52")
    assert await lin.counts() == [45.0, 52.0], "the same record goes on"
