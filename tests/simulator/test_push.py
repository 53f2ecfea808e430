"""Pushes: how they are written, how answers are read, when they are tried again."""

from __future__ import annotations

import pytest
from aiohttp import web
from defusedxml.ElementTree import fromstring

from bot.simulator.config import Mode
from bot.simulator.crypto import BadEnvelope, Envelope, signature
from bot.simulator.history import Channel
from bot.simulator.ledger import Direction
from bot.simulator.phone import CannotDo, Phone
from bot.simulator.push import OUT_OF_ORDER

from .account import ACCOUNT, AES_KEY, AMR, APP_ID, PNG, TOKEN, Callback, Start, WeChat, reply


def test_signatures_are_those_of_wechat() -> None:
    assert signature("AAAAA", "1714036504", "1514711492") == "f464b24fc39322e44b38aa78f5edd27bd1441696"
    assert signature("AAAAA", "1714037059", "486452656") == "899cf89e464efb63f54ddac96b0a0a235f53aa78"


def test_an_envelope_opens_only_what_is_whole_and_for_this_app() -> None:
    ours = Envelope(token=TOKEN, aes_key=AES_KEY, app_id=APP_ID)
    other = Envelope(token=TOKEN, aes_key=AES_KEY, app_id="wxsomebodyelse")
    assert ours.open(ours.seal("<xml>你好</xml>")) == "<xml>你好</xml>"
    for bad in (other.seal("<xml/>"), ours.seal("<xml/>")[:-24], "not base64!", "", ours.seal("x")[:24]):
        with pytest.raises(BadEnvelope):
            ours.open(bad)


async def test_the_handshake_succeeds_only_when_the_echo_comes_back(wechat: WeChat) -> None:
    assert await wechat.world.shakes_hands()
    wechat.callback.echo = False
    assert not await wechat.world.shakes_hands()
    assert wechat.world.handshake is False


async def test_the_handshake_is_tried_until_the_app_is_there(start: Start) -> None:
    wechat = await start(handshake_on_start=True)
    while wechat.world.handshake is not True:
        await wechat.world.next_change()


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_text_is_answered_in_every_mode(start: Start, mode: Mode) -> None:
    wechat = await start(mode=mode)
    lin = wechat.world.add_phone("林女士")
    await lin.follows()

    outcome = await lin.says("血小板 23 ]]> <b>&")

    assert outcome.text == "你说：血小板 23 ]]> <b>&"
    assert wechat.callback.texts() == ["血小板 23 ]]> <b>&"]
    query, body = wechat.callback.queries[-1], fromstring(wechat.callback.bodies[-1])
    tags = {element.tag for element in body}
    assert query["openid"] == lin.openid
    assert ("encrypt_type" in query) == (mode is not Mode.PLAIN)
    assert ("Content" in tags) == (mode is not Mode.SAFE)
    assert ("Encrypt" in tags) == (mode is not Mode.PLAIN)


async def test_a_message_carries_what_wechat_sends(wechat: WeChat, lin: Phone) -> None:
    await wechat.world.advance(3600)
    await lin.says("在吗")
    await lin.says("还在吗")
    first, second = wechat.callback.seen[-2:]
    assert first["ToUserName"] == ACCOUNT
    assert first["FromUserName"] == lin.openid
    assert abs(int(first["CreateTime"]) - wechat.world.clock.now().timestamp()) < 30
    assert int(second["MsgId"]) > int(first["MsgId"]) > 1 << 50
    assert abs(int(wechat.callback.queries[-1]["timestamp"]) - wechat.world.clock.now().timestamp()) > 3000


async def test_photos_voices_and_any_other_type_are_pushed(wechat: WeChat, lin: Phone) -> None:
    await lin.sends_photo(PNG)
    await lin.sends_voice(AMR)
    await lin.sends_raw("location", "<Location_X>30.27</Location_X><Location_Y>120.15</Location_Y>")
    photo, voice, place = wechat.callback.seen[-3:]
    assert photo["MsgType"] == "image" and "MsgId" in photo
    assert await wechat.call("/cgi-bin/media/get", media_id=photo["MediaId"]) == PNG
    assert voice["Format"] == "amr" and "Recognition" not in voice
    assert place["Location_X"] == "30.27"


