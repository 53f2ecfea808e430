"""WeChat's XML: read without DTD and entities, written so that no text leaves its CDATA section."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, fromstring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring as careful

from bot.wechat.refusal import Refused

_DEEPEST = 8
_DECLARED = re.compile(r"""\A\s*<\?xml[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")
# Everything XML 1.0 forbids, and DEL and the C1 range, which it allows and no person types.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """The text without control characters and lone surrogates; line breaks and tabs stay, emoji stay whole."""
    return _CONTROL.sub("", text)


def read(body: bytes) -> Element:
    """Parse `<xml>…</xml>` in UTF-8, control characters removed first (expat would refuse the whole message).

    Raises:
        Refused: `encoding` when it is not UTF-8 or says so itself, `xml` for anything else that is not WeChat's format.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("encoding") from None
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() not in ("utf-8", "utf8"):
        raise Refused("encoding")
    try:
        cleaned = clean(text)
        # Without this word there is no DTD and there are no entities, and the parser written in C is safe and ten times
        # faster; with it (perhaps in somebody's text) the careful one decides.
        root: Element = careful(cleaned, forbid_dtd=True) if "<!DOCTYPE" in cleaned else fromstring(cleaned)
    except (ParseError, DefusedXmlException, ValueError):
        raise Refused("xml") from None
    if root.tag != "xml":
        raise Refused("xml")
    level = [root]
    for _ in range(_DEEPEST):
        level = [child for element in level for child in element]
        if not level:
            return root
    raise Refused("xml")


def leaves(root: Element) -> Iterator[tuple[str, str]]:
    """Every text of the document with its path: `Content`, `SendLocationInfo.Label`; repeated ones in their order."""
    for child in root:
        if len(child):
            for path, text in leaves(child):
                yield f"{child.tag}.{path}", text
        else:
            yield child.tag, child.text or ""


def in_cdata(text: str) -> str:
    """Text that may stand between `<![CDATA[` and `]]>`: cleaned, and each `]]>` split over two sections."""
    return clean(text).replace("]]>", "]]]]><![CDATA[>")
