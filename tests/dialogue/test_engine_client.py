"""The client doubts: every answer that is not one is an error with a name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.dialogue.engine_client import EngineClient, EngineUnavailable, FormOpen, Refused, TurnAborted


class Replica:
    """An engine as the client sees it: answers what it is told, remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.delay = 200, {"messages": [{"text": "好"}], "replayed": False}, 0.0
        self.asked: list[Any] = []
        app = web.Application()
        app.router.add_post("/webhooks/app/webhook", self._turn)
        app.router.add_post("/webhooks/app/trigger", self._turn)
        app.router.add_get("/status", self._status)
        self.server = TestServer(app)

    async def _turn(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("X-Engine-Secret"), await request.json()))
        await asyncio.sleep(self.delay)
        return web.json_response(self.body, status=self.status)

    async def _status(self, request: web.Request) -> web.Response:
        if request.query.get("token") != "t":
            return web.Response(status=401)
        return web.json_response({"model_file": "m.tar.gz"}, status=self.status)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/")).rstrip("/")


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    made = Replica()
    await made.server.start_server()
    yield made
    await made.server.close()


def client(*urls: str, seconds: float = 5) -> EngineClient:
    return EngineClient(urls, secret="s" * 16, token="t", turn_seconds=seconds)


async def test_an_answer_carries_its_messages(replica: Replica) -> None:
    async with client(replica.url) as engine:
        answer = await engine.say("c", "你好", "m1", "t1", {"person": "p"})
    assert (answer.messages, answer.replayed) == ([{"text": "好"}], False)
    secret, body = replica.asked[0]
    assert secret == "s" * 16
    assert body == {"sender": "c", "text": "你好", "message_id": "m1", "trace_id": "t1", "metadata": {"person": "p"}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"messages": []}, TurnAborted),
        (200, {}, TurnAborted),
        (200, [], EngineUnavailable),
        (503, {"error": "turn_aborted"}, TurnAborted),
        (503, {"error": "no_model"}, EngineUnavailable),
        (503, "not json", EngineUnavailable),
        (500, {}, EngineUnavailable),
        (409, {"error": "busy"}, EngineUnavailable),
        (409, {"error": "form_open"}, FormOpen),
        (401, {"error": "unauthorised"}, Refused),
        (400, {"error": "malformed", "field": "text"}, Refused),
    ],
)
async def test_what_is_no_answer_is_an_error_with_a_name(
    replica: Replica, status: int, body: Any, error: type[Exception]
) -> None:
    replica.status, replica.body = status, body
    async with client(replica.url) as engine:
        with pytest.raises(error):
            await engine.say("c", "你好", "m1")


async def test_silence_on_purpose_is_not_a_failure(replica: Replica) -> None:
    replica.body = {"messages": [{"custom": {"silent": True}}]}
    async with client(replica.url) as engine:
        assert (await engine.say("c", "你好", "m1")).messages == []


async def test_a_long_message_is_cut(replica: Replica) -> None:
    async with client(replica.url) as engine:
        await engine.say("c", "长" * 9000, "m1")
    assert len(replica.asked[0][1]["text"]) == 1000


async def test_a_slow_engine_is_unavailable_and_no_other_replica_is_asked(replica: Replica) -> None:
    replica.delay = 2
    async with client(replica.url, replica.url, seconds=0.2) as engine:
        with pytest.raises(EngineUnavailable):
            await engine.say("c", "你好", "m1")
    assert len(replica.asked) == 1


async def test_a_dead_replica_is_passed_over_and_all_dead_is_unavailable(replica: Replica) -> None:
    dead = "http://127.0.0.1:1"
    async with client(dead, replica.url) as engine:
        for conversation in ("c1", "c2", "c3", "c4"):
            assert (await engine.say(conversation, "你好", "m1")).messages
        assert await engine.ready()
    async with client(dead) as engine:
        with pytest.raises(EngineUnavailable):
            await engine.say("c", "你好", "m1")
        with pytest.raises(EngineUnavailable):
            await engine.parse("你好")
        assert not await engine.ready()


def test_a_conversation_keeps_its_replica_and_conversations_spread() -> None:
    engine = client("http://a", "http://b", "http://c")
    firsts = {engine.order(f"conversation-{number}")[0] for number in range(50)}
    assert firsts == {"http://a", "http://b", "http://c"}
    assert engine.order("x") == engine.order("x")
    assert sorted(engine.order("x")) == ["http://a", "http://b", "http://c"]


async def test_a_server_without_our_token_is_not_ready(replica: Replica) -> None:
    async with EngineClient([replica.url], secret="s" * 16, token="other") as engine:
        assert not await engine.ready()
    replica.status = 409
    async with client(replica.url) as engine:
        assert not await engine.ready()


def test_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        EngineClient([], secret="s" * 16, token="t")
