"""`GET` and `POST /wechat`: verify, parse, hand over, acknowledge.

A push that could not be stored gets no answer at all. WeChat repeats a message exactly when five seconds pass without a
response; any other answer counts as received or is shown to the patient as a failure of the account, an empty 5xx page
included. So the request is held until WeChat has given up, which also spreads its attempts over the outage, and the
connection is then cut.
"""

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from bot import clock
from bot.wechat.envelope import Envelope
from bot.wechat.messages import Inbound, text_reply
from bot.wechat.refusal import REASONS, Refused

PATH = "/wechat"
PATIENCE_SECONDS = 5.0
"""How long WeChat waits for a response before it sends the same message again."""

log = structlog.get_logger(__name__)


class PassiveReply(Protocol):
    """An answer to be carried by the response. `flushed` is called once it has been written out, never otherwise."""

    @property
    def text(self) -> str:
        """What to say."""

    async def flushed(self) -> None:
        """The response has left this process."""


Receive = Callable[[Inbound, str], Awaitable[PassiveReply | None]]
"""Stores the message and returns what to answer within four seconds, or None; the second argument is the trace id.

Once it returns, the message is acknowledged; when it raises, it is not.
"""


class Metrics:
    """Counters of the callback; no label ever holds anything a sender chose."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answered = Counter(
            "wechat_callback_answered",
            "Pushes by what they got: reply, success, silence (not stored), unreachable (the connection was gone)",
            ["answer"],
            registry=registry,
        )
        self.refused = Counter("wechat_callback_refused", "Callbacks answered 403", ["reason"], registry=registry)
        self.unknown = Counter(
            "wechat_callback_unknown", "Types and events this version does not know", ["of"], registry=registry
        )
        self.seconds = Histogram(
            "wechat_callback_seconds",
            "From the first byte of a push to its flushed response",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5),
            registry=registry,
        )
        for reason in REASONS:
            self.refused.labels(reason)


def routes(
    envelope: Envelope, receive: Receive, *, metrics: Metrics, patience: float = PATIENCE_SECONDS
) -> list[web.RouteDef]:
    """The two routes of the callback.

    Args:
        envelope: verifies and decrypts.
        receive: stores each message and answers it.
        metrics: where outcomes are counted.
        patience: seconds after which the other side has given up waiting.
    """
    callback = _Callback(envelope, receive, metrics, patience)
    return [web.get(PATH, callback.handshake, allow_head=False), web.post(PATH, callback.push)]


class _Callback:
    def __init__(self, envelope: Envelope, receive: Receive, metrics: Metrics, patience: float) -> None:
        self._envelope = envelope
        self._receive = receive
        self._metrics = metrics
        self._patience = patience

    async def handshake(self, request: web.Request) -> web.StreamResponse:
        try:
            echo = self._envelope.handshake(request.query)
        except Refused as refused:
            return self._refuse(refused)
        return web.Response(body=echo.encode("utf-8", "replace"), content_type="text/plain", charset="utf-8")

    async def push(self, request: web.Request) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        trace_id = secrets.token_hex(8)
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            try:
                inbound = self._envelope.open(request.query, await self._body(request))
            except Refused as refused:
                return self._refuse(refused)
            except Exception as error:  # whatever a parser still finds to raise is the sender's fault, not a 500
                log.error("callback.unexpected", **_place(error))
                return self._refuse(Refused("unexpected"))
            if not inbound.known:
                self._metrics.unknown.labels("event" if inbound.kind == "event" else "message").inc()
            try:
                reply = await self._receive(inbound, trace_id)
            except Exception as error:  # not stored, whatever the cause: it must not be acknowledged
                log.error("callback.not_stored", **_place(error))
                return await self._stay_silent(request, began)
            return await self._answer(request, inbound, reply, began)

    async def _body(self, request: web.Request) -> bytes:
        limit = self._envelope.max_bytes
        if (request.content_length or 0) > limit:
            raise Refused("size")
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        raise Refused("size")
        except (TimeoutError, OSError, web.PayloadAccessError, web.RequestPayloadError):
            raise Refused("truncated") from None
        return bytes(body)

    async def _answer(
        self, request: web.Request, inbound: Inbound, reply: PassiveReply | None, began: float
    ) -> web.StreamResponse:
        if asyncio.get_running_loop().time() - began >= self._patience:
            # Nobody reads this response any more. WeChat's next attempt gets the stored reply; were this one
            # written and confirmed, the patient would never see it.
            log.warning("callback.too_late")
            return await self._stay_silent(request, began)
        if reply is not None and reply.text.strip():
            xml = text_reply(inbound, reply.text, now=clock.now())
            response = web.Response(body=self._envelope.seal(xml).encode(), content_type="application/xml")
        else:
            response, reply = web.Response(text="success"), None
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            log.info("callback.connection_gone")
            self._metrics.answered.labels("unreachable").inc()
            return response
        self._metrics.answered.labels("reply" if reply else "success").inc()
        self._metrics.seconds.observe(asyncio.get_running_loop().time() - began)
        if reply is not None:
            try:
                await reply.flushed()
            except Exception as error:  # the patient has the reply; an unconfirmed claim runs out by itself
                log.error("callback.flush_not_recorded", **_place(error))
        return response

    async def _stay_silent(self, request: web.Request, began: float) -> web.StreamResponse:
        self._metrics.answered.labels("silence").inc()
        await asyncio.sleep(max(0.0, self._patience - (asyncio.get_running_loop().time() - began)))
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _refuse(self, refused: Refused) -> web.Response:
        self._metrics.refused.labels(refused.reason).inc()
        log.info("callback.refused", reason=refused.reason)
        return web.Response(status=403)


def _place(error: Exception) -> dict[str, str]:
    """What and where, without the message: a database error's text holds the values of the statement."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__qualname__, "where": where}
