"""The little Markdown that FAQ texts use, as safe HTML: paragraphs, lists, bold. Nothing else has a meaning."""

import re
from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup, escape

_BULLET = re.compile(r"^\s*[-*•]\s+(.*)$")
_NUMBERED = re.compile(r"^\s*\d+[.、)]\s*(.*)$")
_HEADING = re.compile(r"^\s*#{1,6}\s+(.*)$")
_BOLD = re.compile(r"\*\*(.+?)\*\*")


def prose(text: str) -> Markup:
    """A text as HTML.

    >>> print(prose("**请记住**：<b>\\n- 一\\n- 二"))
    <p><strong>请记住</strong>：&lt;b&gt;</p>
    <ul><li>一</li><li>二</li></ul>
    """
    return Markup("\n").join(_blocks(text.strip().splitlines()))


def _kind(line: str) -> tuple[str, str]:
    for name, pattern in (("ul", _BULLET), ("ol", _NUMBERED), ("h3", _HEADING)):
        if found := pattern.match(line):
            return name, found[1]
    return ("p", line) if line.strip() else ("", "")


def _blocks(lines: list[str]) -> Iterator[Markup]:
    for name, run in groupby(map(_kind, lines), key=lambda one: one[0]):
        words = [_words(line) for _, line in run]
        if name in ("ul", "ol"):
            items = Markup("").join(Markup("<li>{}</li>").format(line) for line in words)
            yield Markup(f"<{name}>{{}}</{name}>").format(items)  # noqa: S704 - one of two names of our own
        elif name == "h3":
            yield from (Markup("<h3>{}</h3>").format(line) for line in words)
        elif name == "p":
            yield Markup("<p>{}</p>").format(Markup("<br>").join(words))


def _words(line: str) -> Markup:
    return Markup(_BOLD.sub(r"<strong>\1</strong>", str(escape(line))))  # noqa: S704 - escaped before
