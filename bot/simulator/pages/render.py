"""Templates and the way times are said."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web

from bot.simulator.history import Message
from bot.simulator.ledger import Entry
from bot.simulator.richtext import segments

HERE = Path(__file__).parent
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_WEEKDAYS = "一二三四五六日"
_GAP_SECONDS = 300
_TAGS = re.compile(r"(?<!\]\])><(?!!)")
_UNREAD = {
    "access_token",
    "appid",
    "client_msg_id",
    "color",
    "grant_type",
    "id",
    "kf_account",
    "media_id",
    "msgtype",
    "picurl",
    "secret",
    "template_id",
    "touser",
    "url",
    "query",
}
_AVATARS = (
    "#4a7fb5",
    "#8a6fb0",
    "#3f9a8a",
    "#b0813f",
    "#5f8f4a",
    "#7d7a8c",
    "#3f86a8",
    "#a0708a",
)


def said(at: datetime, now: datetime) -> str:
    """A time as WeChat says it above a message."""
    local, today = at.astimezone(_SHANGHAI), now.astimezone(_SHANGHAI)
    days = (today.date() - local.date()).days
    clock = f"{local:%H:%M}"
    if days == 0:
        return clock
    if days == 1:
        return f"昨天 {clock}"
    if 1 < days < 7:
        return f"星期{_WEEKDAYS[local.weekday()]} {clock}"
    year = "" if local.year == today.year else f"{local.year}年"
    return f"{year}{local.month}月{local.day}日 {clock}"


def exact(at: datetime) -> str:
    """Date and time to the second, in China."""
    return f"{at.astimezone(_SHANGHAI):%Y-%m-%d %H:%M:%S}"


def avatar(name: str) -> str:
    """A colour that stays with a name."""
    return _AVATARS[sum(name.encode()) % len(_AVATARS)]


def pretty(value: Any) -> str:
    """A payload for reading; XML broken at its tags."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _TAGS.sub(">\n<", value)
    return json.dumps(value, ensure_ascii=False, indent=2)


def gist(entry: Entry) -> str:
    """What a call was about, in a few words."""
    request = entry.request
    if isinstance(request, str):
        event, content, kind = (_tag(request, name) for name in ("Event", "Content", "MsgType"))
        return content or " ".join(part for part in (event or kind, _tag(request, "EventKey")) if part)
    body = request.get("body", request) if isinstance(request, dict) else None
    return " ".join(_words(body)) if isinstance(body, dict) else ""


def spoken(alert: dict[str, Any]) -> str:
    """What an alert would say over the telephone: its text, else all that it carries but keys and links."""
    text = alert.get("text") or alert.get("message")
    if text:
        return str(text)
    left_out = {"key", "link", "to", "phone", "name"}
    return " · ".join(str(value) for key, value in alert.items() if key not in left_out and value)


def _tag(xml: str, name: str) -> str:
    match = re.search(rf"<{name}>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</{name}>", xml, re.DOTALL)
    return match[1] if match else ""


def _words(value: Any) -> list[str]:
    """Texts of a body that a person would read; ids and addresses have their place in the details."""
    if isinstance(value, dict):
        return [w for key, each in value.items() if key not in _UNREAD for w in _words(each)]
    if isinstance(value, list):
        return [w for each in value for w in _words(each)]
    return [value] if isinstance(value, str) and value.strip() and value != "***" else []


def timed(messages: list[Message], now: datetime, *, after: int = 0) -> list[tuple[str, Message]]:
    """Messages after an id, each with the time that stands above it (empty when it follows closely)."""
    found: list[tuple[str, Message]] = []
    before: datetime | None = None
    for message in messages:
        apart = before is None or abs((message.at - before).total_seconds()) > _GAP_SECONDS
        if message.id > after:
            found.append((said(message.at, now) if apart else "", message))
        before = message.at
    return found


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(segments=segments, avatar=avatar, said=said)
_environment.filters.update(exact=exact, pretty=pretty, gist=gist, spoken=spoken)


def html(template: str, **values: Any) -> str:
    """Fill a template."""
    return _environment.get_template(template).render(**values)


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """Fill a template and answer with it."""
    return web.Response(text=html(template, **values), content_type="text/html", status=status)


def browser_problem(title: str, text: str) -> web.Response:
    """What a phone's browser shows when a page cannot be had."""
    return page("problem.html", title=title, text=text)
