"""An SMS and voice gateway, for alerts that must not hang on WeChat alone."""

from __future__ import annotations

import secrets
import time
from typing import Any

from aiohttp import web

from bot.simulator.clock import real_now
from bot.simulator.ledger import Direction, Entry
from bot.simulator.world import World

PATH = "/gateway/alert"


def add_routes(app: web.Application, world: World) -> None:
    """`POST /gateway/alert` takes any JSON object and keeps it."""

    async def alert(request: web.Request) -> web.Response:
        began = time.monotonic()
        entry = Entry(
            at=world.clock.now(),
            real_at=real_now(),
            direction=Direction.GATEWAY,
            path=PATH,
        )
        fault = world.faults.for_call(PATH)
        answer: dict[str, Any]
        try:
            body = await request.json()
        except ValueError:
            body = None
        entry.request = body
        if fault and (fault.http_status or fault.code is not None):
            entry.status, answer = fault.http_status or 503, {"accepted": False}
        elif not isinstance(body, dict):
            entry.status, answer = (
                400,
                {"accepted": False, "reason": "a JSON object is expected"},
            )
        else:
            number = secrets.token_hex(8)
            world.alerts.append({"id": number, "at": world.clock.now().isoformat(), "body": body})
            entry.status, answer = 200, {"accepted": True, "id": number}
        entry.response, entry.seconds = answer, time.monotonic() - began
        world.ledger.record(entry)
        world.changed()
        return web.json_response(answer, status=entry.status)

    app.router.add_post(PATH, alert)
