"""Logging in to a page with WeChat: the hop in the browser, and the exchange of its code."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bot.simulator.errors import Refused
from bot.simulator.tokens import fresh_token

if TYPE_CHECKING:
    from bot.simulator.api.gate import Call
    from bot.simulator.phone import Phone
    from bot.simulator.world import World

AUTHORIZE = "/connect/oauth2/authorize"
CODE_SECONDS = 300


def authorize(world: World, phone: Phone, query: dict[str, str]) -> str:
    """The address that the browser of this phone's user is sent back to, with a code.

    Raises:
        Refused: what WeChat's page would say; its message is Chinese.
    """
    if query.get("appid") != world.config.app_id:
        raise Refused(40013)
    if query.get("response_type") != "code":
        raise Refused(40035, "response_type")
    if query.get("scope") not in ("snsapi_base", "snsapi_userinfo"):
        raise Refused(10005, "Scope 参数错误或没有 Scope 权限")
    target = urlsplit(query.get("redirect_uri", ""))
    hosts = {urlsplit(origin).hostname for origin in (world.config.public_origin, world.config.callback_origin)}
    if target.hostname not in hosts:
        raise Refused(10003, "redirect_uri域名与后台配置不一致，错误码:10003")
    code = secrets.token_urlsafe(24)
    world.codes[code] = (
        phone.openid,
        time.time() + CODE_SECONDS,
        world.faults.snapshot_users,
    )
    back = [*parse_qsl(target.query, keep_blank_values=True), ("code", code), ("state", query.get("state", ""))]
    return urlunsplit(target._replace(query=urlencode(back)))


async def access_token(call: Call) -> dict[str, Any]:
    """Who came with this code; it works once and for five minutes of real time."""
    config, query = call.world.config, call.query
    if query.get("grant_type") != "authorization_code":
        raise Refused(40002)
    if query.get("appid") != config.app_id:
        raise Refused(40013)
    if not hmac.compare_digest(query.get("secret", "").encode(), config.app_secret.encode()):
        raise Refused(40125)
    code = query.get("code", "")
    if not code:
        raise Refused(41008)
    if code not in call.world.codes:
        raise Refused(40029)
    openid, ends, snapshot = call.world.codes[code]
    if not openid:
        raise Refused(40163)
    call.world.codes[code] = ("", ends, snapshot)
    if time.time() >= ends:
        raise Refused(42003)
    phone = call.world.by_openid(openid)
    call.phone = phone.name if phone else None
    return {
        "access_token": fresh_token(),
        "expires_in": 7200,
        "refresh_token": fresh_token(),
        "openid": openid,
        "scope": "snsapi_base",
        **({"is_snapshotuser": 1} if snapshot else {}),
    }
