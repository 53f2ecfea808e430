"""Files are what their content says, and no larger than WeChat has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.wechat.media import LIMITS, MediaKind, MediaRefused, MediaType, check, identify

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
GIF = b"GIF89a\x01\x00\x01\x00"
AMR = b"#!AMR\n\x3c" + b"\x00" * 31
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
PDF = b"%PDF-1.7\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'


def reason(kind: MediaKind, data: bytes) -> str:
    with pytest.raises(MediaRefused) as refused:
        check(kind, data)
    return refused.value.reason


@pytest.mark.parametrize(
    ("kind", "data", "mime"),
    [
        ("image", JPEG, "image/jpeg"),
        ("image", PNG, "image/png"),
        ("image", GIF, "image/gif"),
        ("voice", AMR, "audio/amr"),
        ("voice", MP3, "audio/mpeg"),
        ("video", MP4, "video/mp4"),
        ("thumb", JPEG, "image/jpeg"),
    ],
)
def test_a_file_of_its_kind_is_recognised(kind: MediaKind, data: bytes, mime: str) -> None:
    assert check(kind, data).mime == mime


@pytest.mark.parametrize("kind", ["image", "voice", "video", "thumb"])
@pytest.mark.parametrize("data", [PDF, SVG, b"MZ\x90\x00", b"#!/bin/sh\n", b"<html>", b"\x00" * 64])
def test_what_wechat_does_not_have_is_not_allowed(kind: MediaKind, data: bytes) -> None:
    assert reason(kind, data) == "not_allowed"


@pytest.mark.parametrize(("kind", "data"), [("image", MP4), ("voice", JPEG), ("video", AMR), ("thumb", PNG)])
def test_a_file_of_another_kind_is_not_allowed(kind: MediaKind, data: bytes) -> None:
    assert reason(kind, data) == "not_allowed"


def test_an_empty_file_is_refused() -> None:
    assert reason("image", b"") == "empty"
    assert identify(b"") is None


@pytest.mark.parametrize(("kind", "head"), [("image", JPEG), ("voice", AMR), ("video", MP4), ("thumb", JPEG)])
def test_each_kind_has_its_limit(kind: MediaKind, head: bytes) -> None:
    whole = head + b"\x00" * (LIMITS[kind] - len(head))
    assert isinstance(check(kind, whole), MediaType)
    assert reason(kind, whole + b"\x00") == "too_large"


@given(st.sampled_from(["image", "voice", "video", "thumb"]), st.binary(max_size=300))
def test_arbitrary_bytes_are_typed_or_refused(kind: MediaKind, data: bytes) -> None:
    try:
        found = check(kind, data)
    except MediaRefused:
        return
    assert found == identify(data)
