"""Active messages: `custom/send`, `custom/typing`, customer service accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bot.simulator.api.content import message, recipient
from bot.simulator.api.gate import Call, Kind, shape
from bot.simulator.errors import Refused
from bot.simulator.history import Channel

_TYPING = timedelta(seconds=15)
_LATELY = timedelta(seconds=30)
KINDS = ("text", "image", "voice", "video", "news", "msgmenu")


async def send(call: Call) -> dict[str, Any]:
    """Say something within a delivery window."""
    optional: dict[str, Kind] = {
        "customservice": dict,
        "aimsgcontext": dict,
    }
    given = shape(
        call.body,
        {"touser": str, "msgtype": str},
        optional | dict.fromkeys(KINDS, dict),
        missing=40035,
    )
    kind = given["msgtype"]
    if kind not in KINDS:
        raise Refused(40008)
    if others := [k for k in KINDS if k in given and k != kind]:
        raise Refused(40035, f"{others[0]} beside msgtype {kind}")
    phone = recipient(call, given["touser"])
    shown = message(call, kind, given.get(kind, {}), Channel.ACTIVE)
    if "aimsgcontext" in given:
        shape(given["aimsgcontext"], {"is_ai_msg": int}, where="aimsgcontext.")
    if "customservice" in given:
        account = shape(given["customservice"], {"kf_account": str}, where="customservice.")["kf_account"]
        if account not in call.world.service_accounts:
            raise Refused(65401)
        shown.sender = call.world.service_accounts[account]
    phone.window.spend(call.world.clock.now())
    phone.receive(shown)
    return {"errcode": 0, "errmsg": "ok"}


async def typing(call: Call) -> dict[str, Any]:
    """Show or hide 「对方正在输入」 for 15 seconds."""
    given = shape(call.body, {"touser": str, "command": str})
    phone = recipient(call, given["touser"])
    now = call.world.clock.now()
    if given["command"] not in ("Typing", "CancelTyping"):
        raise Refused(45072)
    if not phone.window.is_open(now) or phone.last_action is None or now - phone.last_action > _LATELY:
        raise Refused(45080)
    if given["command"] == "CancelTyping":
        phone.typing_until = None
    elif phone.is_typing(now):
        raise Refused(45081)
    else:
        phone.typing_until = now + _TYPING
    call.world.changed(phone)
    return {"errcode": 0, "errmsg": "ok"}


async def add_account(call: Call) -> dict[str, Any]:
    """Make a customer service account whose name stands above its messages."""
    given = shape(call.body, {"kf_account": str, "nickname": str}, {"password": str})
    if given["kf_account"] in call.world.service_accounts:
        raise Refused(65406)
    call.world.service_accounts[given["kf_account"]] = given["nickname"]
    call.world.changed()
    return {"errcode": 0, "errmsg": "ok"}


async def list_accounts(call: Call) -> dict[str, Any]:
    """All customer service accounts."""
    return {"kf_list": [{"kf_account": a, "kf_nick": nick} for a, nick in call.world.service_accounts.items()]}
