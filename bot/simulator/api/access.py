"""`/cgi-bin/stable_token` and `/cgi-bin/token`."""

from __future__ import annotations

import hmac
from typing import Any

from bot.simulator.api.gate import Call, shape
from bot.simulator.errors import Refused


async def stable_token(call: Call) -> dict[str, Any]:
    """The shared token; the same one until it is near its end."""
    body = shape(
        call.body,
        {},
        {"grant_type": str, "appid": str, "secret": str, "force_refresh": bool},
    )
    _check(call, body)
    token, seconds = call.world.tokens.give_stable(force=body.get("force_refresh", False))
    return {"access_token": token, "expires_in": seconds}


async def token(call: Call) -> dict[str, Any]:
    """A token of its own each time."""
    _check(call, call.query)
    fresh, seconds = call.world.tokens.give_plain()
    return {"access_token": fresh, "expires_in": seconds}


def _check(call: Call, given: dict[str, Any]) -> None:
    config = call.world.config
    if given.get("grant_type") != "client_credential":
        raise Refused(40002)
    if not given.get("appid"):
        raise Refused(41002)
    if given["appid"] != config.app_id:
        raise Refused(40013)
    if not given.get("secret"):
        raise Refused(41004)
    if not hmac.compare_digest(str(given["secret"]).encode(), config.app_secret.encode()):
        raise Refused(40125)
