"""What WeChat pushes to us, as one frozen value, and the passive text reply.

The field names of each format are wechatpy's; reading, checking and the deduplication key are ours, because wechatpy
raises whatever comes up on malformed input, gives every event the id 0 and lets `]]>` break out of a reply.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, cast

from wechatpy.events import EVENT_TYPES  # type: ignore[import-untyped]
from wechatpy.messages import MESSAGE_TYPES, UnknownMessage  # type: ignore[import-untyped]
from wechatpy.replies import TextReply  # type: ignore[import-untyped]

from bot.wechat.documents import clean, in_cdata, leaves, read
from bot.wechat.refusal import Refused

Kind = Literal["text", "image", "voice", "video", "shortvideo", "location", "link", "file", "event", "unknown"]

MAX_TEXT_BYTES = 2048
"""The most a text may hold in UTF-8, passive or active; more is error 45002 or a failure shown to the patient."""

_MESSAGES = frozenset({"text", "image", "voice", "video", "shortvideo", "location", "link", "file"})
_LATEST = 1 << 33
_ONCE = ("ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId", "Content", "Event", "EventKey", "MsgID")
# In addition to wechatpy's: subscription notices and changes of an authorisation.
_KNOWN_EVENTS = frozenset(EVENT_TYPES) | {
    "subscribe_msg_popup_event",
    "subscribe_msg_change_event",
    "subscribe_msg_sent_event",
    "user_info_modified",
    "user_authorization_revoke",
    "user_authorization_cancellation",
    "view_miniprogram",
}
_SENT_NOTICE = "SubscribeMsgSentEvent.List"


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message or event. What people wrote and who they are is kept out of `repr`, hence out of logs.

    Attributes:
        openid: who sent it (FromUserName).
        account: the official account it was sent to (ToUserName).
        kind: the type of message; `event` for every event, `unknown` for types this version does not know.
        created_at: when WeChat made it, aware UTC.
        msg_id: the deduplication key: MsgId, or for events a digest that holds the openid only hashed.
        event: the event's name in lower case, empty for messages.
        known: false for types and events that are stored and counted, and nothing else.
        text: as typed, without control characters; may be empty.
        menu_id: the id of a tapped entry of an in-message menu; such a tap arrives as a text.
        latitude, longitude: degrees, of a location message or a reported position.
        template_msg_id, template_status: which template or notice was delivered, and WeChat's word for how it went.
        extras: every other field by its path, e.g. `ScanCodeInfo.ScanResult`; a repeated one keeps its last value.
    """

    openid: str = field(repr=False)
    account: str = field(repr=False)
    kind: Kind
    created_at: datetime
    msg_id: str
    event: str = ""
    event_key: str = field(default="", repr=False)
    known: bool = True
    text: str = field(default="", repr=False)
    menu_id: str = field(default="", repr=False)
    media_id: str = field(default="", repr=False)
    media_format: str = ""
    thumb_media_id: str = field(default="", repr=False)
    pic_url: str = field(default="", repr=False)
    title: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    latitude: float | None = field(default=None, repr=False)
    longitude: float | None = field(default=None, repr=False)
    place: str = field(default="", repr=False)
    ticket: str = field(default="", repr=False)
    template_msg_id: str = ""
    template_status: str = ""
    extras: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def scene(self) -> str:
        """The scene value of a scanned QR code, whether it made the person follow or they followed before."""
        if self.event == "subscribe" and self.event_key.startswith("qrscene_"):
            return self.event_key.removeprefix("qrscene_")
        return self.event_key if self.event == "scan" else ""


def parse(xml: bytes) -> Inbound:
    """Read one pushed document.

    Raises:
        Refused: `xml` when it lacks sender, receiver, time or type, `encoding` when it is not UTF-8.
    """
    pairs = list(leaves(read(xml)))
    names = [name for name, _ in pairs]
    if any(names.count(name) > 1 for name in _ONCE):
        raise Refused("xml")
    fields = dict(pairs)
    stated = {name: fields.get(name, "").strip() for name in _ONCE if name != "Content"}
    openid, account = stated["FromUserName"], stated["ToUserName"]
    msg_type, event = stated["MsgType"].lower(), stated["Event"].lower()
    if not (openid and account and msg_type) or len(openid) > 128 or len(account) > 128:
        raise Refused("xml")
    if msg_type == "event":
        kind: Kind = "event"
        known = event in _KNOWN_EVENTS
    else:
        known = msg_type in _MESSAGES
        kind, event = cast(Kind, msg_type if known else "unknown"), ""
    job_id = stated["MsgID"] or fields.get(f"{_SENT_NOTICE}.MsgID", "").strip()
    return Inbound(
        openid=openid,
        account=account,
        kind=kind,
        created_at=_moment(stated["CreateTime"]),
        msg_id=_key(kind, event, stated, job_id, fields),
        event=event,
        event_key=stated["EventKey"],
        known=known,
        template_msg_id=job_id,
        template_status=_status(event, fields),
        extras=MappingProxyType({name: text for name, text in pairs if name not in _ONCE}),
        **_of_kind(msg_type, event, fields),
    )


