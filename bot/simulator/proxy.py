"""Pages of the app as one phone's browser shows them in the phone page's overlay.

Cookies are kept per phone and headers against framing are taken off: a phone's browser is not a frame, only our picture
of it is.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from bot.simulator.api.oauth import AUTHORIZE, authorize
from bot.simulator.browser import USER_AGENT
from bot.simulator.errors import Refused
from bot.simulator.pages.render import browser_problem
from bot.simulator.phone import Phone

_NOT_PASSED = {
    "connection",
    "content-length",
    "content-security-policy",
    "cookie",
    "host",
    "keep-alive",
    "location",
    "origin",
    "referer",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "accept-encoding",
    "content-encoding",
    "x-frame-options",
}


async def serve(phone: Phone, request: web.Request) -> web.StreamResponse:
    """Answer one request of this phone's browser."""
    here = f"{request.scheme}://{request.host}"
    if request.path == AUTHORIZE:
        return _hop(phone, here, dict(request.query))
    config = phone.world.config
    public = config.public_origin
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED and not k.startswith("Sec-")}
    headers |= {
        "Host": urlsplit(public).netloc,
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
    }
    headers |= phone.browser.cookie_header()
    for name in ("Origin", "Referer"):
        if name in request.headers:
            headers[name] = request.headers[name].replace(here, public)
    try:
        async with phone.world.http.request(
            request.method,
            URL(config.callback_origin + request.raw_path, encoded=True),
            headers=headers,
            data=await request.read() if request.can_read_body else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        ) as upstream:
            return await _passed_on(phone, request, upstream, here)
    except aiohttp.ClientConnectorError:
        return browser_problem("网页打不开", "服务没有应答，请稍后下拉刷新再试。")


async def _passed_on(
    phone: Phone, request: web.Request, upstream: aiohttp.ClientResponse, here: str
) -> web.StreamResponse:
    public = phone.world.config.public_origin
    phone.browser.keep_cookies(upstream.headers.getall("Set-Cookie", []))
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in upstream.headers.items():
        if name.lower() not in _NOT_PASSED:
            response.headers.add(name, value)
    if policy := upstream.headers.get("Content-Security-Policy"):
        response.headers["Content-Security-Policy"] = _framed(policy)
    if location := upstream.headers.get("Location"):
        response.headers["Location"] = moved(location, phone, here)
    if upstream.content_type == "text/html":
        body = (await upstream.read()).replace(public.encode(), here.encode())
        response.content_length = len(body)
        await response.prepare(request)
        if request.method != "HEAD":
            await response.write(body)
        await response.write_eof()
        return response
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, ConnectionResetError):
        return response
    await response.write_eof()
    return response


def moved(location: str, phone: Phone, here: str) -> str:
    """A redirect's address as this phone's browser must see it: the app and the OAuth hop stay under its own host."""
    parts = urlsplit(location)
    if parts.path == AUTHORIZE:
        return f"{here}{parts.path}?{parts.query}"
    for origin in (
        phone.world.config.public_origin,
        phone.world.config.callback_origin,
    ):
        if location == origin or location.startswith((origin + "/", origin + "?")):
            return here + location.removeprefix(origin)
    return location


def _hop(phone: Phone, here: str, query: dict[str, str]) -> web.StreamResponse:
    wanted = query.get("redirect_uri", "")
    if wanted.startswith(here):
        query["redirect_uri"] = phone.world.config.public_origin + wanted.removeprefix(here)
    try:
        target = authorize(phone.world, phone, query)
    except Refused as error:
        return browser_problem("无法登录", error.message)
    raise web.HTTPFound(URL(moved(target, phone, here), encoded=True))


def _framed(policy: str) -> str:
    kept = [d.strip() for d in policy.split(";") if d.strip()]
    unwanted = ("frame-ancestors", "upgrade-insecure-requests")
    return "; ".join(d for d in kept if not d.lower().startswith(unwanted))