async def test_the_passive_reply_stands_on_the_phone_with_its_channel(lin: Phone) -> None:
    await lin.says("你好")
    heard = lin.hears(since=lin.last_own_id)
    assert [(m.channel, m.text) for m in heard] == [(Channel.PASSIVE, "你说：你好")]
    assert "你说" in heard and "再见" not in heard


@pytest.mark.parametrize("text", ["", "success"])
async def test_an_acknowledgement_shows_nothing(wechat: WeChat, lin: Phone, text: str) -> None:
    wechat.callback.answers = lambda m: text
    outcome = await lin.says("你好")
    assert outcome.reply is None and not outcome.failed and outcome.attempts == 1
    assert not lin.hears(since=lin.last_own_id)


@pytest.mark.parametrize(
    "bad",
    [
        '{"errcode":0}',
        "<html>500</html>",
        "<xml><MsgType>text",
        reply("oSomebodyElse", "错的人"),
        reply("{openid}", "   "),
        reply("{openid}", "长" * 683),
        reply("{openid}", "x").replace(ACCOUNT, "gh_other"),
        reply("{openid}", "x").replace("[text]", "[location]"),
        reply("{openid}", "x").replace("<CreateTime>1700000000</CreateTime>", ""),
        reply("{openid}", "x").replace("[text]", "[image]"),
    ],
)
async def test_a_bad_reply_is_told_as_wechat_tells_it(start: Start, bad: str) -> None:
    wechat = await start(mode=Mode.PLAIN)
    lin = wechat.world.add_phone("林女士")
    wechat.callback.answers = lambda m: bad.replace("{openid}", m["FromUserName"])
    outcome = await lin.follows()
    assert outcome.failed and outcome.attempts == 1 and outcome.reason
    assert [m.text for m in lin.hears()] == [OUT_OF_ORDER]
    assert lin.hears()[0].channel is Channel.SYSTEM


async def test_the_longest_text_that_fits_is_shown(wechat: WeChat, lin: Phone) -> None:
    wechat.callback.answers = lambda m: reply(m["FromUserName"], "长" * 682)
    assert (await lin.says("长吗")).text == "长" * 682


async def test_safe_mode_refuses_a_plain_reply_and_a_wrong_signature(wechat: WeChat, lin: Phone) -> None:
    wechat.callback.answers = lambda m: web.Response(text=reply(m["FromUserName"], "明文"))
    assert "safe mode" in (await lin.says("一")).reason
    envelope = Envelope(token=TOKEN, aes_key=AES_KEY, app_id=APP_ID)

    def forged(message: dict[str, str]) -> web.Response:
        sealed = envelope.seal(reply(message["FromUserName"], "假的"))
        return web.Response(
            text=f"<xml><Encrypt>{sealed}</Encrypt><MsgSignature>00</MsgSignature><TimeStamp>1</TimeStamp>"
            "<Nonce>2</Nonce></xml>"
        )

    wechat.callback.answers = forged
    assert "MsgSignature" in (await lin.says("二")).reason
    assert "假的" not in lin.hears()


async def test_compatible_mode_takes_plain_and_sealed_replies(start: Start) -> None:
    wechat = await start(mode=Mode.COMPATIBLE)
    lin = wechat.world.add_phone("林女士")
    await lin.follows()
    envelope = Envelope(token=TOKEN, aes_key=AES_KEY, app_id=APP_ID)

    def sealed(message: dict[str, str]) -> str:
        text = envelope.seal(reply(message["FromUserName"], "密文"))
        return (
            f"<xml><Encrypt>{text}</Encrypt><MsgSignature>{signature(TOKEN, '1', '2', text)}</MsgSignature>"
            "<TimeStamp>1</TimeStamp><Nonce>2</Nonce></xml>"
        )

    assert (await lin.says("一")).text == "你说：一"
    wechat.callback.answers = sealed
    assert (await lin.says("二")).text == "密文"


