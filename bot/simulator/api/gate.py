"""What every API call passes: faults, method, access token, JSON, then the endpoint; all of it in the ledger."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.simulator.clock import real_now
from bot.simulator.errors import Refused
from bot.simulator.ledger import Direction, Entry

if TYPE_CHECKING:
    from bot.simulator.world import World

Kind = type | tuple[type, ...]
# WeChat reads the bytes as they are and refuses escapes (40033); an even run of backslashes before the u is text.
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u[0-9a-fA-F]{4}")


@dataclass(frozen=True)
class Upload:
    """The file part of a multipart call."""

    name: str
    data: bytes


@dataclass
class Call:
    """One API call; `body` is its JSON, `phone` whom it turned out to be about."""

    world: World
    query: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    upload: Upload | None = None
    phone: str | None = None
    effects: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True)
class Binary:
    """An answer that is a file."""

    data: bytes
    mime: str
    filename: str


@dataclass(frozen=True)
class Endpoint:
    """A path of the API. `reads` is `json`, `file` or nothing."""

    path: str
    method: str
    handle: Callable[[Call], Awaitable[dict[str, Any] | Binary]]
    reads: str = ""
    needs_token: bool = True

    def serve(self, world: World) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The aiohttp handler of this endpoint."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await _serve(self, world, request)

        return handler


def shape(
    body: object,
    required: Mapping[str, Kind],
    optional: Mapping[str, Kind] | None = None,
    *,
    where: str = "",
    missing: int = 40035,
) -> dict[str, Any]:
    """Check an object's fields.

    Raises:
        Refused: `missing` when a required field is not there, 40035 for an unknown one, 47001 for a wrong type.
    """
    if not isinstance(body, dict):
        raise Refused(47001, f"{where or 'body'} is not an object")
    known = {**required, **(optional or {})}
    for name in body:
        if name not in known:
            raise Refused(40035, f"unknown field {where}{name}")
    for name in required:
        if name not in body:
            raise Refused(missing, f"{where}{name} is missing")
    for name, value in body.items():
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is int):
            raise Refused(47001, f"{where}{name} has a wrong type")
    return body


async def _serve(endpoint: Endpoint, world: World, request: web.Request) -> web.StreamResponse:
    entry = Entry(
        at=world.clock.now(),
        real_at=real_now(),
        direction=Direction.API,
        path=request.path,
        request={"query": dict(request.query)} if request.query else {},
    )
    began = time.monotonic()
    call = Call(world=world, query=dict(request.query))
    fault = world.faults.for_call(request.path)
    answer: dict[str, Any] | Binary
    status, refused = 200, 0
    if fault and fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
    try:
        raw = b"" if endpoint.reads == "file" else await request.read()
        if endpoint.reads == "json" and raw:
            entry.request["body"] = _leniently(raw)
        if fault and fault.http_status:
            status, answer = fault.http_status, {}
        elif fault and fault.code is not None:
            raise Refused(fault.code, "(on purpose)")
        else:
            if request.method != endpoint.method:
                raise Refused(43002 if endpoint.method == "POST" else 43001)
            if endpoint.needs_token:
                world.tokens.check(request.query.get("access_token"))
            if endpoint.reads == "json":
                call.body = _strictly(raw)
            elif endpoint.reads == "file":
                call.upload = await _upload(request)
                entry.request["file"] = f"{call.upload.name}, {len(call.upload.data)} bytes"
            answer = await endpoint.handle(call)
    except Refused as refusal:
        answer, refused = refusal.body(), refusal.code
        answer["errmsg"] = f"{answer['errmsg']} rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}"
    entry.phone, entry.status, entry.seconds = (
        call.phone,
        status,
        time.monotonic() - began,
    )
    if isinstance(answer, Binary):
        entry.response = f"{answer.mime}, {len(answer.data)} bytes"
    else:
        entry.response, entry.errcode = answer, refused
    if fault and fault.lose_answer:
        entry.note = "answer lost on purpose"
    world.ledger.record(entry)
    world.changed()
    for effect in call.effects:
        effect()
    if fault and fault.lose_answer and request.transport is not None:
        request.transport.abort()
    if isinstance(answer, Binary):
        return web.Response(
            body=answer.data,
            content_type=answer.mime,
            headers={"Content-Disposition": f'attachment; filename="{answer.filename}"'},
        )
    # WeChat writes JSON with this type and without escapes.
    return web.Response(
        text=json.dumps(answer, ensure_ascii=False),
        content_type="application/json",
        charset="utf-8",
        status=status,
    )


def _leniently(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw[:2000].decode(errors="replace")


def _strictly(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise Refused(44002)
    if _ESCAPED.search(raw):
        raise Refused(40033)
    try:
        body = json.loads(raw.decode())
    except ValueError:
        raise Refused(47001) from None
    if not isinstance(body, dict):
        raise Refused(47001)
    return body


async def _upload(request: web.Request) -> Upload:
    if not request.content_type.startswith("multipart/"):
        raise Refused(41005)
    try:
        form = await request.post()
    except ValueError:
        raise Refused(41005) from None
    part = form.get("media")
    if not isinstance(part, web.FileField):
        raise Refused(41005)
    return Upload(part.filename, part.file.read())
