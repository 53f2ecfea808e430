"""What an active or mass message carries, turned into what a phone shows."""

from __future__ import annotations

from typing import Any

from bot.simulator.api.gate import Call, shape
from bot.simulator.errors import Refused
from bot.simulator.history import Article, Channel, Message
from bot.simulator.passive import TEXT_BYTES
from bot.simulator.phone import Phone
from bot.simulator.richtext import Choice


def recipient(call: Call, openid: object) -> Phone:
    """The phone of an openid.

    Raises:
        Refused: 40003 not of this account, 43004 not following.
    """
    phone = call.world.by_openid(openid)
    if phone is None:
        raise Refused(40003)
    call.phone = phone.name
    if not phone.follows_account:
        raise Refused(43004)
    return phone


def message(call: Call, kind: str, content: Any, channel: Channel) -> Message:
    """Build what is shown from the object under the message type's name.

    Raises:
        Refused: 40008 unknown type, 44004 empty, 45002 too long, 40007 unknown media, 45008 not one article.
    """
    shown = Message(at=call.world.clock.now(), channel=channel, kind=kind)
    if kind == "text":
        shown.text = _text(shape(content, {"content": str}, where="text.", missing=44004)["content"])
        if not shown.text.strip():
            raise Refused(44004)
    elif kind in ("image", "voice"):
        shown.media_id = _media(
            call,
            shape(content, {"media_id": str}, where=f"{kind}.", missing=40007),
            kind,
        )
    elif kind == "video":
        video = shape(
            content,
            {"media_id": str},
            {"thumb_media_id": str, "title": str, "description": str},
            where="video.",
        )
        shown.media_id = _media(call, video, kind)
        shown.title, shown.text = video.get("title", ""), video.get("description", "")
    elif kind == "news":
        shown.articles = _articles(content)
    elif kind == "msgmenu":
        _menu(shown, content)
    else:
        raise Refused(40008)
    return shown


def _text(text: str) -> str:
    if len(text.encode()) > TEXT_BYTES:
        raise Refused(45002)
    return text


def _media(call: Call, content: dict[str, Any], kind: str) -> str:
    media = call.world.media.get(content["media_id"])
    if media is None or media.ends <= call.world.clock.now():
        raise Refused(40007)
    if media.kind != kind:
        raise Refused(40007, f"it is {media.kind}")
    return str(content["media_id"])


def _articles(content: Any) -> list[Article]:
    articles = shape(content, {"articles": list}, where="news.")["articles"]
    if len(articles) != 1:
        raise Refused(45008)
    names = {"title": str, "description": str, "url": str, "picurl": str}
    one = shape(articles[0], {"title": str}, names, where="news.articles.")
    return [
        Article(
            one["title"],
            one.get("description", ""),
            one.get("url", ""),
            one.get("picurl", ""),
        )
    ]


def _menu(shown: Message, content: Any) -> None:
    menu = shape(
        content,
        {"list": list},
        {"head_content": str, "tail_content": str},
        where="msgmenu.",
    )
    shown.kind, shown.text, shown.tail = (
        "menu",
        menu.get("head_content", ""),
        menu.get("tail_content", ""),
    )
    for item in menu["list"]:
        choice = shape(item, {"id": str, "content": str}, where="msgmenu.list.")
        shown.choices.append(Choice(choice["id"], choice["content"]))
    if not shown.choices:
        raise Refused(40035, "msgmenu.list is empty")
    _text(shown.words())
