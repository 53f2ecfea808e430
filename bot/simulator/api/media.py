"""Upload and download of files."""

from __future__ import annotations

from typing import Any

from bot.simulator.api.gate import Binary, Call
from bot.simulator.clock import real_now
from bot.simulator.errors import Refused
from bot.simulator.sniff import kind_of

# Extension by content and most bytes, as documented for temporary media.
_ALLOWED = {
    "image": (("png", "jpg", "gif"), 10 << 20),
    "voice": (("amr", "mp3"), 2 << 20),
    "video": (("mp4",), 10 << 20),
    "thumb": (("jpg",), 64 << 10),
}


async def upload(call: Call) -> dict[str, Any]:
    """Keep a file for three days."""
    kind = call.query.get("type", "")
    if kind not in _ALLOWED:
        raise Refused(40004)
    data = _checked(call, kind)
    media_id = call.world.keep_media(kind, data)
    name = "thumb_media_id" if kind == "thumb" else "media_id"
    return {"type": kind, name: media_id, "created_at": int(real_now().timestamp())}


async def upload_image(call: Call) -> dict[str, Any]:
    """Keep a picture for good and give its address, for texts of articles."""
    return {"url": f"{call.world.config.base_url}/mmbiz/{call.world.keep_media('image', _checked(call, 'image'))}"}


async def get(call: Call) -> dict[str, Any] | Binary:
    """The file of a media id."""
    media_id = call.query.get("media_id", "")
    if not media_id:
        raise Refused(41006)
    media = call.world.media.get(media_id)
    if media is None or media.ends <= call.world.clock.now():
        raise Refused(40007)
    mime, extension = kind_of(media.data)
    if media.kind == "video":
        return {"video_url": f"{call.world.config.base_url}/mmbiz/{media_id}"}
    return Binary(media.data, mime, f"{media_id}.{extension}")


def _checked(call: Call, kind: str) -> bytes:
    if call.upload is None:
        raise Refused(41005)
    extensions, most = _ALLOWED[kind]
    data = call.upload.data
    if not data:
        raise Refused(44001)
    if len(data) > most:
        raise Refused(45001)
    if kind_of(data)[1] not in extensions:
        raise Refused(40005)
    return data
