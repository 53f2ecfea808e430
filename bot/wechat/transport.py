"""HTTP to WeChat: time-outs on everything, bounded repeats, and a clear word on whether a request left this machine.

WeChat wants the access token, and for a login the secret, in the query. So no exception of aiohttp, which may quote an
address, ever leaves this module: what went wrong is a value here, and the exception is made from that value.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp

from bot.wechat.errors import BUSY, MaybeSent, Unavailable, Unknown, WeChatError, error_of

_JSON_BYTES = 1024 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload. It is held in memory, so that a repeated upload sends all of it again."""

    data: bytes = field(repr=False)
    name: str
    mime: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API.

    Attributes:
        name: the path as WeChat's documents name it, e.g. `cgi-bin/message/custom/send`.
        repeatable: whether a second identical request does no harm.
        needs: fields without which an answer is no answer.
        binary: whether the answer may be a file of at most `max_bytes`.
    """

    name: str
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    file: File | None = field(default=None, repr=False)
    repeatable: bool = False
    needs: tuple[str, ...] = ()
    binary: bool = False
    max_bytes: int = _JSON_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `fields` of a JSON answer, or `content` of a file (cut off one byte above the limit)."""

    fields: Mapping[str, Any] = field(repr=False)
    content: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class _Failure:
    """A request without a proper answer. `written` is true from the moment its first byte may have left."""

    written: bool
    word: str
    passing: bool = True


class Transport:
    """A pool of connections to one host of WeChat's.

    Args:
        api_url: `https://api.weixin.qq.com`, or whatever stands in for it.
        timeout: seconds for one request, connection and body included.
        pauses: seconds before each repeat; their number bounds the repeats.
    """

    def __init__(self, api_url: str, *, timeout: float = 8.0, pauses: Sequence[float] = (0.3, 1.0)) -> None:
        self._root = api_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 3.0))
        self._pauses = tuple(pauses)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, call: Call, *, access_token: str | None = None) -> Answer:
        """Make a call and return its answer.

        Busy answers (-1) and requests that never left are repeated; one that left without an answer only when that does
        no harm.

        Raises:
            MaybeSent: the request left, no answer came, and a repeat might do it twice.
            WeChatError: the class that `errors.CODES` gives to WeChat's code, or `Unavailable`.
        """
        for pause in (*self._pauses, None):
            outcome = await self._once(call, access_token)
            if isinstance(outcome, Answer):
                return outcome
            error, again = self._judge(call, outcome)
            if pause is None or not again:
                raise error
            await asyncio.sleep(pause)
        raise AssertionError("the last round raises")

    def _judge(self, call: Call, outcome: WeChatError | _Failure) -> tuple[WeChatError, bool]:
        if isinstance(outcome, WeChatError):
            return outcome, outcome.code == BUSY
        if outcome.written and not call.repeatable:
            return MaybeSent(call.name, detail=outcome.word), False
        return Unavailable(call.name, detail=outcome.word), outcome.passing

    async def _once(self, call: Call, access_token: str | None) -> Answer | WeChatError | _Failure:
        query = dict(call.query)
        if access_token is not None:
            query["access_token"] = access_token
        progress = SimpleNamespace(written=False)
        try:
            async with self._open().request(
                call.method,
                f"{self._root}/{call.name}",
                params=query,
                data=_body(call),
                headers={"Content-Type": "application/json; charset=utf-8"} if call.payload is not None else None,
                allow_redirects=False,
                trace_request_ctx=progress,
            ) as response:
                return await self._answer(call, response)
        except TimeoutError:
            return _Failure(progress.written, "timed out")
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(progress.written, type(error).__name__)

    async def _answer(self, call: Call, response: aiohttp.ClientResponse) -> Answer | WeChatError | _Failure:
        if response.status >= 500 or response.status == 429:
            return _Failure(True, f"HTTP {response.status}")
        if response.status != 200:
            # Refused before it was understood: a wrong address, not a message under way.
            return Unavailable(call.name, detail=f"HTTP {response.status}")
        content = await _read(response, call.max_bytes)
        if call.binary and not _is_json(response):
            return Answer({}, content)
        try:
            # WeChat has been seen to put raw control characters into strings, hence not strict.
            fields = json.loads(content.decode("utf-8", "replace"), strict=False)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return _Failure(True, "an answer that is no JSON object")
        if (error := error_of(call.name, fields)) is not None:
            return error
        if any(name not in fields for name in call.needs):
            return _Failure(True, "an answer that lacks a field")
        return Answer(fields)

    async def fetch(self, address: str, *, max_bytes: int) -> bytes:
        """Download from an address that WeChat itself named, without any token.

        Raises:
            Unavailable: it could not be fetched.
        """
        word = "not an address"
        if address.startswith(("https://", "http://")):
            try:
                async with self._open().get(address, allow_redirects=False) as response:
                    if response.status == 200:
                        return await _read(response, max_bytes)
                    word = f"HTTP {response.status}"
            except TimeoutError:
                word = "timed out"
            except (aiohttp.ClientError, OSError) as error:
                word = type(error).__name__
        raise Unavailable("media download", detail=word)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_written)
            self._session = aiohttp.ClientSession(
                # Idle connections are dropped soon: one that WeChat closes as we write leaves us not knowing.
                connector=aiohttp.TCPConnector(limit=50, keepalive_timeout=5),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
        return self._session


async def _note_written(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    progress = context.trace_request_ctx
    if progress is not None:
        progress.written = True


def _body(call: Call) -> bytes | aiohttp.FormData | None:
    if call.file is not None:
        form = aiohttp.FormData()
        form.add_field("media", call.file.data, filename=call.file.name, content_type=call.file.mime)
        return form
    if call.payload is not None:
        # Not as \uXXXX, which WeChat would show to the patient as it stands.
        return json.dumps(call.payload, ensure_ascii=False).encode("utf-8", "replace")
    return None


def _is_json(response: aiohttp.ClientResponse) -> bool:
    """WeChat sends errors of a download as JSON under either type; files come with a Content-Disposition."""
    return response.content_type in ("application/json", "text/plain") and "Content-Disposition" not in response.headers


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) > limit:
            break
    return bytes(content[: limit + 1])


def strange(call: str, detail: str) -> WeChatError:
    """An answer that is well-formed and still not what the documents promise."""
    return Unknown(call, detail=detail)
