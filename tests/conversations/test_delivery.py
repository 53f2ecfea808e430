"""Patients who leave, doctors who answer late: what is owed has a visible end."""

import asyncio

import pytest
from conversations.clinic import Clinic

from bot.simulator.history import Channel

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_unfollows_in_the_middle_gets_nothing_and_the_doctor_sees_it(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await zhou.takes(lin)
    await lin.phone.unfollows()
    await clinic.until(lambda: lin.one("select following from account where id = :account"), False)
    before = len(lin.phone.hears())
    await zhou.answers("先不要加量。")
    await clinic.until(lambda: answer_state(lin), "failed")
    assert (await clinic.outbox("doctor_answer", lin))["reason"] == "not_following"
    assert len(lin.phone.hears()) == before
    assert "没有送到" in await zhou.opens() or "取消关注" in await zhou.opens()


async def test_who_follows_again_is_known_and_goes_on(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("今天血小板45")
    await lin.phone.unfollows()
    await lin.follows()
    assert "52 ×10⁹/L" in await lin.says("今天血小板52")
    assert await lin.counts() == [45.0, 52.0]


async def test_messages_pushed_while_somebody_leaves_are_all_done_with(clinic: Clinic) -> None:
    lin = await clinic.patient()
    speaking = asyncio.create_task(lin.phone.says("血小板低能不能打篮球"))
    await asyncio.sleep(0)  # it is on its way
    await lin.phone.unfollows()
    await speaking
    assert all(await lin.outcomes())


async def test_an_answer_after_the_window_closed_comes_as_a_template(later: Clinic) -> None:
    lin, zhou = await later.patient(), later.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await later.passes(hours=50)
    since = lin.newest
    await zhou.opens_alert(lin)
    await zhou.claims()
    await zhou.answers("先不要加量，周五复查。")
    notice = await lin.hears("医生回复了您", since=since)
    assert notice.channel is Channel.TEMPLATE
    assert "先不要加量" not in notice.words(), "a notice on the lock screen shows no words of a doctor"
    await later.until(lambda: answer_state(lin), "sent_template")
    page = await lin.phone.opens(notice.url)
    assert "周五复查" in page.text


async def test_what_cannot_be_sent_waits_visibly_until_the_patient_writes_again(later: Clinic) -> None:
    lin, zhou = await later.patient(), later.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await later.passes(hours=50)
    await zhou.opens_alert(lin)
    await zhou.claims()
    await later.until(lambda: state_of(lin, "notice"), "parked")
    await lin.says("在吗")
    await lin.hears("正在看您的问题")
    await later.until(lambda: state_of(lin, "notice"), "sent_active")


async def answer_state(patient):
    return await state_of(patient, "doctor_answer")


async def state_of(patient, kind):
    query = f"select state from outbox where account_id = :account and kind = '{kind}' order by seq desc limit 1"
    return await patient.one(query)
