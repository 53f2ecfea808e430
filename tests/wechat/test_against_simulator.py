"""Our callback and client on one side, the simulator on the other: two implementations that share no line.

The simulator refuses unknown fields and keeps WeChat's windows and codes, so that what passes here is the real format.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from bot.simulator.app import create
from bot.simulator.config import Mode, SimulatorConfig, Template
from bot.simulator.phone import Phone
from bot.simulator.world import World
from bot.wechat import errors
from bot.wechat.callback import Metrics, routes
from bot.wechat.client import Sent, WeChat
from bot.wechat.envelope import Mode as OurMode
from bot.wechat.messages import Inbound
from bot.wechat.windows import allowance, grant_of

from .other_side import WeChatSide

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 4
TEMPLATE = Template(id="answer", title="新的回复", content="回复医生：{{name1.DATA}}")


@dataclass
class Answered:
    """An echo that notes its confirmation."""

    text: str
    confirmed: bool = False

    async def flushed(self) -> None:
        self.confirmed = True


@dataclass
class Line:
    """An account of ours, connected to a simulated WeChat with one follower."""

    world: World
    lin: Phone
    client: WeChat
    received: list[Inbound] = field(default_factory=list)
    broken: int = 0

    def last(self) -> Inbound:
        return self.received[-1]


Connected = Callable[..., Awaitable[Line]]


@pytest.fixture
async def connected(wechat: WeChatSide, redis: Redis) -> AsyncIterator[Connected]:
    closing: list[Callable[[], Awaitable[Any]]] = []

    async def listen(app: web.Application) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        closing.append(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def connect(mode: OurMode = "safe", *, patience: float = 5.0) -> Line:
        lines: list[Line] = []

        async def receive(inbound: Inbound, _: str) -> Answered | None:
            line = lines[0]
            line.received.append(inbound)
            if line.broken:
                line.broken -= 1
                raise ConnectionError("the database is away")
            return Answered(f"收到：{inbound.text}") if inbound.kind == "text" else None

        app = web.Application()
        metrics = Metrics(CollectorRegistry())
        app.add_routes(routes(wechat.envelope(mode), receive, metrics=metrics, patience=patience))
        config = SimulatorConfig(
            callback_url=f"{await listen(app)}/wechat",
            app_id=wechat.app_id,
            app_secret="app-secret-of-the-tests",
            token=wechat.token,
            aes_key=wechat.aes_key,
            mode=Mode(mode),
            templates=(TEMPLATE,),
            deadline_seconds=patience,
        )
        world = World(config)
        client = WeChat(wechat.app_id, "app-secret-of-the-tests", await listen(create(config, world)), redis)
        closing.append(client.close)
        lin = world.add_phone("林女士")
        lines.append(Line(world, lin, client))
        await lin.follows()
        return lines[0]

    yield connect
    for close in reversed(closing):
        await close()


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
async def test_a_conversation_goes_both_ways_in_each_mode(mode: OurMode, connected: Connected) -> None:
    line = await connected(mode)
    assert (line.last().event, line.last().openid) == ("subscribe", line.lin.openid)
    outcome = await line.lin.says("头疼 ]]> & <b> 🙂")
    assert outcome.text == "收到：头疼 ]]> & <b> 🙂"
    assert outcome.attempts == 1
    await line.client.send_text(line.lin.openid, "医生：先休息 & 观察 🙂")
    await line.lin.waits_for("医生：先休息 & 观察 🙂")


async def test_every_message_and_event_of_a_phone_is_understood(connected: Connected) -> None:
    line = await connected()
    await line.lin.sends_photo(JPEG)
    assert line.last().kind == "image"
    assert await line.client.get_media(line.last().media_id) == (JPEG, "image/jpeg")
    await line.lin.sends_voice(b"#!AMR\n" + bytes(64))
    assert (line.last().kind, line.last().media_format) == ("voice", "amr")
    await line.client.create_menu({"button": [{"type": "click", "name": "问医生", "key": "ask-doctor"}]})
    await line.lin.taps_menu("问医生")
    assert (line.last().event, line.last().event_key) == ("click", "ask-doctor")
    await line.client.send_menu(line.lin.openid, "急不急？", {"urgent": "很急", "calm": "不急"})
    await line.lin.taps_choice("很急")
    assert (line.last().kind, line.last().text, line.last().menu_id) == ("text", "很急", "urgent")
    code = await line.client.create_qr("staff-7f3a", 600)
    await line.lin.scans(code.ticket)
    assert (line.last().event, line.last().scene, line.last().ticket) == ("scan", "staff-7f3a", code.ticket)
    await line.lin.unfollows()
    assert line.last().event == "unsubscribe"
    with pytest.raises(errors.WeChatError):
        await line.client.send_text(line.lin.openid, "还在吗")
    assert all(inbound.known for inbound in line.received)


async def test_a_template_arrives_once_and_its_receipt_names_it(connected: Connected) -> None:
    line = await connected()
    send: dict[str, Any] = {"data": {"name1": "周医生"}, "url": "https://x.cn/q/1", "client_msg_id": "outbox-1"}
    first = await line.client.send_template(line.lin.openid, "answer", **send)
    async with asyncio.timeout(3):
        while line.last().event != "templatesendjobfinish":
            await asyncio.sleep(0.01)
    assert (line.last().template_msg_id, line.last().template_status) == (first.msg_id, "success")
    again = await line.client.send_template(line.lin.openid, "answer", **send)
    assert (first.repeated, again.repeated) == (False, True)
    with pytest.raises(errors.NoticeRefused):
        await line.client.send_template(line.lin.openid, "no-such-template", {}, client_msg_id="outbox-2")


async def test_the_other_calls_are_taken_as_they_are(connected: Connected) -> None:
    line = await connected()
    media_id = await line.client.upload_media(JPEG, "化验单.jpg", "image")
    assert await line.client.send_image(line.lin.openid, media_id) == Sent()
    await line.client.typing(line.lin.openid, True)
    assert (await line.client.user_info(line.lin.openid))["subscribe"] == 1
    assert (await line.client.mass_send("科普", client_msg_id="mass-1")).msg_id
    with pytest.raises(errors.NoticeRefused):
        await line.client.send_subscription(line.lin.openid, "t", {"thing1": "复查"}, page="https://x.cn/c/1")
    with pytest.raises(errors.MediaGone):
        await line.client.get_media("gone")
    with pytest.raises(errors.LoginStale):
        await line.client.oauth_openid("used")


async def test_a_message_that_could_not_be_stored_is_sent_again_and_answered(connected: Connected) -> None:
    line = await connected(patience=1.0)
    line.broken = 2
    outcome = await line.lin.says("我头疼")
    assert (outcome.attempts, outcome.text, outcome.failed) == (3, "收到：我头疼", False)
    assert len({inbound.msg_id for inbound in line.received[-3:]}) == 1


async def test_our_own_count_never_allows_what_wechat_refuses(connected: Connected) -> None:
    line = await connected()
    await line.lin.says("血小板 23")
    now = line.world.clock.now()
    grants = [grant for inbound in line.received if (grant := grant_of(inbound, at=now))]
    sent: list[datetime] = []
    while allowance(grants, sent, now, by_doctor=True):
        await line.client.send_text(line.lin.openid, f"第 {len(sent) + 1} 条")
        sent.append(now)
    assert len(sent) == 5


async def test_a_moved_clock_makes_no_push_stale(connected: Connected) -> None:
    line = await connected()
    line.world.clock.move(4 * 24 * 3600)
    assert (await line.lin.says("四天后")).text == "收到：四天后"
    assert line.last().created_at - line.received[0].created_at >= timedelta(days=4)
