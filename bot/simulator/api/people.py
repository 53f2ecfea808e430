"""Who follows: `user/info`, `user/get`."""

from __future__ import annotations

from typing import Any

from bot.simulator.api.gate import Call
from bot.simulator.errors import Refused


async def info(call: Call) -> dict[str, Any]:
    """One person; of somebody who does not follow only that."""
    openid = call.query.get("openid", "")
    if not openid:
        raise Refused(41009)
    phone = call.world.by_openid(openid)
    if phone is None:
        raise Refused(40003)
    call.phone = phone.name
    if not phone.follows_account or phone.followed_at is None:
        return {"subscribe": 0, "openid": openid}
    number = phone.scene.isdigit()
    return {
        "subscribe": 1,
        "openid": openid,
        "language": "zh_CN",
        "subscribe_time": int(phone.followed_at.timestamp()),
        "remark": "",
        "groupid": 0,
        "tagid_list": [],
        "subscribe_scene": "ADD_SCENE_QR_CODE" if phone.scene else "ADD_SCENE_SEARCH",
        "qr_scene": int(phone.scene) if number else 0,
        "qr_scene_str": "" if number else phone.scene,
    }


async def followers(call: Call) -> dict[str, Any]:
    """Openids of all followers; after the last one the list ends."""
    all_of_them = [p.openid for p in call.world.phones.values() if p.follows_account]
    after = call.query.get("next_openid", "")
    if after and after not in all_of_them:
        raise Refused(40003)
    openids = all_of_them[all_of_them.index(after) + 1 :] if after else all_of_them
    data = {"data": {"openid": openids}} if openids else {}
    return {
        "total": len(all_of_them),
        "count": len(openids),
        **data,
        "next_openid": openids[-1] if openids else "",
    }
