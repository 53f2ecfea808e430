"""`/calls`: every call and push, with what was sent and what came back."""

from __future__ import annotations

import json

from aiohttp import web

from bot.simulator.ledger import Direction, Entry
from bot.simulator.pages.render import html, page
from bot.simulator.world import World

_SHOWN = 300
NAMES = {
    Direction.API: "服务 → 微信",
    Direction.PUSH: "微信 → 服务",
    Direction.OAUTH: "网页登录",
    Direction.GATEWAY: "告警网关",
    Direction.CLOCK: "时钟",
}


def add_routes(app: web.Application, world: World) -> None:
    """The page and its new rows."""

    def wanted(request: web.Request) -> list[Entry]:
        query = request.query
        after = int(query["after"]) if query.get("after", "").isdigit() else 0
        found = [
            e
            for e in world.ledger
            if e.id > after
            and (not query.get("direction") or e.direction == query["direction"])
            and (not query.get("phone") or e.phone == query["phone"])
            and (not query.get("q") or query["q"] in e.path)
            and (query.get("only") != "failed" or e.failed)
        ]
        return list(reversed(found[-_SHOWN:]))

    async def calls(request: web.Request) -> web.Response:
        entries = wanted(request)
        return page(
            "calls.html",
            world=world,
            now=world.clock.now(),
            entries=entries,
            total=len(world.ledger),
            names=NAMES,
            query=request.query,
            last=max((e.id for e in world.ledger), default=0),
        )

    async def rows(request: web.Request) -> web.Response:
        entries = wanted(request)
        text = html("rows.html", entries=entries, names=NAMES, now=world.clock.now())
        last = max((e.id for e in world.ledger), default=0)
        return web.json_response(
            {"rows": text, "last": last, "total": len(world.ledger)},
            dumps=lambda v: json.dumps(v, ensure_ascii=False),
        )

    app.router.add_get("/calls", calls)
    app.router.add_get("/calls/rows", rows)
