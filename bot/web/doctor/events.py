"""Changes as they happen, to every page that is open (server-sent events)."""

import asyncio
import uuid
from datetime import timedelta

from aiohttp import web
from aiohttp_sse import EventSourceResponse
from sqlalchemy import select

from bot import clock
from bot.care.consultations.rows import CHANGED, Consultation
from bot.care.consultations.sight import sight_of
from bot.web.doctor.queue import SEES_QUEUE
from bot.web.guard import ACTOR, Actor, require, still_in
from bot.web.keys import CHANNEL, DATABASE

_TOGETHER = 0.15
_LOOK_AGAIN = timedelta(seconds=30)


class Listeners:
    """The open streams of this process. One subscription of the channel feeds them all."""

    def __init__(self) -> None:
        self._streams: dict[int, tuple[asyncio.Event, set[str]]] = {}
        self._number = 0
        self.closing = False

    def heard(self, consultation_id: str) -> None:
        """A consultation changed."""
        for event, changed in self._streams.values():
            changed.add(consultation_id)
            event.set()

    def open(self) -> tuple[int, asyncio.Event, set[str]]:
        """A new stream: its number, its bell and what changed since it was last looked at."""
        self._number += 1
        event, changed = asyncio.Event(), set[str]()
        self._streams[self._number] = event, changed
        return self._number, event, changed

    def close(self, number: int) -> None:
        """A stream has ended."""
        self._streams.pop(number, None)

    def close_all(self) -> None:
        """The process ends: let every stream go."""
        self.closing = True
        for event, _ in self._streams.values():
            event.set()

    def __len__(self) -> int:
        return len(self._streams)


LISTENERS = web.AppKey("listeners", Listeners)


async def start_listening(app: web.Application) -> None:
    """At start: hear of changes."""
    await app[CHANNEL].listen(CHANGED, app[LISTENERS].heard)


async def stop_streams(app: web.Application) -> None:
    """At shutdown: end the streams, which would hold the process otherwise."""
    app[LISTENERS].close_all()


async def stop_listening(app: web.Application) -> None:
    """After the last stream."""
    app[CHANNEL].unlisten(CHANGED, app[LISTENERS].heard)


@require(*SEES_QUEUE)
async def events(request: web.Request) -> web.StreamResponse:
    """Ids of changed consultations that this member of staff may see; `bye` when the session has ended."""
    actor, listeners = request[ACTOR], request.app[LISTENERS]
    number, bell, changed = listeners.open()
    response = EventSourceResponse(ping_interval=15)
    try:
        await response.prepare(request)
        async with response:
            await response.send("", event="ready")
            while not listeners.closing and response.is_connected():
                await _wait(bell)
                if listeners.closing:
                    break
                if not await still_in(request, actor, clock.real_now()):
                    await response.send("", event="bye")
                    break
                bell.clear()
                ids = {one for text in changed if (one := _uuid(text)) is not None}
                changed.clear()
                for one in await _theirs(request, actor, ids):
                    await response.send(str(one), event="changed")
    except ConnectionResetError:
        pass
    finally:
        listeners.close(number)
    return response


async def _wait(bell: asyncio.Event) -> None:
    """Until something changed, or it is time to look whether the session still stands."""
    try:
        async with asyncio.timeout(_LOOK_AGAIN.total_seconds()):
            await bell.wait()
    except TimeoutError:
        return
    # What changes in one breath is told in one.
    await asyncio.sleep(_TOGETHER)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


async def _theirs(request: web.Request, actor: Actor, ids: set[uuid.UUID]) -> list[uuid.UUID]:
    if not ids:
        return []
    async with request.app[DATABASE].reading() as session:
        sight = await sight_of(session, actor.staff, clock.now())
        return list(await session.scalars(select(Consultation.id).where(Consultation.id.in_(ids), sight.visible())))
