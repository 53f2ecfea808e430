"""The answer inside a push: read as strictly as WeChat reads it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bot.simulator.config import Mode
from bot.simulator.crypto import BadEnvelope, Envelope
from bot.simulator.history import Article, Channel, Message

if TYPE_CHECKING:
    from bot.simulator.world import World

TEXT_BYTES = 2048


class BadReply(Exception):
    """An answer for which a person would read that the account is out of order; the text says why."""


def opened(raw: str, mode: Mode, envelope: Envelope | None) -> str:
    """The plain XML of a reply, decrypted where the mode asks for it; empty when there is none.

    Raises:
        BadReply: not XML, not encrypted in safe mode, wrong signature, wrong key or app.
    """
    text = raw.strip()
    if text in ("", "success"):
        return ""
    root = _parsed(text)
    sealed = root.findtext("Encrypt")
    if sealed is None:
        if mode is Mode.SAFE:
            raise BadReply("a plain reply in safe mode")
        return text
    if envelope is None:
        raise BadReply("an encrypted reply in plain mode")
    timestamp, nonce = root.findtext("TimeStamp") or "", root.findtext("Nonce") or ""
    if not envelope.signs(
        sealed,
        timestamp=timestamp,
        nonce=nonce,
        claimed=root.findtext("MsgSignature") or "",
    ):
        raise BadReply("the reply's MsgSignature is wrong")
    try:
        return envelope.open(sealed)
    except BadEnvelope as error:
        raise BadReply(f"the reply {error}") from None


def read(xml: str, *, openid: str, world: World, now: datetime) -> Message | None:
    """What the phone shows for a plain reply; nothing for `transfer_customer_service`.

    Raises:
        BadReply: addressed to someone else, an unknown type, an empty or too long text, an unknown media id.
    """
    root = _parsed(xml)
    if root.findtext("ToUserName") != openid:
        raise BadReply("ToUserName is not the person who wrote")
    if root.findtext("FromUserName") != world.config.original_id:
        raise BadReply("FromUserName is not this account")
    if not (root.findtext("CreateTime") or "").isdigit():
        raise BadReply("CreateTime is missing")
    kind = root.findtext("MsgType") or ""
    message = Message(at=now, channel=Channel.PASSIVE, kind=kind)
    if kind == "transfer_customer_service":
        return None
    if kind == "text":
        message.text = root.findtext("Content") or ""
        if not message.text.strip():
            raise BadReply("Content is empty")
        if len(message.text.encode()) > TEXT_BYTES:
            raise BadReply(f"Content has {len(message.text.encode())} bytes, {TEXT_BYTES} are allowed")
    elif kind in ("image", "voice", "video"):
        message.media_id = root.findtext(f"{kind.capitalize()}/MediaId") or ""
        message.title = root.findtext("Video/Title") or ""
        message.text = root.findtext("Video/Description") or ""
        if message.media_id not in world.media:
            raise BadReply("MediaId is unknown or gone")
    elif kind == "news":
        message.articles = [
            Article(*(item.findtext(tag) or "" for tag in ("Title", "Description", "Url", "PicUrl")))
            for item in root.findall("Articles/item")
        ]
        if len(message.articles) != 1 or root.findtext("ArticleCount") != "1":
            raise BadReply("a reply carries exactly one article")
    elif kind == "music":
        message.title, message.text = (
            root.findtext("Music/Title") or "",
            root.findtext("Music/Description") or "",
        )
        message.url = root.findtext("Music/MusicUrl") or ""
    else:
        raise BadReply(f"MsgType {kind!r} cannot be a reply")
    return message


def _parsed(text: str) -> Element:
    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadReply(f"not XML: {type(error).__name__}") from None
    if root.tag != "xml":
        raise BadReply(f"<{root.tag}> where <xml> is expected")
    return root
