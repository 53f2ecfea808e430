"""Messages to many: four a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.simulator.api.content import message
from bot.simulator.api.gate import Call, Kind, shape
from bot.simulator.errors import Refused
from bot.simulator.history import Channel
from bot.simulator.phone import Phone
from bot.simulator.push import cdata

A_MONTH = 4
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_KINDS: dict[str, Kind] = {
    "text": dict,
    "voice": dict,
    "images": dict,
}
_MORE: dict[str, Kind] = {
    "clientmsgid": str,
    "send_ignore_reprint": int,
}


async def send(call: Call) -> dict[str, Any]:
    """To at least two followers by openid; who already had four this month is left out."""
    given = shape(call.body, {"touser": list, "msgtype": str}, _KINDS | _MORE)
    openids = list(dict.fromkeys(given["touser"]))
    if not 2 <= len(openids) <= 10000:
        raise Refused(40130)
    people = [call.world.by_openid(openid) for openid in openids]
    if None in people:
        raise Refused(40003)
    return _submit(call, given, [p for p in people if p is not None], to_all=False)


async def send_all(call: Call) -> dict[str, Any]:
    """To every follower."""
    given = shape(call.body, {"filter": dict, "msgtype": str}, _KINDS | _MORE)
    if not shape(given["filter"], {"is_to_all": bool}, {"tag_id": int}, where="filter.")["is_to_all"]:
        raise Refused(40035, "filter.tag_id: this account has no tags")
    return _submit(
        call,
        given,
        [p for p in call.world.phones.values() if p.follows_account],
        to_all=True,
    )


def month(at: datetime) -> str:
    """The calendar month in China, in which four are counted."""
    return at.astimezone(_SHANGHAI).strftime("%Y-%m")


def _submit(call: Call, given: dict[str, Any], people: list[Phone], *, to_all: bool) -> dict[str, Any]:
    world = call.world
    now = world.clock.now()
    shown = [message(call, given["msgtype"], each, Channel.MASS) for each in _contents(given)]
    client = given.get("clientmsgid", "")
    if len(client.encode()) > 64:
        raise Refused(45067)
    if client and client in world.mass_ids:
        raise Refused(45065, msg_id=world.mass_ids[client])
    if to_all and sum(month(at) == month(now) for at in world.mass_sends) >= A_MONTH:
        raise Refused(45028)
    reached = [p for p in people if p.follows_account and _had(p, now) < A_MONTH]
    if to_all:
        world.mass_sends.append(now)
    msg_id = world.next_msg_id()
    if client:
        world.mass_ids[client] = msg_id
    for phone in reached:
        phone.mass_received = {month(now): _had(phone, now) + 1}
        for each in shown:
            phone.receive(replace(each))
    if people:
        inner = (
            f"<Event>{cdata('MASSSENDJOBFINISH')}</Event><MsgID>{msg_id}</MsgID><Status>{cdata('send success')}"
            f"</Status><TotalCount>{len(people)}</TotalCount><FilterCount>{len(reached)}</FilterCount>"
            f"<SentCount>{len(reached)}</SentCount><ErrorCount>0</ErrorCount>"
        )
        call.effects.append(lambda: world.push_later(people[0], inner))
    return {
        "errcode": 0,
        "errmsg": "send job submission success",
        "msg_id": msg_id,
        "msg_data_id": msg_id,
    }


def _contents(given: dict[str, Any]) -> list[Any]:
    if given["msgtype"] != "image":
        return [given.get(given["msgtype"], {})]
    images = shape(given.get("images"), {"media_ids": list}, {"recommend": str}, where="images.")["media_ids"]
    if not images:
        raise Refused(40007)
    return [{"media_id": media_id} for media_id in images]


def _had(phone: Phone, now: datetime) -> int:
    return phone.mass_received.get(month(now), 0)
