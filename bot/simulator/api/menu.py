"""The menu at the bottom of the chat."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from bot.simulator.api.gate import Call, Kind, shape
from bot.simulator.errors import Refused

# Fields that each type needs beside `type` and `name`.
_TYPES: dict[str, dict[str, Kind]] = {
    "click": {"key": str},
    "view": {"url": str},
    "scancode_push": {"key": str},
    "scancode_waitmsg": {"key": str},
    "pic_sysphoto": {"key": str},
    "pic_photo_or_album": {"key": str},
    "pic_weixin": {"key": str},
    "location_select": {"key": str},
    "media_id": {"media_id": str},
    "article_id": {"article_id": str},
    "article_view_limited": {"article_id": str},
    "miniprogram": {"url": str, "appid": str, "pagepath": str},
}


async def create(call: Call) -> dict[str, Any]:
    """Replace the menu: up to three items, up to five below each."""
    buttons = shape(call.body, {"button": list}, missing=40016)["button"]
    if not 1 <= len(buttons) <= 3:
        raise Refused(40016)
    call.world.menu = [_top(button) for button in buttons]
    call.world.changed()
    return {"errcode": 0, "errmsg": "ok"}


async def get(call: Call) -> dict[str, Any]:
    """The menu as it is."""
    if call.world.menu is None:
        raise Refused(46003)
    return {"menu": {"button": call.world.menu}}


async def delete(call: Call) -> dict[str, Any]:
    """Take the menu away."""
    call.world.menu = None
    call.world.changed()
    return {"errcode": 0, "errmsg": "ok"}


def _top(button: Any) -> dict[str, Any]:
    if not isinstance(button, dict) or not button.get("sub_button"):
        return _item(button, name_bytes=16, too_long=40018) | {"sub_button": []}
    shape(
        button,
        {"name": str, "sub_button": list},
        {"type": str},
        where="button.",
        missing=40018,
    )
    if not 1 <= len(button["name"].encode()) <= 16:
        raise Refused(40018)
    if len(button["sub_button"]) > 5:
        raise Refused(40023)
    below = [_item(sub, name_bytes=60, too_long=40025) | {"sub_button": []} for sub in button["sub_button"]]
    return {"name": button["name"], "sub_button": below}


def _item(button: Any, *, name_bytes: int, too_long: int) -> dict[str, Any]:
    kind = button.get("type") if isinstance(button, dict) else None
    if kind not in _TYPES:
        raise Refused(40017)
    required: dict[str, Kind] = {"type": str, "name": str}
    shape(button, required | _TYPES[kind], {"sub_button": list}, where="button.")
    if not 1 <= len(button["name"].encode()) <= name_bytes:
        raise Refused(too_long)
    if len(button.get("key", "").encode()) > 128 or button.get("key") == "":
        raise Refused(40019)
    url = button.get("url", "")
    if len(url.encode()) > 1024:
        raise Refused(40020)
    if "url" in button and urlsplit(url).scheme not in ("http", "https"):
        raise Refused(40055)
    return {k: v for k, v in button.items() if k != "sub_button"}
