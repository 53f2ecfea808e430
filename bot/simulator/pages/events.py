"""Server-sent events: which phones changed, so that an open page fetches only those."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from bot.simulator.world import World

_ALIVE_SECONDS = 15.0


def add_routes(app: web.Application, world: World) -> None:
    """`/phones/events`; ends with the server."""
    open_pages: set[asyncio.Task[None]] = set()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        this = asyncio.current_task()
        if this is not None:
            open_pages.add(this)
            this.add_done_callback(open_pages.discard)
        seen = world.revision
        try:
            await response.write(b"retry: 1000\nevent: hello\ndata: {}\n\n")
            while True:
                noticed = world.next_change()
                if world.revision == seen:
                    try:
                        await asyncio.wait_for(noticed, _ALIVE_SECONDS)
                    except TimeoutError:
                        await response.write(b": alive\n\n")
                        continue
                changed = [p.slug for p in world.phones.values() if p.revision > seen]
                seen = world.revision
                await response.write(f"event: change\ndata: {json.dumps({'phones': changed})}\n\n".encode())
        except (ConnectionResetError, asyncio.CancelledError):
            return response

    async def close(app: web.Application) -> None:
        for task in open_pages:
            task.cancel()

    app.on_shutdown.append(close)
    app.router.add_get("/phones/events", events)
