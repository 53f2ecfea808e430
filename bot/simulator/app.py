"""The simulator as one web application: API, phone page, control, and the phones' browsers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from bot.simulator import control, gateway, proxy
from bot.simulator.api import qrcode
from bot.simulator.api.endpoints import ENDPOINTS
from bot.simulator.config import SimulatorConfig
from bot.simulator.pages import calls, events, phones
from bot.simulator.sniff import kind_of
from bot.simulator.world import World

WORLD: web.AppKey[World] = web.AppKey("world", World)
_PHONE_HOST = re.compile(r"^(p\d+)\.localhost$")
_MOST_BYTES = 25 << 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create(config: SimulatorConfig, world: World | None = None) -> web.Application:
    """Build the application; `app[WORLD]` is its world, started and stopped with it.

    Example:
        runner = web.AppRunner(create(config))
    """
    world = world or World(config)
    app = web.Application(client_max_size=_MOST_BYTES, middlewares=[_only_from_here, _phones_browser])
    app[WORLD] = world
    app.cleanup_ctx.append(_life)
    for endpoint in ENDPOINTS:
        app.router.add_route("*", endpoint.path, endpoint.serve(world))
    app.router.add_get("/cgi-bin/showqrcode", _show_qrcode)
    app.router.add_get("/mmbiz/{media_id}", _picture)
    app.router.add_get("/", _home)
    control.add_routes(app, world)
    gateway.add_routes(app, world)
    phones.add_routes(app, world)
    calls.add_routes(app, world)
    events.add_routes(app, world)
    return app


async def _life(app: web.Application) -> AsyncIterator[None]:
    await app[WORLD].start()
    yield
    await app[WORLD].stop()


@web.middleware
async def _only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep other sites' pages, open in the same browser, from playing with the phones."""
    name = urlsplit(f"//{request.host}").hostname or ""
    if name not in ("127.0.0.1", "localhost", "::1") and not _PHONE_HOST.match(name):
        raise web.HTTPForbidden(text="the simulator answers on loopback addresses only")
    origin = request.headers.get("Origin")
    if origin and request.path.startswith("/control/") and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="another site may not control the simulator")
    return await handler(request)


@web.middleware
async def _phones_browser(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What comes to `p1.localhost` is a page that phone p1 opened."""
    match = _PHONE_HOST.match(urlsplit(f"//{request.host}").hostname or "")
    if match is None:
        return await handler(request)
    phone = request.app[WORLD].phones.get(match[1])
    if phone is None:
        raise web.HTTPNotFound(text="没有这部手机")
    return await proxy.serve(phone, request)


async def _home(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/phones")


async def _show_qrcode(request: web.Request) -> web.Response:
    ticket = request.app[WORLD].tickets.get(request.query.get("ticket", ""))
    if ticket is None:
        raise web.HTTPNotFound(text="")
    return web.Response(body=qrcode.picture(ticket), content_type="image/png")


async def _picture(request: web.Request) -> web.Response:
    media = request.app[WORLD].media.get(request.match_info["media_id"])
    if media is None:
        raise web.HTTPNotFound(text="")
    return web.Response(
        body=media.data,
        content_type=kind_of(media.data)[0],
        headers={"X-Content-Type-Options": "nosniff"},
    )
