"""Pushes to the app's callback: signed, sealed, within the deadline, tried again, shown once."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from bot.simulator.clock import real_now
from bot.simulator.config import Mode
from bot.simulator.crypto import Envelope, signature
from bot.simulator.history import Channel, Message
from bot.simulator.ledger import Direction, Entry
from bot.simulator.passive import BadReply, opened, read

if TYPE_CHECKING:
    from bot.simulator.phone import Phone
    from bot.simulator.world import World

OUT_OF_ORDER = "该公众号提供的服务出现故障，请稍后再试"
HELD_SECONDS = 3.0


@dataclass
class Outcome:
    """What came of one push.

    Attributes:
        reply: the passive reply as shown; `None` when the app only acknowledged.
        status: HTTP status of the last attempt that was answered.
        attempts: how often it was delivered or tried.
        failed: the person reads that the account is out of order.
        opens: an address that the tap opens on the phone besides.
    """

    reply: Message | None = None
    status: int | None = None
    attempts: int = 0
    seconds: float = 0.0
    failed: bool = False
    reason: str = ""
    opens: str = ""
    heard: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The words of the passive reply, empty when there was none."""
        return self.reply.words() if self.reply else ""

    def __contains__(self, wanted: str) -> bool:
        return wanted in self.text


def cdata(text: str) -> str:
    """Text inside CDATA, also when it holds the end of one."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


class Pusher:
    """Delivers what phones do to the callback of one account."""

    def __init__(self, world: World) -> None:
        self.world = world
        config = world.config
        self.envelope: Envelope | None = None
        if config.mode is not Mode.PLAIN:
            self.envelope = Envelope(token=config.token, aes_key=config.aes_key, app_id=config.app_id)
        self._held: list[asyncio.Event] = []

    async def shake_hands(self) -> bool:
        """Ask the callback for its echo, as WeChat does when an address is saved."""
        stamp, nonce, echo = (
            str(int(time.time())),
            secrets.token_hex(5),
            secrets.token_hex(10),
        )
        query = {
            "signature": signature(self.world.config.token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
        }
        entry = self._entry(None, "handshake")
        began = time.monotonic()
        try:
            async with self.world.http.get(
                self.world.config.callback_url,
                params=query | {"echostr": echo},
                timeout=self._timeout(),
            ) as response:
                entry.status, entry.response = response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            entry.note = f"no answer: {type(error).__name__}"
        entry.seconds = time.monotonic() - began
        good = entry.status == 200 and entry.response == echo
        if not good and not entry.note:
            entry.note = "the echo is not what was sent"
        self.world.ledger.record(entry)
        return good

    async def push(self, phone: Phone, kind: str, inner: str, *, shows: bool = True) -> Outcome:
        """Deliver one message or event; `inner` is the XML after MsgType. `shows`: the answer, or that there is none, stands
        on the phone; events that nobody caused by hand show nothing."""
        config = self.world.config
        xml = (
            f"<xml><ToUserName>{cdata(config.original_id)}</ToUserName><FromUserName>{cdata(phone.openid)}"
            f"</FromUserName><CreateTime>{int(self.world.clock.now().timestamp())}</CreateTime>"
            f"<MsgType>{cdata(kind)}</MsgType>{inner}</xml>"
        )
        plan = self.world.faults.plan()
        if plan.hold:
            overtaken = asyncio.Event()
            self._held.append(overtaken)
            try:
                await asyncio.wait_for(overtaken.wait(), HELD_SECONDS)
            except TimeoutError:
                self._held.remove(overtaken)
        if plan.delay_seconds:
            await asyncio.sleep(plan.delay_seconds)
        began = time.monotonic()
        outcome = await self._deliver(phone, xml, shows=shows)
        if plan.duplicate:
            await self._attempt(phone, xml, outcome.attempts + 1, note="duplicate on purpose")
            outcome.attempts += 1
        outcome.seconds = time.monotonic() - began
        held, self._held = self._held, []
        for waiting in held:
            waiting.set()
        return outcome

    async def _deliver(self, phone: Phone, xml: str, *, shows: bool) -> Outcome:
        outcome = Outcome()
        for attempt in range(1, self.world.config.attempts + 1):
            outcome.attempts = attempt
            slot_ends = time.monotonic() + self.world.config.deadline_seconds
            entry = await self._attempt(phone, xml, attempt)
            outcome.status = entry.status
            if entry.status == 200:
                return self._show(phone, entry, outcome, shows=shows)
            outcome.reason = entry.note or f"HTTP {entry.status}"
            if attempt < self.world.config.attempts:
                await asyncio.sleep(max(0.0, slot_ends - time.monotonic()))
        self._out_of_order(phone, outcome, shows=shows)
        return outcome

    def _show(self, phone: Phone, entry: Entry, outcome: Outcome, *, shows: bool) -> Outcome:
        try:
            plain = opened(entry.response or "", self.world.config.mode, self.envelope)
            if plain:
                entry.response = plain
                outcome.reply = read(
                    plain,
                    openid=phone.openid,
                    world=self.world,
                    now=self.world.clock.now(),
                )
        except BadReply as error:
            entry.note = outcome.reason = str(error)
            self._out_of_order(phone, outcome, shows=shows)
        if not shows:
            outcome.reply = None
        if outcome.reply and phone.follows_account:
            outcome.heard.append(phone.receive(outcome.reply))
        return outcome

    def _out_of_order(self, phone: Phone, outcome: Outcome, *, shows: bool) -> None:
        outcome.failed = True
        if shows and phone.follows_account:
            line = Message(
                at=self.world.clock.now(),
                channel=Channel.SYSTEM,
                kind="system",
                text=OUT_OF_ORDER,
            )
            outcome.heard.append(phone.receive(line))

    async def _attempt(self, phone: Phone, xml: str, attempt: int, *, note: str = "") -> Entry:
        entry = self._entry(phone, xml)
        entry.attempt = attempt
        began = time.monotonic()
        if self.world.faults.takes_drop():
            entry.note = "dropped on purpose"
        else:
            query, body = self._written(phone, xml)
            try:
                async with self.world.http.post(
                    self.world.config.callback_url,
                    params=query,
                    data=body.encode(),
                    headers={"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"},
                    timeout=self._timeout(),
                ) as response:
                    text = (await response.read()).decode(errors="replace")
                    if self.world.faults.takes_lost_reply():
                        entry.note, entry.response = "answer lost on purpose", text
                    else:
                        entry.status, entry.response = response.status, text
            except TimeoutError:
                entry.note = f"no answer within {self.world.config.deadline_seconds:g} s"
            except aiohttp.ClientError as error:
                entry.note = f"no answer: {type(error).__name__}"
        entry.note = entry.note or note
        entry.seconds = time.monotonic() - began
        self.world.ledger.record(entry)
        self.world.changed()
        return entry

    def _written(self, phone: Phone, xml: str) -> tuple[dict[str, str], str]:
        config = self.world.config
        stamp, nonce = str(int(time.time())), secrets.token_hex(5)
        query = {
            "signature": signature(config.token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "openid": phone.openid,
        }
        if self.envelope is None:
            return query, xml
        sealed = self.envelope.seal(xml)
        query |= {
            "encrypt_type": "aes",
            "msg_signature": signature(config.token, stamp, nonce, sealed),
        }
        encrypted = f"<Encrypt>{cdata(sealed)}</Encrypt></xml>"
        if config.mode is Mode.COMPATIBLE:
            return query, xml.removesuffix("</xml>") + encrypted
        return (
            query,
            f"<xml><ToUserName>{cdata(config.original_id)}</ToUserName>{encrypted}",
        )

    def _entry(self, phone: Phone | None, request: str) -> Entry:
        return Entry(
            at=self.world.clock.now(),
            real_at=real_now(),
            direction=Direction.PUSH,
            path=urlsplit(self.world.config.callback_url).path,
            phone=phone.name if phone else None,
            request=request,
        )

    def _timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self.world.config.deadline_seconds)
