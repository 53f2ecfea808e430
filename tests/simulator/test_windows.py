"""Who may be told something, how often and how long."""

from __future__ import annotations

import pytest

from bot.simulator.phone import Phone

from .account import ACCOUNT, PNG, Start, WeChat

HOUR = 3600


async def test_a_message_grants_five_within_48_hours(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(120)
    await lin.says("你好")
    await wechat.world.advance(48 * HOUR - 60)
    assert [await wechat.tells(lin, str(n)) for n in range(6)] == [0, 0, 0, 0, 0, 45047]
    await wechat.world.advance(120)
    assert await wechat.tells(lin, "晚了") == 45015
    await lin.says("我又来了")
    assert await wechat.tells(lin, "欢迎") == 0


async def test_another_message_renews_the_five_and_adds_nothing(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(120)
    await lin.says("一")
    await lin.says("二")
    assert [await wechat.tells(lin, str(n)) for n in range(6)] == [0, 0, 0, 0, 0, 45047]


async def test_following_grants_three_within_a_minute(wechat: WeChat, lin: Phone) -> None:
    assert [await wechat.tells(lin, str(n)) for n in range(4)] == [0, 0, 0, 45047]
    await wechat.world.advance(61)
    assert await wechat.tells(lin, "晚了") == 45015


async def test_a_menu_click_grants_three_within_a_minute_and_a_view_nothing(wechat: WeChat, lin: Phone) -> None:
    await wechat.call(
        "/cgi-bin/menu/create",
        {"button": [{"type": "click", "name": "问", "key": "ask"}, {"type": "view", "name": "看", "url": "http://x/"}]},
    )
    await wechat.world.advance(120)
    await lin.taps_menu("看")
    assert await wechat.tells(lin, "无") == 45015
    await lin.taps_menu("ask")
    assert [await wechat.tells(lin, str(n)) for n in range(4)] == [0, 0, 0, 45047]
    await wechat.world.advance(61)
    assert await wechat.tells(lin, "晚了") == 45015


async def test_a_tap_in_a_message_counts_as_a_click_not_as_a_message(wechat: WeChat, lin: Phone) -> None:
    menu = {"head_content": "有帮助吗", "list": [{"id": "1", "content": "有"}, {"id": "2", "content": "没有"}]}
    await lin.says("你好")
    body = {"touser": lin.openid, "msgtype": "msgmenu", "msgmenu": menu}
    assert await wechat.code("/cgi-bin/message/custom/send", body) == 0
    await wechat.world.advance(48 * HOUR + 1)
    await lin.taps_choice("没有")
    assert [await wechat.tells(lin, str(n)) for n in range(4)] == [0, 0, 0, 45047]
    await wechat.world.advance(61)
    assert await wechat.tells(lin, "晚了") == 45015


async def test_scanning_grants_three_within_a_minute(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(120)
    scene = {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "staff-7"}}, "expire_seconds": 600}
    await wechat.call("/cgi-bin/qrcode/create", scene)
    await lin.scans("staff-7")
    assert [await wechat.tells(lin, str(n)) for n in range(4)] == [0, 0, 0, 45047]


async def test_a_passive_reply_uses_nothing(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(120)
    for n in range(4):
        assert await lin.says(f"第{n}句")
    assert lin.window.left(wechat.world.clock.now()) == 5


async def test_a_refused_message_uses_nothing_and_reaches_nobody(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(120)
    await lin.says("你好")
    heard = len(lin.hears())
    assert await wechat.tells(lin, "长" * 683) == 45002
    assert await wechat.tells(lin, " ") == 44004
    assert lin.window.left(wechat.world.clock.now()) == 5
    assert len(lin.hears()) == heard


async def test_nobody_who_does_not_follow_is_reached(wechat: WeChat, lin: Phone) -> None:
    await lin.unfollows()
    assert await wechat.tells(lin, "还在吗") == 43004
    stranger = wechat.world.add_phone("路人")
    assert await wechat.tells(stranger, "你好") == 43004
    await lin.follows()
    assert await wechat.tells(lin, "欢迎回来") == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"touser": "oNobody"}, 40003),
        ({"msgtype": "poem"}, 40008),
        ({"image": {"media_id": "x"}}, 40035),
        ({"mood": "good"}, 40035),
        ({"text": {"content": "x", "bold": True}}, 40035),
        ({"text": {"content": 5}}, 47001),
        ({"text": {}}, 44004),
        ({"customservice": {"kf_account": "nobody@x"}}, 65401),
    ],
)
async def test_a_call_that_wechat_would_not_take_is_refused(
    wechat: WeChat, lin: Phone, change: dict[str, object], code: int
) -> None:
    body = {"touser": lin.openid, "msgtype": "text", "text": {"content": "你好"}} | change
    heard = len(lin.hears())
    assert await wechat.code("/cgi-bin/message/custom/send", body) == code
    assert len(lin.hears()) == heard


