"""The app's own client and callback understand this WeChat: the same lines that will speak to the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from bot.simulator.config import Mode
from bot.simulator.history import Channel
from bot.simulator.phone import Phone
from bot.wechat import callback, errors
from bot.wechat.client import WeChat as Client
from bot.wechat.envelope import Envelope
from bot.wechat.messages import Inbound

from .account import AES_KEY, APP_ID, APP_SECRET, PNG, TOKEN, Callback, Start, WeChat

SEND = "/cgi-bin/message/custom/send"


@pytest.fixture
async def client(wechat: WeChat, redis_url: str) -> AsyncIterator[Client]:
    """The app's client, talking to the simulator."""
    async with Redis.from_url(redis_url) as redis, Client(APP_ID, APP_SECRET, wechat.url, redis, timeout=2) as made:
        yield made


async def test_texts_menus_and_pictures_reach_the_phone(client: Client, lin: Phone) -> None:
    await client.send_text(lin.openid, "你好 ]]> <b>")
    await client.send_menu(lin.openid, "急吗", {"urgent": "很急", "calm": "不急"}, "也可以打字")
    await client.send_image(lin.openid, await client.upload_media(PNG, "报告.png", "image"))
    text, menu, picture = lin.hears().by(Channel.ACTIVE)
    assert text.text == "你好 ]]> <b>"
    assert menu.words() == "急吗\n很急\n不急\n也可以打字"
    assert (await client.get_media(picture.media_id)) == (PNG, "image/png")


async def test_what_wechat_refuses_has_its_name_in_the_app(client: Client, wechat: WeChat, lin: Phone) -> None:
    for _ in range(3):
        await client.send_text(lin.openid, "一")
    with pytest.raises(errors.WindowClosed):
        await client.send_text(lin.openid, "第四条")
    await wechat.world.advance(61)
    with pytest.raises(errors.WindowClosed):
        await client.send_text(lin.openid, "晚了")
    await client.typing(lin.openid, on=True)
    with pytest.raises(errors.MediaGone):
        await client.get_media("invented")
    with pytest.raises(errors.NoticeRefused):
        await client.send_subscription(lin.openid, "t", {"thing1": "x"})
    await lin.unfollows()
    with pytest.raises(errors.Unreachable):
        await client.send_text(lin.openid, "还在吗")
    assert (await client.user_info(lin.openid))["subscribe"] == 0


async def test_an_expired_or_revoked_token_is_renewed_without_loss(client: Client, wechat: WeChat, lin: Phone) -> None:
    await client.send_text(lin.openid, "一")
    await wechat.control("/faults", {"expire_token": True})
    await client.send_text(lin.openid, "二")
    await wechat.control("/faults", {"revoke_token": True})
    await client.send_text(lin.openid, "三")
    assert [m.text for m in lin.hears().by(Channel.ACTIVE)] == ["一", "二", "三"]


async def test_a_lost_answer_is_maybe_sent_and_was(client: Client, wechat: WeChat, lin: Phone) -> None:
    await client.send_text(lin.openid, "一")
    await wechat.control("/faults", {"api": [{"path": SEND, "lose_answer": True}]})
    with pytest.raises(errors.MaybeSent):
        await client.send_text(lin.openid, "也许")
    assert lin.hears()[-1].text == "也许"


async def test_a_template_sent_twice_with_one_id_arrives_once(client: Client, wechat: WeChat, lin: Phone) -> None:
    first = await client.send_template(lin.openid, "t", {"doctor": "李医生"}, url="http://x/", client_msg_id="a")
    again = await client.send_template(lin.openid, "t", {"doctor": "李医生"}, url="http://x/", client_msg_id="a")
    assert first.msg_id and again.repeated
    assert len(lin.hears().by(Channel.TEMPLATE)) == 1
    await wechat.world.settled()
    assert wechat.callback.seen[-1]["MsgID"] == first.msg_id


async def test_codes_menus_mass_messages_and_logins_work(client: Client, wechat: WeChat, lin: Phone) -> None:
    code = await client.create_qr("staff-7", 600)
    await lin.scans("staff-7")
    async with wechat.http.get(code.image_url) as picture:
        assert picture.status == 200
    await client.create_menu({"button": [{"type": "click", "name": "问医生", "key": "ask"}]})
    await lin.taps_menu("ask")
    await client.mass_send("本月科普", client_msg_id="m1")
    assert lin.hears()[-1].channel is Channel.MASS
    page = await lin.opens(client.oauth_url(f"{wechat.callback.url}/login", "s1"))
    login = parse_qs(urlsplit(page.url).query)["code"][0]
    assert await client.oauth_openid(login) == lin.openid
    with pytest.raises(errors.LoginStale):
        await client.oauth_openid(login)


@dataclass
class Reply:
    """A passive reply of the app."""

    text: str
    shown: list[str] = field(default_factory=list)

    async def flushed(self) -> None:
        self.shown.append(self.text)


@pytest.mark.parametrize("mode", list(Mode))
async def test_the_apps_callback_reads_every_push_and_answers(start: Start, mode: Mode) -> None:
    read: list[Inbound] = []
    shown: list[str] = []

    async def receive(inbound: Inbound, trace_id: str) -> Reply | None:
        read.append(inbound)
        return Reply(f"收到：{inbound.text} ]]>", shown) if inbound.kind == "text" else None

    app = web.Application()
    envelope = Envelope(APP_ID, TOKEN, AES_KEY, mode.value)
    app.add_routes(callback.routes(envelope, receive, metrics=callback.Metrics(CollectorRegistry())))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        wechat = await start(Callback(url=f"http://127.0.0.1:{runner.addresses[0][1]}"), mode=mode)
        assert await wechat.world.shakes_hands()
        lin = wechat.world.add_phone("林女士")
        await lin.follows()
        await wechat.world.advance(timedelta(days=9).total_seconds())
        outcome = await lin.says("血小板 23")
        assert outcome.text == "收到：血小板 23 ]]>" and not outcome.failed
        assert shown == [outcome.text]
        await lin.sends_photo(PNG)
        await wechat.call("/cgi-bin/message/template/send", _notice(lin))
        await wechat.world.settled()
        assert [i.event or i.kind for i in read] == ["subscribe", "text", "image", "templatesendjobfinish"]
        assert read[-1].template_status == "success" and read[-1].template_msg_id
        assert {i.openid for i in read} == {lin.openid}
    finally:
        await runner.cleanup()


def _notice(phone: Phone) -> dict[str, object]:
    return {"touser": phone.openid, "template_id": "t", "data": {"doctor": {"value": "李医生"}}}
