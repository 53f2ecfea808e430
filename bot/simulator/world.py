"""Everything that exists in this WeChat: phones, clock, menu, codes, pictures, tokens, faults and the ledger."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import secrets
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from bot.simulator import state
from bot.simulator.clock import SimulatedClock, real_now
from bot.simulator.config import Person, Role, SimulatorConfig
from bot.simulator.faults import Faults
from bot.simulator.ledger import Direction, Entry, Ledger
from bot.simulator.phone import Phone
from bot.simulator.push import Pusher
from bot.simulator.things import Media, Ticket
from bot.simulator.tokens import Tokens

MEDIA_LIFE = timedelta(days=3)
_SAVE_EVERY = 1.0


class World:
    """One official account and everybody who may follow it.

    Example:
        world = app[WORLD]
        lin = world.add_phone("林女士")
        await lin.follows()
        assert "你好" in await lin.says("在吗")
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.clock = SimulatedClock()
        self.ledger = Ledger()
        self.faults = Faults()
        self.tokens = Tokens()
        self.pusher = Pusher(self)
        self._http: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._msg_ids = itertools.count(int(time.time() * 1000) << 20)
        self.revision = 0
        self.resets = 0
        self.last_message_id = 0
        self.handshake: bool | None = None
        self.app_clock_note = ""
        self._saved_revision = 0
        self._empty()
        self._people()

    def _empty(self) -> None:
        self.phones: dict[str, Phone] = {}
        self.media: dict[str, Media] = {}
        self.tickets: dict[str, Ticket] = {}
        self.menu: list[dict[str, Any]] | None = None
        self.alerts: list[dict[str, Any]] = []
        self.codes: dict[str, tuple[str, float, bool]] = {}
        self.service_accounts: dict[str, str] = {name: name for name in self.config.service_accounts}
        self.client_msg_ids: dict[str, tuple[int, datetime]] = {}
        self.mass_sends: list[datetime] = []
        self.mass_ids: dict[str, int] = {}

    def _people(self) -> None:
        for person in self.config.people:
            self.add_phone(person.name, person.role, openid=person.openid, follows=person.follows)

    # life

    async def start(self) -> None:
        """Open connections, read the state file, begin to save it and to shake hands."""
        restored = self.config.state_path is not None and state.load(self, self.config.state_path)
        self._http = aiohttp.ClientSession()
        if self.config.state_path is not None:
            self.spawn(self._save_now_and_then())
            if restored:
                self.spawn(self._move_app_clock(patience=30.0))
        if self.config.handshake_on_start:
            self.spawn(self._shake_hands_until_it_works())

    async def stop(self) -> None:
        """Stop what runs, save, close."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.config.state_path is not None:
            state.save(self, self.config.state_path)
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """The connections of this simulator; there between `start` and `stop`."""
        if self._http is None:
            raise RuntimeError("the world has not been started")
        return self._http

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something happen beside the call that caused it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def push_later(self, phone: Phone, inner: str) -> None:
        """Push an event that nobody on the phone waits for."""
        self.spawn(self.pusher.push(phone, "event", inner, shows=False))

    async def settled(self) -> None:
        """Wait until every event that was caused has been pushed."""
        lasting = {
            "_save_now_and_then",
            "_shake_hands_until_it_works",
            "_move_app_clock",
        }
        while pending := [t for t in self._tasks if getattr(t.get_coro(), "__name__", "") not in lasting]:
            await asyncio.gather(*pending, return_exceptions=True)
            await asyncio.sleep(0)

    async def shakes_hands(self) -> bool:
        """Verify the callback address now."""
        self.handshake = await self.pusher.shake_hands()
        self.changed()
        return self.handshake

    async def _shake_hands_until_it_works(self) -> None:
        while not await self.shakes_hands():
            await asyncio.sleep(1.0)

    async def _save_now_and_then(self) -> None:
        while self.config.state_path is not None:
            await asyncio.sleep(_SAVE_EVERY)
            if self._saved_revision != self.revision:
                self._saved_revision = self.revision
                state.save(self, self.config.state_path)

    # change

    def changed(self, phone: Phone | None = None) -> None:
        """Tell those who wait and the pages that are open."""
        self.revision += 1
        if phone is not None:
            phone.revision = self.revision
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def next_change(self) -> asyncio.Future[None]:
        """Done as soon as anything changes after this call."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def reset(self) -> None:
        """Back to the beginning: the people of the configuration, nothing said, no faults, no menu."""
        self._empty()
        self._people()
        self.faults = Faults()
        self.resets += 1
        self.ledger.clear()
        self.changed()

    # people

    def add_phone(
        self,
        name: str,
        role: Role = Role.PATIENT,
        *,
        openid: str | None = None,
        follows: bool = False,
    ) -> Phone:
        """Put a phone on the table. The same name has the same openid in every run.

        Raises:
            ValueError: the name is empty or taken.
        """
        name = name.strip()
        if not name or any(name == p.name or (openid and openid == p.openid) for p in self.phones.values()):
            raise ValueError("名字是空的，或者已经有这部手机")
        phone = Phone(
            world=self,
            slug=f"p{len(self.phones) + 1}",
            name=name,
            openid=openid or self._openid(name),
            role=role,
        )
        if follows:
            phone.follows_account, phone.followed_at = True, self.clock.now()
        self.phones[phone.slug] = phone
        self.changed(phone)
        return phone

    def add_people(self, people: tuple[Person, ...]) -> None:
        """Add those who are not there yet."""
        for person in people:
            if person.name not in {p.name for p in self.phones.values()}:
                self.add_phone(
                    person.name,
                    person.role,
                    openid=person.openid,
                    follows=person.follows,
                )

    def phone(self, who: str) -> Phone:
        """By name, openid or slug.

        Raises:
            KeyError: nobody of that name.
        """
        for phone in self.phones.values():
            if who in (phone.name, phone.openid, phone.slug):
                return phone
        raise KeyError(who)

    def by_openid(self, openid: object) -> Phone | None:
        """The phone of an openid, `None` when it is not of this account."""
        return next((p for p in self.phones.values() if p.openid == openid), None)

    def _openid(self, name: str) -> str:
        digest = hashlib.sha256(f"{self.config.app_id}/{name}".encode()).digest()
        return "o" + base64.urlsafe_b64encode(digest).decode()[:27]

    # time

    async def advance(self, seconds: float) -> None:
        """Move the phones' clock, and the app's with it where a clock address is set."""
        self.clock.move(seconds)
        self.changed()
        await self._move_app_clock()

    async def reset_clock(self) -> None:
        """Back to real time."""
        self.clock.reset()
        self.changed()
        await self._move_app_clock()

    async def _move_app_clock(self, patience: float = 0.0) -> None:
        if self.config.clock_url is None:
            return
        give_up = time.monotonic() + patience
        while not await self._tell_app_clock() and time.monotonic() < give_up:
            await asyncio.sleep(1.0)

    async def _tell_app_clock(self) -> bool:
        asked = {"offset_seconds": self.clock.offset_seconds}
        entry = Entry(
            at=self.clock.now(),
            real_at=real_now(),
            direction=Direction.CLOCK,
            path=str(self.config.clock_url),
            request=asked,
        )
        began = time.monotonic()
        try:
            async with self.http.post(
                str(self.config.clock_url),
                json=asked,
                timeout=aiohttp.ClientTimeout(total=10),
            ) as response:
                entry.status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            entry.note = f"no answer: {type(error).__name__}"
        entry.seconds = time.monotonic() - began
        good = entry.status is not None and entry.status < 300
        self.app_clock_note = "" if good else "应用的时钟没有跟上"
        self.ledger.record(entry)
        self.changed()
        return good

    # things

    def next_message_id(self) -> int:
        """Ids of what stands on screens."""
        self.last_message_id += 1
        return self.last_message_id

    def next_msg_id(self) -> int:
        """A MsgId: 64 bits, growing."""
        return next(self._msg_ids)

    def keep_media(self, kind: str, data: bytes) -> str:
        """Store a file for three days of the phones' clock; returns its media id."""
        media_id = secrets.token_urlsafe(48)
        self.media[media_id] = Media(kind=kind, data=data, ends=self.clock.now() + MEDIA_LIFE)
        return media_id

    def ticket(self, scene_or_ticket: str) -> Ticket | None:
        """A QR code that still works, newest first."""
        for ticket in reversed(self.tickets.values()):
            if scene_or_ticket in (ticket.ticket, ticket.scene, ticket.code) and (
                ticket.ends is None or self.clock.now() < ticket.ends
            ):
                return ticket
        return None

    def menu_button(self, wanted: str) -> dict[str, Any] | None:
        """The menu item with this key, address or name."""
        for top in self.menu or []:
            below: list[dict[str, Any]] = top.get("sub_button") or [top]
            for button in below:
                if "type" in button and wanted in (
                    button.get("key"),
                    button.get("url"),
                    button.get("name"),
                ):
                    return button
        return None