def text_reply(inbound: Inbound, text: str, *, now: datetime) -> str:
    """The passive reply to this message as XML.

    A text above `MAX_TEXT_BYTES` is shortened here, because WeChat would show the patient a failure instead.

    Args:
        inbound: whom to answer.
        text: what to say; `]]>` and control characters in it are harmless.
        now: the reply's CreateTime.
    """
    reply = TextReply(
        source=in_cdata(inbound.account),
        target=in_cdata(inbound.openid),
        time=int(now.timestamp()),
        content=in_cdata(shorten(clean(text))),
    )
    return cast(str, reply.render())


def shorten(text: str, *, limit: int = MAX_TEXT_BYTES, ending: str = "……") -> str:
    """The text if it fits `limit` bytes of UTF-8, else its beginning, cut between characters, with `ending`.

    Emoji made of several code points are not cut inside. A caller who links to the full text passes the link in
    `ending`.
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    room = limit - len(ending.encode())
    if room < 0:
        raise ValueError("the ending alone is longer than the limit")
    kept = raw[:room].decode("utf-8", "ignore")
    cut = len(kept)
    while cut and (_joins(text[cut]) or text[cut - 1] == "\u200d"):
        cut -= 1
    return (text[:cut] or kept) + ending


def _joins(char: str) -> bool:
    """Whether this code point belongs to the one before: joiner, variation selector, skin tone, keycap."""
    return char in "\u200d\ufe0e\ufe0f\u20e3" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _moment(seconds: str) -> datetime:
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 12 and int(seconds) < _LATEST):
        raise Refused("xml")
    return datetime.fromtimestamp(int(seconds), UTC)


def _key(kind: Kind, event: str, stated: Mapping[str, str], job_id: str, fields: Mapping[str, str]) -> str:
    msg_id = stated["MsgId"]
    if kind != "event" and msg_id and len(msg_id) <= 64:
        return msg_id
    parts = [stated["FromUserName"], stated["CreateTime"]]
    if kind == "event":
        # MsgID tells apart the receipts of two templates that reached one person within a second.
        parts += [event, stated["EventKey"], job_id]
    else:
        # Never seen from WeChat, yet without an id a message would be lost or handled three times.
        parts += [stated["MsgType"], msg_id, *fields.values()]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{'e' if kind == 'event' else 'm'}{digest}"


def _status(event: str, fields: Mapping[str, str]) -> str:
    if event in ("templatesendjobfinish", "masssendjobfinish"):
        return str(EVENT_TYPES[event](dict(fields)).status or "").strip()
    return fields.get(f"{_SENT_NOTICE}.ErrorStatus", "").strip()


def _of_kind(msg_type: str, event: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields that only some types have, under our names."""
    model = MESSAGE_TYPES.get(msg_type, UnknownMessage)(dict(fields))
    match msg_type:
        case "text":
            return {"text": model.content or "", "menu_id": fields.get("bizmsgmenuid", "").strip()}
        case "image":
            return {"media_id": model.media_id or "", "pic_url": model.image or ""}
        case "voice":
            return {"media_id": model.media_id or "", "media_format": model.format or ""}
        case "video" | "shortvideo":
            return {"media_id": model.media_id or "", "thumb_media_id": model.thumb_media_id or ""}
        case "location":
            latitude, longitude = _degrees(model.location_x, 90), _degrees(model.location_y, 180)
            return {"latitude": latitude, "longitude": longitude, "place": model.label or ""}
        case "link":
            return {"title": model.title or "", "description": model.description or "", "url": model.url or ""}
        case "file":
            return {"title": fields.get("Title", ""), "description": fields.get("Description", "")}
        case "event" if event == "location":
            return {
                "latitude": _degrees(fields.get("Latitude"), 90),
                "longitude": _degrees(fields.get("Longitude"), 180),
            }
        case "event":
            return {"ticket": fields.get("Ticket", "").strip()}
    return {}


def _degrees(text: str | None, most: int) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if -most <= value <= most else None
