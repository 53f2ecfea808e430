"""Delivers one owed thing: through an active message, a template, or the gateway for alerts; says what became of it.

Answers are plain words (`sent`, `maybe`, `window_closed`, `unreachable`, `refused`, `later`, `misconfigured`), so that
the outbox need not know WeChat.
"""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Protocol

import aiohttp
import structlog

from bot.wechat import errors
from bot.wechat.client import WeChat
from bot.wechat.messages import shorten
from bot.wechat.templates import Template
from bot.wechat.windows import Grant, allowance, message_grant, tap_grant

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """Whom to send to, and what they did lately."""

    @property
    def openid(self) -> str:
        """The WeChat id."""

    @property
    def wrote_at(self) -> datetime | None:
        """When they wrote last."""

    @property
    def tapped_at(self) -> datetime | None:
        """When they tapped last."""

    @property
    def sent(self) -> list[datetime]:
        """When active messages were sent to them lately."""

    @property
    def by_doctor(self) -> bool:
        """Whether a doctor's answer is to be sent."""


class Delivery:
    """The way to WeChat and to the alert gateway."""

    def __init__(
        self, wechat: WeChat, *, page_url: str, templates: Mapping[str, Template], gateway_url: str | None
    ) -> None:
        """`templates`: by kind of row. `gateway_url`: where alerts by SMS or voice are posted."""
        self._wechat = wechat
        self._page_url = page_url
        self._templates = templates
        self._gateway_url = gateway_url
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the gateway's connections."""
        if self._http is not None:
            await self._http.close()

    def has_template(self, kind: str) -> bool:
        """Whether a template is configured for this kind."""
        return kind in self._templates

    def window_open(self, receiver: Receiver, now: datetime) -> bool:
        """Whether WeChat would take an active message now, the doctor's reserve kept."""
        grants: list[Grant] = []
        if receiver.wrote_at is not None:
            grants.append(message_grant(receiver.wrote_at))
        if receiver.tapped_at is not None:
            grants.append(tap_grant(receiver.tapped_at))
        return allowance(grants, receiver.sent, now, by_doctor=receiver.by_doctor) > 0

    async def send_text(self, receiver: Receiver, content: str, link: str | None) -> str:
        """An active message; what is too long is cut and ends in a link to the page that has all of it."""
        ending = f'……\n<a href="{escape(self._page_url + link)}">看全文</a>' if link else "……"
        try:
            await self._wechat.send_text(receiver.openid, shorten(content, ending=ending))
        except errors.WeChatError as error:
            return _word(error)
        return "sent"

    async def send_template(
        self, receiver: Receiver, kind: str, fields: Mapping[str, str], link: str, key: str
    ) -> tuple[str, str | None]:
        """A template message; `key` makes repeating it harmless. Returns the word and WeChat's id of it."""
        template = self._templates.get(kind)
        if template is None:
            return "refused", None
        try:
            sent = await self._wechat.send_template(
                receiver.openid,
                template.template_id,
                template.fill(fields),
                url=self._page_url + link,
                client_msg_id=key,
            )
        except errors.WeChatError as error:
            return _word(error), None
        return "sent", sent.msg_id or None

    async def send_alert(self, fields: Mapping[str, str], link: str | None, key: str) -> str:
        """An alert through the SMS or voice gateway: JSON with the fields, a link and a key that makes it repeatable."""
        if self._gateway_url is None:
            return "refused"
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        body = {"key": key, "link": self._page_url + (link or ""), **fields}
        try:
            async with self._http.post(self._gateway_url, json=body) as response:
                return "sent" if response.status < 300 else "later"
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("gateway.failed", error=type(error).__name__)
            return "later"


def _word(error: errors.WeChatError) -> str:
    match error:
        case errors.MaybeSent():
            return "maybe"
        case errors.WindowClosed():
            return "window_closed"
        case errors.Unreachable():
            return "unreachable"
        case errors.Unknown():
            log.error("wechat.unknown_code", code=error.code)
            return "refused"
        case errors.CapabilityMissing() | errors.NoticeRefused() | errors.TooLong() | errors.MediaGone():
            return "refused"
        case errors.Misconfigured():
            log.error("wechat.misconfigured", code=error.code)
            return "misconfigured"
        case _:
            return "later"
