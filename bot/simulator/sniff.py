"""What a file is, by its first bytes: the handful of kinds that WeChat takes."""

from __future__ import annotations

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF8", "image/gif", "gif"),
    (b"#!AMR", "audio/amr", "amr"),
    (b"ID3", "audio/mpeg", "mp3"),
    (b"\xff\xfb", "audio/mpeg", "mp3"),
    (b"\xff\xf3", "audio/mpeg", "mp3"),
    (b"OggS", "audio/ogg", "ogg"),
    (b"%PDF", "application/pdf", "pdf"),
)


def kind_of(data: bytes) -> tuple[str, str]:
    """MIME type and extension."""
    for magic, mime, extension in _MAGIC:
        if data.startswith(magic):
            return mime, extension
    if data[4:8] == b"ftyp":
        return "video/mp4", "mp4"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp", "webp"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav", "wav"
    return "application/octet-stream", "bin"
