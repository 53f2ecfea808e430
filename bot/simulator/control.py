"""`/control/`: what tests, the demo and the phone page do to this world. JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.simulator.config import Role
from bot.simulator.ledger import Direction
from bot.simulator.phone import CannotDo, Phone
from bot.simulator.push import Outcome
from bot.simulator.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MOST_TEXT = 20000


def add_routes(app: web.Application, world: World) -> None:
    """All of `/control/`."""
    desk = ControlDesk(world)
    app.router.add_get("/control/clock", desk.clock)
    app.router.add_post("/control/clock", desk.clock)
    app.router.add_post("/control/faults", desk.faults)
    app.router.add_get("/control/ledger", desk.ledger)
    app.router.add_get("/control/alerts", desk.alerts)
    app.router.add_get("/control/tickets", desk.tickets)
    app.router.add_get("/control/phones", desk.phones)
    app.router.add_post("/control/phones", desk.add_phone)
    app.router.add_get("/control/phones/{name}", desk.phone)
    app.router.add_post("/control/phones/{name}/{action}", desk.act)
    app.router.add_post("/control/handshake", desk.handshake)
    app.router.add_post("/control/reset", desk.reset)


class ControlDesk:
    """The handlers, around one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def clock(self, request: web.Request) -> web.Response:
        """Show the clock, or move it: `{"advance_seconds": n}` or `{"reset": true}`."""
        if request.method == "POST":
            wish = await _object(request)
            if wish.get("reset"):
                await self.world.reset_clock()
            else:
                seconds = wish.get("advance_seconds")
                if not isinstance(seconds, int | float) or isinstance(seconds, bool) or abs(seconds) > 10 * 366 * 86400:
                    raise _bad("advance_seconds: a number of seconds within ten years is expected")
                await self.world.advance(seconds)
        return web.json_response(
            {
                "now": self.world.clock.now().isoformat(),
                "offset_seconds": self.world.clock.offset_seconds,
                "app_clock": self.world.app_clock_note or "ok",
            }
        )

    async def faults(self, request: web.Request) -> web.Response:
        """Order faults; `expire_token` and `revoke_token` work at once."""
        wish = await _object(request)
        if wish.pop("expire_token", False):
            self.world.tokens.expire()
        if wish.pop("revoke_token", False):
            self.world.tokens.revoke()
        try:
            self.world.faults.order(wish)
        except (TypeError, ValueError) as error:
            raise _bad(str(error)) from None
        return web.json_response({"ok": True})

    async def ledger(self, request: web.Request) -> web.Response:
        """Entries, oldest first; `?after=id`, `?path=`, `?phone=`, `?direction=`."""
        query = request.query
        direction = Direction(query["direction"]) if query.get("direction") in Direction else None
        after = int(query["after"]) if query.get("after", "").isdigit() else 0
        entries = self.world.ledger.of(path=query.get("path"), phone=query.get("phone"), direction=direction)
        return web.json_response({"entries": [e.as_json() for e in entries if e.id > after]}, dumps=_dumps)

    async def alerts(self, request: web.Request) -> web.Response:
        """What the SMS and voice gateway was given."""
        return web.json_response({"alerts": self.world.alerts}, dumps=_dumps)

    async def tickets(self, request: web.Request) -> web.Response:
        """QR codes, newest first."""
        found = [
            {
                "ticket": t.ticket,
                "scene": t.scene,
                "ends": t.ends.isoformat() if t.ends else None,
            }
            for t in reversed(self.world.tickets.values())
        ]
        return web.json_response({"tickets": found}, dumps=_dumps)

    async def phones(self, request: web.Request) -> web.Response:
        """All phones without their history."""
        found = [p.as_json(with_history=False) for p in self.world.phones.values()]
        return web.json_response({"phones": found}, dumps=_dumps)

    async def add_phone(self, request: web.Request) -> web.Response:
        """Add a phone: `{"name", "role", "openid"?, "follows"?}`."""
        wish = await _object(request)
        try:
            phone = self.world.add_phone(
                str(wish.get("name", ""))[:30],
                Role(wish.get("role", Role.PATIENT)),
                openid=wish.get("openid"),
                follows=bool(wish.get("follows", False)),
            )
        except ValueError as error:
            raise _bad(str(error)) from None
        return web.json_response(phone.as_json(), dumps=_dumps)

    async def phone(self, request: web.Request) -> web.Response:
        """One phone with its history."""
        return web.json_response(self._phone(request).as_json(), dumps=_dumps)

    async def act(self, request: web.Request) -> web.Response:
        """Do something on a phone; the answer tells what came of the push."""
        phone = self._phone(request)
        action = request.match_info["action"]
        try:
            if action in ("photo", "voice"):
                data = await _file(request)
                outcome = await (phone.sends_photo(data) if action == "photo" else phone.sends_voice(data))
            else:
                outcome = await _do(phone, action, await _object(request))
        except CannotDo as error:
            return web.json_response({"error": str(error)}, status=409, dumps=_dumps)
        answer = {
            "reply": outcome.reply.as_json() if outcome.reply else None,
            "text": outcome.text,
            "status": outcome.status,
            "attempts": outcome.attempts,
            "seconds": round(outcome.seconds, 3),
            "failed": outcome.failed,
            "reason": outcome.reason,
            "opens": outcome.opens,
        }
        return web.json_response(answer, dumps=_dumps)

    async def handshake(self, request: web.Request) -> web.Response:
        """Verify the callback address now."""
        return web.json_response({"ok": await self.world.shakes_hands()})

    async def reset(self, request: web.Request) -> web.Response:
        """Back to the beginning; the clock too."""
        self.world.reset()
        await self.world.reset_clock()
        return web.json_response({"ok": True})

    def _phone(self, request: web.Request) -> Phone:
        try:
            return self.world.phone(request.match_info["name"])
        except KeyError:
            raise web.HTTPNotFound(text='{"error": "没有这部手机"}', content_type="application/json") from None


async def _do(phone: Phone, action: str, wish: dict[str, Any]) -> Outcome:
    def words(name: str) -> str:
        value = wish.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > _MOST_TEXT:
            raise _bad(f"{name}: a text is expected")
        return value

    match action:
        case "say":
            return await phone.says(words("text"))
        case "follow":
            return await phone.follows(wish.get("scene"))
        case "unfollow":
            return await phone.unfollows()
        case "scan":
            return await phone.scans(words("scene"))
        case "tap" if "key" in wish:
            return await phone.taps_menu(words("key"))
        case "tap":
            return await phone.taps_choice(words("choice"), message=wish.get("message"))
        case "raw":
            return await phone.sends_raw(words("kind"), str(wish.get("xml", "")))
        case "notice":
            return await phone.answers_notice(words("template_id"), accepts=bool(wish.get("accepts", True)))
        case "refuse":
            phone.refuses_messages = bool(wish.get("refuses", True))
            return Outcome()
    raise _bad("known actions: say, follow, unfollow, scan, tap, photo, voice, raw, notice, refuse")


def _bad(reason: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=_dumps({"error": reason}), content_type="application/json")


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


async def _object(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        body = await request.json()
    except ValueError:
        raise _bad("JSON is expected") from None
    if not isinstance(body, dict):
        raise _bad("a JSON object is expected")
    return body


async def _file(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = (await request.post()).get("file")
    if not isinstance(part, web.FileField):
        raise _bad("file: a file is expected")
    return part.file.read()
