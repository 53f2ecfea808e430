"""QR codes with a scene value."""

from __future__ import annotations

import io
import secrets
from datetime import timedelta
from typing import Any

import segno

from bot.simulator.api.gate import Call, shape
from bot.simulator.errors import Refused
from bot.simulator.things import Ticket

_LONGEST = 2592000
_USUAL = 60


async def create(call: Call) -> dict[str, Any]:
    """Make a code: temporary (up to 30 days) or lasting, with a number or a text as its scene."""
    given = shape(
        call.body,
        {"action_name": str, "action_info": dict},
        {"expire_seconds": int},
        missing=40052,
    )
    action = given["action_name"]
    lasting = action in ("QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE")
    if not lasting and action not in ("QR_SCENE", "QR_STR_SCENE"):
        raise Refused(40052)
    info = shape(given["action_info"], {"scene": dict}, where="action_info.", missing=40053)
    if action.endswith("STR_SCENE"):
        scene = shape(info["scene"], {"scene_str": str}, where="scene.", missing=40053)["scene_str"]
        fits = 1 <= len(scene) <= 64
    else:
        number = shape(info["scene"], {"scene_id": int}, where="scene.", missing=40053)["scene_id"]
        scene, fits = str(number), 1 <= number <= (100000 if lasting else 2**32 - 1)
    if not fits:
        raise Refused(40053)
    seconds = given.get("expire_seconds", _USUAL)
    if not 1 <= seconds <= _LONGEST:
        raise Refused(40035, "expire_seconds")
    world = call.world
    ticket = Ticket(
        ticket=secrets.token_urlsafe(60),
        scene=scene,
        code=f"http://weixin.qq.com/q/02{secrets.token_urlsafe(16)}",
        ends=None if lasting else world.clock.now() + timedelta(seconds=seconds),
    )
    world.tickets[ticket.ticket] = ticket
    world.changed()
    answer: dict[str, Any] = {"ticket": ticket.ticket, "url": ticket.code}
    return answer if lasting else answer | {"expire_seconds": seconds}


def picture(ticket: Ticket) -> bytes:
    """The code as PNG."""
    out = io.BytesIO()
    segno.make(ticket.code, error="m").save(out, kind="png", scale=8, border=3)
    return out.getvalue()
