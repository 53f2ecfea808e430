"""Text as WeChat shows it: `<a href>` and `weixin://bizmsgmenu` are tappable, all else is literal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qs, urlsplit

_ANCHOR = re.compile(
    r"<a\s+[^>]*?href\s*=\s*(?:\"([^\"]*)\"|'([^']*)')[^>]*>(.*?)</a>",
    re.IGNORECASE | re.DOTALL,
)
_BARE = re.compile(r"https?://[^\s<>\"'，。；！？、）】」]+")


@dataclass(frozen=True)
class Choice:
    """A line that sends its own text when tapped; `id` travels along as `bizmsgmenuid`."""

    id: str
    content: str


@dataclass(frozen=True)
class Segment:
    """A run of text: plain, a link (`url`) or a choice."""

    text: str
    url: str | None = None
    choice: Choice | None = None


def segments(text: str) -> list[Segment]:
    """Split a text message into what is plain and what can be tapped."""
    found: list[Segment] = []
    at = 0
    for match in _ANCHOR.finditer(text):
        found += _plain(text[at : match.start()])
        found.append(
            _anchor(
                unescape(match[1] if match[1] is not None else match[2]),
                match[3],
                match[0],
            )
        )
        at = match.end()
    return [s for s in found + _plain(text[at:]) if s.text]


def _anchor(href: str, label: str, whole: str) -> Segment:
    parts = urlsplit(href)
    if parts.scheme in ("http", "https"):
        return Segment(label, url=href)
    if parts.scheme == "weixin" and parts.netloc == "bizmsgmenu":
        query = parse_qs(parts.query)
        content, ids = query.get("msgmenucontent"), query.get("msgmenuid")
        if content and ids:
            return Segment(label, choice=Choice(ids[0], content[0]))
    return Segment(whole)


def _plain(text: str) -> list[Segment]:
    found: list[Segment] = []
    at = 0
    for match in _BARE.finditer(text):
        found += [Segment(text[at : match.start()]), Segment(match[0], url=match[0])]
        at = match.end()
    return [*found, Segment(text[at:])]
