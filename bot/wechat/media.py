"""What a file is, by its content: names and headers of a download are whatever somebody wrote there."""

from dataclasses import dataclass
from typing import Literal

import filetype  # type: ignore[import-untyped]

MediaKind = Literal["image", "voice", "video", "thumb"]

_MIB = 1024 * 1024
LIMITS: dict[MediaKind, int] = {"image": 10 * _MIB, "voice": 2 * _MIB, "video": 10 * _MIB, "thumb": 64 * 1024}
"""Largest size in bytes that WeChat takes or delivers, by kind."""

_TYPES: dict[MediaKind, frozenset[str]] = {
    "image": frozenset({"image/jpeg", "image/png", "image/gif"}),
    "voice": frozenset({"audio/amr", "audio/mpeg"}),
    "video": frozenset({"video/mp4"}),
    "thumb": frozenset({"image/jpeg"}),
}
LARGEST = max(LIMITS.values())


class MediaRefused(Exception):
    """A file that is not kept: `empty`, `too_large`, or `not_allowed` (its content is not of the kind it came as)."""

    def __init__(self, reason: Literal["empty", "too_large", "not_allowed"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MediaType:
    """A recognised type: MIME name and the extension that goes with it, without a dot."""

    mime: str
    extension: str


def identify(data: bytes) -> MediaType | None:
    """The type the first bytes show, or None."""
    found = filetype.guess(data[:8192]) if data else None
    return MediaType(found.mime, found.extension) if found else None


def check(kind: MediaKind, data: bytes) -> MediaType:
    """The type of a file that came, or is to be sent, as `kind`.

    Raises:
        MediaRefused: it is empty, larger than `LIMITS` allows, or of no type that WeChat has for this kind.
    """
    if not data:
        raise MediaRefused("empty")
    if len(data) > LIMITS[kind]:
        raise MediaRefused("too_large")
    found = identify(data)
    if found is None or found.mime not in _TYPES[kind]:
        raise MediaRefused("not_allowed")
    return found
