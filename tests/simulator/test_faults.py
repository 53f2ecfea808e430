"""What goes wrong on purpose goes wrong as ordered, and only so often."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from bot.simulator.faults import Faults
from bot.simulator.ledger import Direction
from bot.simulator.phone import Phone

from .account import WeChat

SEND = "/cgi-bin/message/custom/send"


async def test_a_dropped_attempt_is_followed_by_one_that_arrives(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    await wechat.control("/faults", {"drop": 1})
    outcome = await lin.says("丢了")
    assert outcome.attempts == 2 and outcome.text == "你说：丢了"
    assert wechat.callback.texts() == ["丢了"]


async def test_a_lost_answer_makes_the_same_message_come_again(hasty: tuple[WeChat, Phone]) -> None:
    wechat, lin = hasty
    await wechat.control("/faults", {"lose_reply": 1})
    outcome = await lin.says("再说一遍")
    assert outcome.attempts == 2
    assert wechat.callback.texts() == ["再说一遍", "再说一遍"]
    assert wechat.callback.seen[-1]["MsgId"] == wechat.callback.seen[-2]["MsgId"]
    assert [m.text for m in lin.hears(since=lin.last_own_id)] == ["你说：再说一遍"]


async def test_a_duplicate_is_delivered_twice_and_shown_once(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"duplicate": 1})
    await lin.says("两次")
    await lin.says("一次")
    assert wechat.callback.texts() == ["两次", "两次", "一次"]
    assert [m.text for m in lin.hears()][-2:] == ["你说：两次", "你说：一次"]


async def test_pushes_change_places_when_asked_to(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"reorder": 1})
    first = asyncio.create_task(lin.says("先说的"))
    await asyncio.sleep(0)
    await lin.says("后说的")
    await first
    assert wechat.callback.texts() == ["后说的", "先说的"]


async def test_a_delayed_push_comes_late(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"delay": 1, "delay_seconds": 0.3})
    began = time.monotonic()
    assert (await lin.says("晚到")).seconds < time.monotonic() - began - 0.29
    assert wechat.world.faults.plan().delay_seconds == 0


async def test_any_error_code_is_given_so_many_times_and_has_no_effect(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"api": [{"path": SEND, "code": 45009, "times": 2}]})
    assert [await wechat.tells(lin, str(n)) for n in range(3)] == [45009, 45009, 0]
    assert [m.text for m in lin.hears()][-1] == "2"
    await wechat.control("/faults", {"api": [{"path": "*", "code": -1}]})
    assert [await wechat.tells(lin, "x"), await wechat.tells(lin, "y")] == [-1, 0]


async def test_a_call_may_fail_below_the_error_codes(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"api": [{"path": SEND, "http_status": 502}]})
    async with wechat.http.post(wechat.url + SEND, params={"access_token": wechat.token}, data=b"{}") as response:
        assert response.status == 502


async def test_an_answer_may_be_lost_after_the_message_was_sent(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"api": [{"path": SEND, "lose_answer": True}]})
    with pytest.raises(aiohttp.ClientError):
        await wechat.tells(lin, "也许到了")
    assert [m.text for m in lin.hears()][-1] == "也许到了"


async def test_unknown_faults_are_refused_by_name_and_clear_ends_all(wechat: WeChat, lin: Phone) -> None:
    assert "flood" in (await wechat.control("/faults", {"flood": 1}, status=400))["error"]
    assert (await wechat.control("/faults", {"drop": "many"}, status=400))["error"].startswith("drop")
    assert "api" in (await wechat.control("/faults", {"api": [{"road": "x"}]}, status=400))["error"]
    await wechat.control("/faults", {"drop": 5, "api": [{"path": "*", "code": 40001, "times": 9}]})
    await wechat.control("/faults", {"clear": True})
    assert wechat.world.faults == Faults()
    assert (await lin.says("好了")).attempts == 1


async def test_the_alert_gateway_takes_json_and_can_fail(wechat: WeChat) -> None:
    url = wechat.url + "/gateway/alert"
    async with wechat.http.post(url, json={"to": "13800000000", "text": "急症：请立即处理"}) as response:
        assert (await response.json())["accepted"]
    async with wechat.http.post(url, data=b"not json") as response:
        assert response.status == 400
    await wechat.control("/faults", {"api": [{"path": "/gateway/alert", "http_status": 503}]})
    async with wechat.http.post(url, json={"text": "x"}) as response:
        assert response.status == 503
    assert [a["body"]["text"] for a in (await wechat.control("/alerts"))["alerts"]] == ["急症：请立即处理"]
    assert [e.status for e in wechat.world.ledger.of(direction=Direction.GATEWAY)] == [200, 400, 503]
