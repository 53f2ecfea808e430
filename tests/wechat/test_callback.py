"""The callback over HTTP: what WeChat gets back, and what it never gets."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from bot.wechat.callback import Metrics, routes
from bot.wechat.envelope import Mode
from bot.wechat.messages import Inbound

from .other_side import WeChatSide


class Claim:
    """An answer that notes whether it was confirmed."""

    def __init__(self, text: str, gate: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.text = text
        self.confirmed = 0
        self._gate = gate
        self._error = error

    async def flushed(self) -> None:
        if self._gate:
            await self._gate.wait()
        if self._error:
            raise self._error
        self.confirmed += 1


class Line:
    """A running callback whose `answer` is what receiving a message comes to."""

    def __init__(self, client: TestClient[Any, Any], registry: CollectorRegistry) -> None:
        self.http = client
        self.registry = registry
        self.received: list[tuple[Inbound, str]] = []
        self.answer: Callable[[Inbound], Awaitable[Claim | None]] = nothing

    async def push(self, query: dict[str, str], body: bytes, **more: Any) -> tuple[int, str]:
        async with self.http.post("/wechat", params=query, data=body, **more) as response:
            return response.status, await response.text()

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"wechat_callback_{name}_total", labels) or 0.0


OpenLine = Callable[..., Awaitable[Line]]


async def nothing(_: Inbound) -> None:
    return None


@pytest.fixture
async def open_line(wechat: WeChatSide) -> AsyncIterator[OpenLine]:
    clients: list[TestClient[Any, Any]] = []

    async def open_line(mode: Mode = "safe", *, patience: float = 5.0) -> Line:
        registry = CollectorRegistry()
        app = web.Application()
        client = TestClient(TestServer(app))
        line = Line(client, registry)

        async def receive(inbound: Inbound, trace_id: str) -> Claim | None:
            line.received.append((inbound, trace_id))
            return await line.answer(inbound)

        app.add_routes(routes(wechat.envelope(mode), receive, metrics=Metrics(registry), patience=patience))
        await client.start_server()
        # As the app is run; the test server alone cancels handlers whose client has left.
        client.server.handler.handler_cancellation = False
        clients.append(client)
        return line

    yield open_line
    for client in clients:
        await client.close()


@pytest.fixture
async def line(open_line: OpenLine) -> Line:
    return await open_line()


def saying(claim: Claim) -> Callable[[Inbound], Awaitable[Claim | None]]:
    async def answer(_: Inbound) -> Claim:
        return claim

    return answer


def failing(error: Exception) -> Callable[[Inbound], Awaitable[Claim | None]]:
    async def answer(_: Inbound) -> None:
        raise error

    return answer


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
async def test_the_handshake_echoes_exactly_what_was_asked(mode: Mode, open_line: OpenLine, wechat: WeChatSide) -> None:
    line = await open_line(mode)
    for echo in ("5838479218127813673", "<script>", "中文 🙂"):
        async with line.http.get("/wechat", params=wechat.query(echostr=echo)) as response:
            assert (response.status, await response.text()) == (200, echo)
            assert response.content_type == "text/plain"


@pytest.mark.parametrize(
    "query", ["", "?signature=x", "?signature=%ff&timestamp=%00&nonce=%ff&echostr=%ff", "?echostr=1"]
)
async def test_a_wrong_handshake_is_403_and_never_500(query: str, line: Line) -> None:
    async with line.http.get(f"/wechat{query}") as response:
        assert (response.status, await response.read()) == (403, b"")
    assert line.count("refused", reason="signature") == 1


async def test_a_message_without_an_answer_is_acknowledged_with_success(line: Line, wechat: WeChatSide) -> None:
    assert await line.push(*wechat.push(wechat.xml(Content="你好"))) == (200, "success")
    [(inbound, trace_id)] = line.received
    assert inbound.text == "你好"
    assert len(trace_id) == 16 and int(trace_id, 16) >= 0
    assert line.count("answered", answer="success") == 1


@pytest.mark.parametrize("mode", ["compatible", "safe"])
async def test_the_passive_reply_is_encrypted_and_signed(mode: Mode, open_line: OpenLine, wechat: WeChatSide) -> None:
    line = await open_line(mode)
    claim = Claim("先坐下 ]]> 别用力")
    line.answer = saying(claim)
    status, body = await line.push(*wechat.push(wechat.xml(Content="头疼得厉害"), mode))
    reply = wechat.read_reply(body)
    assert (status, reply["Content"], reply["ToUserName"]) == (200, "先坐下 ]]> 别用力", wechat.openid)
    assert claim.confirmed == 1


async def test_the_passive_reply_is_in_clear_in_plain_mode(open_line: OpenLine, wechat: WeChatSide) -> None:
    line = await open_line("plain")
    line.answer = saying(Claim("可以散步"))
    status, body = await line.push(*wechat.push(wechat.xml(Content="运动"), "plain"))
    assert status == 200 and "<Content><![CDATA[可以散步]]></Content>" in body


async def test_a_reply_is_confirmed_only_after_it_left(line: Line, wechat: WeChatSide) -> None:
    gate = asyncio.Event()
    claim = Claim("可以散步", gate)
    line.answer = saying(claim)
    status, body = await asyncio.wait_for(line.push(*wechat.push(wechat.xml(Content="运动"))), 3)
    assert status == 200 and wechat.read_reply(body)["Content"] == "可以散步"
    assert claim.confirmed == 0
    gate.set()
    async with asyncio.timeout(3):
        while not claim.confirmed:
            await asyncio.sleep(0)


async def test_a_confirmation_that_fails_does_not_spoil_the_reply(line: Line, wechat: WeChatSide) -> None:
    line.answer = saying(Claim("可以散步", error=RuntimeError("database gone")))
    with structlog.testing.capture_logs() as logs:
        status, body = await line.push(*wechat.push(wechat.xml(Content="运动")))
        await line.push(*wechat.push(wechat.xml(Content="还在吗")))
    assert status == 200 and wechat.read_reply(body)["Content"] == "可以散步"
    assert any(entry["event"] == "callback.flush_not_recorded" for entry in logs)
    assert "database gone" not in str(logs)


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_reply_is_sent_as_success_and_not_confirmed(text: str, line: Line, wechat: WeChatSide) -> None:
    claim = Claim(text)
    line.answer = saying(claim)
    assert await line.push(*wechat.push(wechat.xml(Content="运动"))) == (200, "success")
    assert claim.confirmed == 0


async def test_a_reply_too_long_for_wechat_is_shortened_rather_than_lost(line: Line, wechat: WeChatSide) -> None:
    line.answer = saying(Claim("长" * 10_000))
    _, body = await line.push(*wechat.push(wechat.xml(Content="运动")))
    assert len(wechat.read_reply(body)["Content"].encode()) <= 2048


async def test_a_message_that_was_not_stored_gets_no_answer_so_that_wechat_sends_it_again(
    open_line: OpenLine, wechat: WeChatSide
) -> None:
    line = await open_line(patience=0.5)
    line.answer = failing(RuntimeError("insert failed for 我头疼"))
    push = wechat.push(wechat.xml(Content="我头疼"))
    with structlog.testing.capture_logs() as logs, pytest.raises(aiohttp.ServerDisconnectedError):
        await line.push(*push)
    assert line.count("answered", answer="silence") == 1
    [entry] = [entry for entry in logs if entry["event"] == "callback.not_stored"]
    assert entry["error"] == "RuntimeError" and entry["where"].startswith("answer:")
    assert "我头疼" not in str(logs)
    line.answer = nothing
    assert await line.push(*push) == (200, "success")
    assert len({inbound.msg_id for inbound, _ in line.received}) == 1
    assert len({trace_id for _, trace_id in line.received}) == 2


async def test_the_request_is_held_until_wechat_has_given_up(open_line: OpenLine, wechat: WeChatSide) -> None:
    line = await open_line(patience=0.5)
    line.answer = failing(OSError())
    began = asyncio.get_running_loop().time()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await line.push(*wechat.push(wechat.xml(Content="你好")))
    assert asyncio.get_running_loop().time() - began >= 0.49


async def test_a_reply_that_comes_after_wechat_gave_up_is_not_confirmed(
    open_line: OpenLine, wechat: WeChatSide
) -> None:
    line = await open_line(patience=0.5)
    claim = Claim("可以散步")

    async def late(_: Inbound) -> Claim:
        await asyncio.sleep(0.6)
        return claim

    line.answer = late
    push = wechat.push(wechat.xml(Content="运动"))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await line.push(*push)
    assert claim.confirmed == 0
    line.answer = saying(claim)
    status, body = await line.push(*push)
    assert (status, wechat.read_reply(body)["Content"], claim.confirmed) == (200, "可以散步", 1)


async def test_a_reply_to_a_connection_that_is_gone_is_not_confirmed(line: Line, wechat: WeChatSide) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()
    claim = Claim("可以散步")

    async def slow(_: Inbound) -> Claim:
        arrived.set()
        await left.wait()
        return claim

    line.answer = slow
    query, body = wechat.push(wechat.xml(Content="运动"))
    writer = await send_raw(line, query, body, length=len(body))
    await asyncio.wait_for(arrived.wait(), 3)
    writer.transport.abort()
    async with asyncio.timeout(3):
        while any(connection.transport for connection in line.http.server.handler.connections):
            await asyncio.sleep(0)
        left.set()
        while not line.count("answered", answer="unreachable"):
            await asyncio.sleep(0)
    assert claim.confirmed == 0


async def send_raw(line: Line, query: dict[str, str], body: bytes, *, length: int) -> asyncio.StreamWriter:
    url = line.http.make_url("/wechat").with_query(query)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {url.raw_path_qs} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return writer


async def test_a_body_that_stops_in_the_middle_is_refused_and_counted(line: Line, wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="运动"))
    writer = await send_raw(line, query, body[:50], length=len(body))
    writer.close()
    async with asyncio.timeout(3):
        while not line.count("refused", reason="truncated"):
            await asyncio.sleep(0)
    assert not line.received


async def test_a_body_that_never_ends_is_given_up(open_line: OpenLine, wechat: WeChatSide) -> None:
    line = await open_line(patience=0.1)
    query, body = wechat.push(wechat.xml(Content="运动"))
    writer = await send_raw(line, query, body[:50], length=len(body))
    async with asyncio.timeout(3):
        while not line.count("refused", reason="truncated"):
            await asyncio.sleep(0.01)
    writer.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda q, b: ({**q, "msg_signature": "0" * 40}, b), "signature"),
        (lambda q, b: ({}, b), "signature"),
        (lambda q, b: (q, b[:-20]), "xml"),
        (lambda q, b: (q, b"<!DOCTYPE xml>" + b), "xml"),
        (lambda q, b: (q, b.decode().encode("utf-16")), "encoding"),
        (lambda q, b: (q, b" " * 70_000 + b), "size"),
        (lambda q, b: (q, b""), "xml"),
        (lambda q, b: (q, b'{"json": true}'), "xml"),
        (lambda q, b: (q, b"<xml><Content>hi</Content></xml>"), "mode"),
    ],
)
async def test_each_kind_of_bad_input_is_an_empty_403_counted_by_its_reason(
    spoil: Any, reason: str, line: Line, wechat: WeChatSide
) -> None:
    query, body = spoil(*wechat.push(wechat.xml(Content="我头疼")))
    with structlog.testing.capture_logs() as logs:
        assert await line.push(query, body) == (403, "")
    assert line.count("refused", reason=reason) == 1
    assert not line.received
    assert "我头疼" not in str(logs) and wechat.openid not in str(logs)


@pytest.mark.parametrize(
    ("push", "reason"),
    [
        ({"age": 700}, "freshness"),
        ({"app_id": "wx-of-another"}, "app_id"),
    ],
)
async def test_a_stale_or_foreign_push_is_an_empty_403(
    push: dict[str, Any], reason: str, line: Line, wechat: WeChatSide
) -> None:
    assert await line.push(*wechat.push(wechat.xml(Content="x"), **push)) == (403, "")
    assert line.count("refused", reason=reason) == 1


async def test_an_oversized_body_is_refused_also_when_its_length_is_not_told(line: Line, wechat: WeChatSide) -> None:
    query, _ = wechat.push(wechat.xml(Content="x"))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 8192

    async with line.http.post("/wechat", params=query, data=endless()) as response:
        assert response.status == 403
    assert line.count("refused", reason="size") == 1


async def test_a_compressed_bomb_is_refused(line: Line, wechat: WeChatSide) -> None:
    query, _ = wechat.push(wechat.xml(Content="x"))
    bomb = gzip.compress(b"x" * 5_000_000)
    assert (await line.push(query, bomb, headers={"Content-Encoding": "gzip"}))[0] == 403
    assert line.count("refused", reason="size") == 1


async def test_a_compression_that_is_broken_is_refused(line: Line, wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="x"))
    assert (await line.push(query, body, headers={"Content-Encoding": "gzip"}))[0] in (400, 403)
    assert not line.received


@pytest.mark.parametrize("msg_type", ["text", "image", "voice", "video", "shortvideo", "location", "link", "file"])
async def test_every_message_type_is_received_and_acknowledged(msg_type: str, line: Line, wechat: WeChatSide) -> None:
    assert await line.push(*wechat.push(wechat.xml(msg_type))) == (200, "success")
    assert [inbound.kind for inbound, _ in line.received] == [msg_type]
    assert line.count("unknown", of="message") == 0


async def test_unknown_types_and_events_are_received_acknowledged_and_counted(line: Line, wechat: WeChatSide) -> None:
    assert await line.push(*wechat.push(wechat.xml("hologram"))) == (200, "success")
    assert await line.push(*wechat.push(wechat.xml("event", Event="brand_new"))) == (200, "success")
    assert [inbound.kind for inbound, _ in line.received] == ["unknown", "event"]
    assert (line.count("unknown", of="message"), line.count("unknown", of="event")) == (1, 1)


async def test_the_trace_id_is_bound_while_a_message_is_received(line: Line, wechat: WeChatSide) -> None:
    bound = []

    async def note(_: Inbound) -> None:
        bound.append(structlog.contextvars.get_contextvars().get("trace_id"))

    line.answer = note
    await line.push(*wechat.push(wechat.xml(Content="x")))
    await line.push(*wechat.push(wechat.xml(Content="y")))
    assert bound == [trace_id for _, trace_id in line.received]


async def test_messages_that_arrive_together_are_each_answered_with_their_own(line: Line, wechat: WeChatSide) -> None:
    async def echo(inbound: Inbound) -> Claim:
        await asyncio.sleep(0)
        return Claim(f"答：{inbound.text}")

    line.answer = echo
    pushes = [line.push(*wechat.push(wechat.xml(Content=str(n), MsgId=str(n)))) for n in range(40)]
    replies = [wechat.read_reply(body)["Content"] for _, body in await asyncio.gather(*pushes)]
    assert replies == [f"答：{n}" for n in range(40)]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_served(method: str, line: Line) -> None:
    async with line.http.request(method, "/wechat") as response:
        assert response.status == 405