async def test_a_late_answer_is_asked_for_again_and_shown_once(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    wechat.callback.delays = [1.2, 0.0]
    before = len(wechat.callback.seen)
    outcome = await lin.says("慢一点")
    assert outcome.attempts == 2
    assert len({m["MsgId"] for m in wechat.callback.seen[before:]}) == 1
    assert wechat.callback.queries[-1]["nonce"] != wechat.callback.queries[-2]["nonce"]
    assert [m.text for m in lin.hears(since=lin.last_own_id)] == ["你说：慢一点"]


async def test_after_three_late_answers_the_account_is_out_of_order(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    wechat.callback.delays = [1.2, 1.2, 1.2]
    outcome = await lin.says("没有人吗")
    assert outcome.attempts == 3 and outcome.failed
    assert [m.text for m in lin.hears(since=lin.last_own_id)] == [OUT_OF_ORDER]
    assert [e.attempt for e in wechat.world.ledger.of(phone="林女士", direction=Direction.PUSH)][-3:] == [1, 2, 3]


async def test_an_error_page_is_tried_three_times(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    wechat.callback.answers = lambda m: web.Response(status=500, text="oops")
    outcome = await lin.says("你好")
    assert (outcome.attempts, outcome.status, outcome.failed) == (3, 500, True)


async def test_a_callback_that_is_not_there_is_tried_three_times(start: Start) -> None:
    wechat = await start(Callback(url="http://127.0.0.1:9"), deadline_seconds=0.2)
    lin = wechat.world.add_phone("林女士")
    outcome = await lin.follows()
    assert outcome.attempts == 3 and outcome.failed and outcome.status is None


async def test_unfollowing_is_pushed_and_its_failure_shown_to_nobody(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    wechat.callback.answers = lambda m: web.Response(status=500)
    shown = len(lin.history)
    await lin.unfollows()
    assert wechat.callback.events()[-1] == "unsubscribe"
    assert len(lin.history) == shown
    with pytest.raises(CannotDo):
        await lin.says("还在吗")


async def test_menu_taps_choices_and_scans_are_pushed_as_wechat_does(wechat: WeChat, lin: Phone) -> None:
    buttons = [
        {"type": "click", "name": "问医生", "key": "ask"},
        {"name": "我的", "sub_button": [{"type": "view", "name": "记录", "url": "http://127.0.0.1/records"}]},
    ]
    assert await wechat.code("/cgi-bin/menu/create", {"button": buttons}) == 0
    await lin.taps_menu("问医生")
    outcome = await lin.taps_menu("记录")
    click, view = wechat.callback.seen[-2:]
    assert (click["Event"], click["EventKey"]) == ("CLICK", "ask")
    assert (view["Event"], view["EventKey"]) == ("VIEW", outcome.opens) == ("VIEW", "http://127.0.0.1/records")
    with pytest.raises(CannotDo):
        await lin.taps_menu("没有的")

    link = "weixin://bizmsgmenu?msgmenucontent=%E5%BE%88%E6%80%A5&msgmenuid=urgent"
    wechat.callback.answers = lambda m: reply(m["FromUserName"], f'急吗\n<a href="{link}">1 很急</a>')
    await lin.says("想问一下")
    await lin.taps_choice("很急")
    tapped = wechat.callback.seen[-1]
    assert (tapped["Content"], tapped["bizmsgmenuid"]) == ("很急", "urgent")
    with pytest.raises(CannotDo):
        await lin.taps_choice("不急")


async def test_waiting_for_words_ends_in_an_error_when_they_do_not_come(wechat: WeChat, lin: Phone) -> None:
    await lin.says("你好")
    with pytest.raises(TimeoutError):
        await lin.waits_for("没人说的话", within=0.05)
    assert await wechat.tells(lin, "医生的回复") == 0
    assert (await lin.waits_for("医生")).channel is Channel.ACTIVE
