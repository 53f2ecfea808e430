"""Whatever WeChat pushes has a clear outcome: nothing is lost, nothing answers with a failure."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNREADABLE = {
    "video": "<MediaId>v1</MediaId><ThumbMediaId>t1</ThumbMediaId>",
    "shortvideo": "<MediaId>v2</MediaId><ThumbMediaId>t2</ThumbMediaId>",
    "location": "<Location_X>30.1</Location_X><Location_Y>120.2</Location_Y><Scale>16</Scale><Label>临河路</Label>",
    "link": "<Title>一篇文章</Title><Description>说明</Description><Url>http://127.0.0.1/a</Url>",
    "file": "<Title>报告.pdf</Title><Description></Description>",
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_is_no_text_gets_the_safety_sentence(clinic: Clinic, kind: str) -> None:
    lin = await clinic.patient()
    reply = await lin.sends(kind, UNREADABLE[kind])
    assert "我还看不懂" in reply
    assert "120" in reply
    assert (await lin.outcomes())[-1] == "awaiting_urgency"


async def test_a_type_of_message_that_nobody_has_seen_ends_by_name(clinic: Clinic) -> None:
    lin = await clinic.patient()
    await lin.sends("hologram", "<Shape>cube</Shape>")
    assert (await lin.outcomes())[-1] == "unknown_kind"


@pytest.mark.parametrize("event", ["LOCATION", "pic_sysphoto", "kf_create_session", "user_enter_session", "brand_new"])
async def test_an_event_that_asks_for_nothing_is_acknowledged(clinic: Clinic, event: str) -> None:
    lin = await clinic.patient()
    assert await lin.sends("event", f"<Event>{event}</Event><EventKey></EventKey>") == ""
    assert (await lin.outcomes())[-1] == f"event_{event.lower()}"


LONG = "我有很多话想说，" * 1250


@pytest.mark.parametrize(
    "words",
    [
        LONG,
        "🩸🤒👨‍👩‍👧‍👦👍🏽",
        "血小板\x00\x07\x1b[31m45\u202e",
        "\u200b\u200b\u200b",
        "   ",
        "/restart",
        "/EXTERNAL_checkin",
        "<script>alert(1)</script>]]>&amp;",
        "{{7*7}} ${jndi:x} %s %n",
        "a" * 3000,
        "血" * 600,
        "١٢٣",
    ],
    ids=[
        "10,000 characters", "emoji", "control characters", "nothing to see", "spaces", "command", "external intent",
        "markup", "templates", "one letter", "one character", "other digits",
    ],
)  # fmt: skip
async def test_strange_texts_are_kept_and_answered(clinic: Clinic, words: str) -> None:
    lin = await clinic.patient()
    reply = await lin.says(words)
    assert reply, "somebody who wrote hears something"
    assert len(reply.encode()) <= 2048
    assert len(await lin.outcomes()) == 3, "following, agreeing, and this"
    assert all(await lin.outcomes())
    assert "篮球" in await lin.says("血小板低能不能打篮球"), "the conversation goes on"


async def test_an_empty_message_is_no_failure_of_the_assistant(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "空消息" in await lin.says("   ")


async def test_a_red_flag_inside_ten_thousand_characters_is_found(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says(LONG + "刚才突然头疼得厉害，吐了两次。" + LONG[:500])
    assert "120" in reply
    assert await lin.holder() == "alarm"


async def test_traditional_characters_are_understood(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "篮球" in await lin.says("血小板低能不能打籃球")
    assert "45 ×10⁹/L" in await lin.says("今天血小板4.5萬")
    assert "120" in await lin.says("頭疼得厲害，吐了兩次")
    assert await lin.counts() == [45.0]


async def test_the_same_words_twice_are_two_messages(clinic: Clinic) -> None:
    lin = await clinic.patient()
    for _ in range(2):
        assert "篮球" in await lin.says("血小板低能不能打篮球")
    assert await lin.one("select count(*) from faq_answered where account_id = :account") == 2


async def test_staff_who_write_are_no_patients_until_they_say_so(clinic: Clinic) -> None:
    from conversations.clinic import Patient

    wang = Patient(clinic, clinic.doctor("王医生").phone)
    assert "您是医护账号" in await wang.says("头疼得厉害，吐了两次")
    assert await wang.questions() == 0
    assert "按患者处理" in await wang.says("以患者身份")
    assert "篮球" in await wang.says("血小板低能不能打篮球")
