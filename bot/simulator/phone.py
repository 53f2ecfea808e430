"""A person's phone: what its owner can do, and what it shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.simulator.browser import Browser, Page
from bot.simulator.config import Role
from bot.simulator.history import Channel, Heard, Message
from bot.simulator.push import Outcome, cdata
from bot.simulator.richtext import Choice
from bot.simulator.sniff import kind_of
from bot.simulator.windows import Cause, DeliveryWindow

if TYPE_CHECKING:
    from bot.simulator.world import World


class CannotDo(Exception):
    """Something that this phone's owner cannot do now; the text says why, in Chinese, for the page."""


@dataclass(kw_only=True)
class Phone:
    """One phone with one WeChat user on it."""

    world: World = field(repr=False)
    slug: str
    name: str
    openid: str
    role: Role
    follows_account: bool = False
    followed_at: datetime | None = None
    scene: str = ""
    refuses_messages: bool = False
    last_action: datetime | None = None
    typing_until: datetime | None = None
    window: DeliveryWindow = field(default_factory=DeliveryWindow)
    history: list[Message] = field(default_factory=list)
    notices: dict[str, int] = field(default_factory=dict)
    mass_received: dict[str, int] = field(default_factory=dict)
    revision: int = 0

    def __post_init__(self) -> None:
        self.browser = Browser(self)

    # what its owner does

    async def follows(self, scene: str | None = None) -> Outcome:
        """Follow the account, by its name or by scanning a code with this scene value or ticket."""
        if scene is not None:
            return await self.scans(scene)
        if self.follows_account:
            raise CannotDo("已经关注了")
        self._begin_to_follow("")
        return await self._event("subscribe", "<EventKey><![CDATA[]]></EventKey>", Cause.FOLLOW)

    async def scans(self, scene_or_ticket: str) -> Outcome:
        """Scan a QR code that the account made, found by its ticket or its scene value."""
        ticket = self.world.ticket(scene_or_ticket)
        if ticket is None:
            raise CannotDo("二维码不存在或已过期")
        more = f"<Ticket>{cdata(ticket.ticket)}</Ticket>"
        if self.follows_account:
            self.window.open(Cause.SCAN, self.world.clock.now())
            return await self._event("SCAN", f"<EventKey>{cdata(ticket.scene)}</EventKey>{more}", Cause.SCAN)
        self._begin_to_follow(ticket.scene)
        self.window.open(Cause.SCAN, self.world.clock.now())
        key = f"<EventKey>{cdata('qrscene_' + ticket.scene)}</EventKey>"
        return await self._event("subscribe", key + more, Cause.FOLLOW)

    async def unfollows(self) -> Outcome:
        """Stop following: every delivery window closes, nothing arrives any more."""
        self._must_follow()
        self.follows_account, self.typing_until = False, None
        self.window.close()
        inner = "<Event><![CDATA[unsubscribe]]></Event><EventKey><![CDATA[]]></EventKey>"
        self.world.changed(self)
        return await self.world.pusher.push(self, "event", inner, shows=False)

    async def says(self, text: str) -> Outcome:
        """Type and send a text."""
        return await self._send("text", f"<Content>{cdata(text)}</Content>", Cause.MESSAGE, text=text)

    async def sends_photo(self, data: bytes) -> Outcome:
        """Send a picture."""
        media_id = self.world.keep_media("image", data)
        url = f"{self.world.config.base_url}/mmbiz/{media_id}"
        inner = f"<PicUrl>{cdata(url)}</PicUrl><MediaId>{cdata(media_id)}</MediaId>"
        return await self._send("image", inner, Cause.MESSAGE, media_id=media_id)

    async def sends_voice(self, data: bytes) -> Outcome:
        """Send a voice message; WeChat no longer adds what was recognised."""
        media_id = self.world.keep_media("voice", data)
        form = kind_of(data)[1]
        inner = f"<MediaId>{cdata(media_id)}</MediaId><Format>{cdata(form)}</Format>"
        inner += f"<MediaId16K>{cdata(media_id)}</MediaId16K>"
        return await self._send("voice", inner, Cause.MESSAGE, media_id=media_id)

    async def sends_raw(self, kind: str, xml: str) -> Outcome:
        """Send any message type; `xml` stands after MsgType, MsgId is added. `event` pushes an event as it is."""
        if kind == "event":
            self._must_follow()
            return await self.world.pusher.push(self, "event", xml)
        return await self._send(kind, xml, Cause.MESSAGE, text=f"[{kind}]")

    async def taps_menu(self, key: str) -> Outcome:
        """Tap an item of the menu at the bottom: its key, its address or its name."""
        self._must_follow()
        button = self.world.menu_button(key)
        if button is None:
            raise CannotDo("菜单里没有这一项")
        if button["type"] == "click":
            self.window.open(Cause.CLICK, self.world.clock.now())
            return await self._event("CLICK", f"<EventKey>{cdata(button['key'])}</EventKey>", Cause.CLICK)
        if button["type"] == "view":
            outcome = await self._event("VIEW", f"<EventKey>{cdata(button['url'])}</EventKey>", None)
            outcome.opens = button["url"]
            return outcome
        raise CannotDo("模拟手机不支持这种菜单")

    async def taps_choice(self, wanted: str, *, message: int | None = None) -> Outcome:
        """Tap an item of an in-message menu, by its words or id, in the newest message that has it."""
        for item in reversed(self.history):
            if item.mine or (message is not None and item.id != message):
                continue
            for choice in item.tappable():
                if wanted in (choice.content, choice.id):
                    return await self._tap(choice)
        raise CannotDo("找不到这个选项")

    async def answers_notice(self, template_id: str, *, accepts: bool) -> Outcome:
        """Answer the question whether subscription notices of this template may be sent (one a time)."""
        if accepts:
            self.notices[template_id] = self.notices.get(template_id, 0) + 1
        status = "accept" if accepts else "reject"
        inner = (
            f"<SubscribeMsgPopupEvent><List><TemplateId>{cdata(template_id)}</TemplateId><SubscribeStatusString>"
            f"{cdata(status)}</SubscribeStatusString><PopupScene>2</PopupScene></List></SubscribeMsgPopupEvent>"
        )
        return await self._event("subscribe_msg_popup_event", inner, None)

    async def opens(self, url: str) -> Page:
        """Open an address in this phone's browser, through redirects and the OAuth hop."""
        return await self.browser.open(url)

    # what it shows

    def receive(self, message: Message) -> Message:
        """Show a message; for the simulator's own use."""
        message.id = self.world.next_message_id()
        self.history.append(message)
        if not message.mine:
            self.typing_until = None
        self.world.changed(self)
        return message

    def hears(self, *, since: int = 0) -> Heard:
        """All that reached this phone (not what it sent), after the message with id `since`."""
        return Heard([m for m in self.history if not m.mine and m.id > since])

    @property
    def last_own_id(self) -> int:
        """Id of the last message that the owner sent, 0 when none."""
        return max((m.id for m in self.history if m.mine), default=0)

    async def waits_for(
        self,
        wanted: str | Callable[[Message], bool],
        *,
        within: float = 5.0,
        since: int | None = None,
    ) -> Message:
        """The first message that says `wanted`, at the latest `within` real seconds from now.

        Looks at what came after `since`, or after the owner's own last message.

        Raises:
            TimeoutError: it did not come.
        """
        start = self.last_own_id if since is None else since
        fits = wanted if callable(wanted) else (lambda m: wanted in m.words())
        async with asyncio.timeout(within):
            while True:
                noticed = self.world.next_change()
                for message in self.hears(since=start):
                    if fits(message):
                        return message
                await noticed

    def is_typing(self, now: datetime) -> bool:
        """Whether 「对方正在输入」 stands at the top."""
        return self.typing_until is not None and now < self.typing_until

    # how it is done

    def _must_follow(self) -> None:
        if not self.follows_account:
            raise CannotDo("还没有关注这个公众号")

    def _begin_to_follow(self, scene: str) -> None:
        now = self.world.clock.now()
        self.follows_account, self.followed_at, self.scene = True, now, scene
        self.window.open(Cause.FOLLOW, now)

    async def _tap(self, choice: Choice) -> Outcome:
        inner = f"<Content>{cdata(choice.content)}</Content>"
        menu = f"<bizmsgmenuid>{cdata(choice.id)}</bizmsgmenuid>"
        return await self._send("text", inner, Cause.CLICK, text=choice.content, after=menu)

    async def _send(
        self,
        kind: str,
        inner: str,
        cause: Cause,
        *,
        text: str = "",
        media_id: str = "",
        after: str = "",
    ) -> Outcome:
        self._must_follow()
        now = self.world.clock.now()
        self.window.open(cause, now)
        self.last_action = now
        self.receive(Message(at=now, channel=Channel.SENT, kind=kind, text=text, media_id=media_id))
        return await self.world.pusher.push(self, kind, f"{inner}<MsgId>{self.world.next_msg_id()}</MsgId>{after}")

    async def _event(self, event: str, inner: str, cause: Cause | None) -> Outcome:
        self.last_action = self.world.clock.now() if cause else self.last_action
        self.world.changed(self)
        return await self.world.pusher.push(self, "event", f"<Event>{cdata(event)}</Event>{inner}")

    def as_json(self, *, with_history: bool = True) -> dict[str, Any]:
        """For the state file and the control API."""
        return {
            "slug": self.slug,
            "name": self.name,
            "openid": self.openid,
            "role": self.role.value,
            "follows": self.follows_account,
            "followed_at": self.followed_at.isoformat() if self.followed_at else None,
            "scene": self.scene,
            "refuses_messages": self.refuses_messages,
            "notices": self.notices,
            "mass_received": self.mass_received,
            "grants": {c.value: {"until": g.until.isoformat(), "left": g.left} for c, g in self.window.grants.items()},
            "left": self.window.left(self.world.clock.now()),
            **({"history": [m.as_json() for m in self.history]} if with_history else {}),
        }

    def __repr__(self) -> str:
        return f"Phone({json.dumps(self.name, ensure_ascii=False)})"