async def test_pictures_voices_articles_and_the_name_above_them_are_shown(wechat: WeChat, lin: Phone) -> None:
    media = await wechat.upload("image", PNG)
    account = {"kf_account": "li@gh", "nickname": "李医生"}
    assert await wechat.code("/customservice/kfaccount/add", account) == 0
    picture = {
        "touser": lin.openid,
        "msgtype": "image",
        "image": {"media_id": media["media_id"]},
        "customservice": {"kf_account": "li@gh"},
        "aimsgcontext": {"is_ai_msg": 1},
    }
    assert await wechat.code("/cgi-bin/message/custom/send", picture) == 0
    article = {"title": "科普", "description": "怎么看血小板", "url": "http://x/a", "picurl": "http://x/p"}
    news = {"touser": lin.openid, "msgtype": "news", "news": {"articles": [article]}}
    assert await wechat.code("/cgi-bin/message/custom/send", news) == 0
    assert await wechat.code("/cgi-bin/message/custom/send", news | {"news": {"articles": [article] * 2}}) == 45008
    voice = {"touser": lin.openid, "msgtype": "voice", "voice": {"media_id": media["media_id"]}}
    assert await wechat.code("/cgi-bin/message/custom/send", voice) == 40007
    shown, told = lin.hears()[-2:]
    assert (shown.kind, shown.sender, shown.media_id) == ("image", "李医生", media["media_id"])
    assert told.links() == ["http://x/a"]


async def test_typing_needs_a_recent_action_and_is_not_repeated(wechat: WeChat, lin: Phone) -> None:
    async def typing(command: str) -> int:
        return await wechat.code("/cgi-bin/message/custom/typing", {"touser": lin.openid, "command": command})

    await lin.says("你好")
    assert [await typing("Typing"), await typing("Typing"), await typing("Sing")] == [0, 45081, 45072]
    assert lin.is_typing(wechat.world.clock.now())
    await wechat.tells(lin, "说完了")
    assert not lin.is_typing(wechat.world.clock.now())
    assert [await typing("Typing"), await typing("CancelTyping"), await typing("Typing")] == [0, 0, 0]
    await wechat.world.advance(16)
    assert await typing("Typing") == 0
    await wechat.world.advance(31)
    assert await typing("Typing") == 45080


async def test_four_mass_messages_a_calendar_month(start: Start) -> None:
    wechat = await start()
    first, second = wechat.world.add_phone("甲"), wechat.world.add_phone("乙")
    await first.follows()
    await second.follows()
    body = {"filter": {"is_to_all": True}, "msgtype": "text", "text": {"content": "本月科普"}}
    codes = [await wechat.code("/cgi-bin/message/mass/sendall", body) for _ in range(5)]
    assert codes == [0, 0, 0, 0, 45028]
    some = {"touser": [first.openid, second.openid], "msgtype": "text", "text": {"content": "第五条"}}
    assert await wechat.code("/cgi-bin/message/mass/send", some) == 0
    await wechat.world.settled()
    finished = wechat.callback.seen[-1]
    assert (finished["Event"], finished["TotalCount"], finished["SentCount"]) == ("MASSSENDJOBFINISH", "2", "0")
    assert "第五条" not in first.hears()
    await wechat.world.advance(32 * 24 * HOUR)
    assert await wechat.code("/cgi-bin/message/mass/send", some) == 0
    assert await wechat.code("/cgi-bin/message/mass/sendall", body | {"clientmsgid": "m1"}) == 0
    again = await wechat.call("/cgi-bin/message/mass/sendall", body | {"clientmsgid": "m1"})
    assert again["errcode"] == 45065 and again["msg_id"]
    assert await wechat.code("/cgi-bin/message/mass/send", some | {"touser": [first.openid]}) == 40130
    media = await wechat.upload("image", PNG)
    images = {"filter": {"is_to_all": True}, "msgtype": "image", "images": {"media_ids": [media["media_id"]]}}
    assert await wechat.code("/cgi-bin/message/mass/sendall", images) == 0
    assert first.hears()[-1].media_id == media["media_id"]
    assert finished["ToUserName"] == ACCOUNT
