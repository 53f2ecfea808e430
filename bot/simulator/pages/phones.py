"""`/phones`: several phones side by side."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from bot.simulator.api.oauth import AUTHORIZE, authorize
from bot.simulator.config import Role
from bot.simulator.errors import Refused
from bot.simulator.pages.render import HERE, browser_problem, html, page, timed
from bot.simulator.phone import Phone
from bot.simulator.proxy import moved
from bot.simulator.world import World

_SHOWN_AT_FIRST = 3
_LAST_SHOWN = 200


def add_routes(app: web.Application, world: World) -> None:
    """The page, its parts, its assets."""

    async def whole(request: web.Request) -> web.Response:
        phones = list(world.phones.values())
        shown = _chosen(request.query.get("show", ""), phones)
        return page(
            "phones.html",
            world=world,
            now=world.clock.now(),
            offset=world.clock.offset_seconds,
            patients=[p for p in phones if p.role is Role.PATIENT],
            doctors=[p for p in phones if p.role is Role.DOCTOR],
            phones=phones,
            shown={p.slug for p in shown},
            parts={p.slug: parts(p) for p in phones},
            notes={person.name: person.note for person in world.config.people if person.note},
        )

    async def one(request: web.Request) -> web.Response:
        phone = world.phones.get(request.match_info["slug"])
        if phone is None:
            raise web.HTTPNotFound(text="")
        after = int(request.query["after"]) if request.query.get("after", "").isdigit() else 0
        return web.json_response(parts(phone, after=after), dumps=lambda v: json.dumps(v, ensure_ascii=False))

    async def address(request: web.Request) -> web.Response:
        phone = world.phones.get(request.match_info["slug"])
        if phone is None:
            raise web.HTTPNotFound(text="")
        port = f":{request.url.port}" if request.url.port else ""
        here = f"{request.scheme}://{phone.slug}.localhost{port}"
        return web.json_response({"url": moved(request.query.get("url", ""), phone, here)})

    async def bar(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "offset": world.clock.offset_seconds,
                "alerts": html("alerts.html", alerts=list(reversed(world.alerts))[:30]),
                "connection": html("connection.html", world=world),
                "phones": list(world.phones),
            }
        )

    async def choose(request: web.Request) -> web.Response:
        return choose_phone(world, request)

    app.router.add_get(AUTHORIZE, choose)
    app.router.add_get("/phones", whole)
    app.router.add_get("/phones/bar", bar)
    app.router.add_get("/phones/{slug}/chat", one)
    app.router.add_get("/phones/{slug}/address", address)
    app.router.add_static("/simulator/static", HERE / "static")


def parts(phone: Phone, *, after: int = 0) -> dict[str, Any]:
    """What the page needs of one phone: new messages and what surrounds them."""
    world = phone.world
    now = world.clock.now()
    messages = timed(phone.history, now, after=after)[-_LAST_SHOWN:]
    return {
        "messages": html("messages.html", phone=phone, messages=messages, world=world),
        "last": phone.history[-1].id if phone.history else 0,
        "epoch": f"{world.clock.offset_seconds:.0f}/{world.resets}",
        "title": "对方正在输入…" if phone.is_typing(now) else world.config.account_name,
        "typing_seconds": (phone.typing_until - now).total_seconds()
        if phone.typing_until and phone.is_typing(now)
        else 0,
        "menu": html("menu.html", phone=phone, world=world),
        "follows": phone.follows_account,
        "refuses": phone.refuses_messages,
        "left": phone.window.left(now),
    }


def choose_phone(world: World, request: web.Request) -> web.Response:
    """The OAuth page opened outside a phone: ask as whom."""
    query = dict(request.query)
    chosen = world.phones.get(query.pop("as", ""))
    if chosen is not None:
        try:
            raise web.HTTPFound(authorize(world, chosen, query))
        except Refused as error:
            return browser_problem("无法登录", error.message)
    choices = [(p.name, str(request.rel_url.update_query({"as": p.slug}))) for p in world.phones.values()]
    return page("choose.html", choices=choices)


def _chosen(wish: str, phones: list[Phone]) -> list[Phone]:
    names = [name for name in wish.split(",") if name]
    if found := [p for p in phones if p.name in names or p.slug in names]:
        return found
    if len(phones) <= _SHOWN_AT_FIRST:
        return phones
    patients = [p for p in phones if p.role is Role.PATIENT]
    doctors = [p for p in phones if p.role is Role.DOCTOR]
    first = patients[: _SHOWN_AT_FIRST - min(1, len(doctors))] + doctors[:1]
    return first + [p for p in phones if p not in first][: _SHOWN_AT_FIRST - len(first)]
