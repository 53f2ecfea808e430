"""What the assistant cannot read is never guessed at, and never lost."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", ["photo", "voice"])
@pytest.mark.parametrize(("word", "level"), [("很急", "urgent"), ("不急", "routine")])
async def test_how_urgent_it_is_decides_who_looks_when(clinic: Clinic, kind: str, word: str, level: str) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    reply = await (lin.sends_photo() if kind == "photo" else lin.sends_voice())
    assert {"photo": "照片", "voice": "语音"}[kind] in reply
    assert "120" in reply
    assert "已把它转给值班的周医生" in await lin.taps(word)
    assert (await lin.question())["level"] == level
    page = await zhou.opens_alert(lin)
    assert "照片" in page or "语音" in page
    assert await lin.one("select count(*) from attachment where account_id = :account and data_sealed is not null") == 1


async def test_the_answer_may_be_typed_as_a_number(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.sends_photo()
    await lin.says("1")
    assert (await lin.question())["level"] == "urgent"


async def test_several_photos_go_to_the_doctor_together(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.sends_photo()
    await lin.sends_photo()
    await lin.says("不急")
    assert await lin.questions() == 1
    kept = """
        select count(*) from consultation_entry e join consultation c on c.id = e.consultation_id
        where c.account_id = :account and e.attachment_id is not null"""
    assert await lin.one(kept) == 2


async def test_a_photo_while_a_doctor_holds_goes_straight_to_the_doctor(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    await zhou.takes(lin)
    assert await lin.sends_photo() == ""
    assert "照片" in await zhou.opens()


async def test_a_photo_in_alarm_gets_the_one_line(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.says("头疼得厉害，吐了两次")
    assert "请先打120" in await lin.sends_photo()


async def test_a_photo_that_wechat_no_longer_has_is_noted_and_still_put_to_the_doctor(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.sends("image", "<PicUrl>http://127.0.0.1/none</PicUrl><MediaId>gone</MediaId>")
    assert "这件事急吗" in reply
    assert await lin.one("select failed from attachment where account_id = :account") is not None
    assert "已把它转给" in await lin.says("很急")


async def test_five_minutes_of_silence_make_it_urgent(later: Clinic) -> None:
    lin, chen = await later.patient(), await later.patient()
    await lin.sends_voice()
    await chen.sends_photo()
    await chen.says("不急")
    await later.passes(minutes=6)
    await later.until(lin.questions, 1)
    assert (await lin.question())["level"] == "urgent"
    assert (await chen.question())["level"] == "routine"
    await later.doctor("周医生").opens_alert(lin)
