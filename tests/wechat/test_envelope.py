"""Section 1 of the protocol: who may speak to us, and how what they say is opened."""

import base64
import time

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from bot.wechat.envelope import REASONS, Envelope, Mode, Refused, signature

from .other_side import WeChatSide


def reason(envelope: Envelope, query: dict[str, str], body: bytes) -> str:
    with pytest.raises(Refused) as refused:
        envelope.open(query, body)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


def sealed_raw(wechat: WeChatSide, plain: bytes) -> tuple[dict[str, str], bytes]:
    """A correctly signed push of exactly these decrypted bytes."""
    key = base64.b64decode(wechat.aes_key + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    encrypt = base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()
    return wechat.query(encrypt=encrypt), f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode()


def packed(wechat: WeChatSide, xml: bytes, *, app_id: str | None = None, size: int | None = None) -> bytes:
    """Random bytes, length, XML and app id, not padded."""
    length = (len(xml) if size is None else size).to_bytes(4, "big")
    return b"r" * 16 + length + xml + (wechat.app_id if app_id is None else app_id).encode()


def padded(plain: bytes) -> bytes:
    padding = 32 - len(plain) % 32
    return plain + bytes([padding]) * padding


@pytest.mark.parametrize(
    ("timestamp", "nonce", "expected"),
    [
        ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ],
)
def test_a_recorded_handshake_of_wechat_is_answered_with_its_echo(
    timestamp: str, nonce: str, expected: str, wechat: WeChatSide
) -> None:
    assert signature("AAAAA", timestamp, nonce) == expected
    envelope = wechat.envelope(token="AAAAA", max_age_seconds=10**9)
    query = {"signature": expected, "timestamp": timestamp, "nonce": nonce, "echostr": "5838479218127813673"}
    assert envelope.handshake(query) == "5838479218127813673"


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
def test_the_handshake_is_the_same_in_every_mode(mode: Mode, wechat: WeChatSide) -> None:
    assert wechat.envelope(mode).handshake(wechat.query(echostr="echo")) == "echo"


@pytest.mark.parametrize("wrong", ["", "0" * 40, "签名", "\udcff", "F464B24FC39322E44B38AA78F5EDD27BD1441696"])
def test_a_wrong_or_missing_signature_fails_the_handshake(wrong: str, wechat: WeChatSide) -> None:
    for query in (wechat.query(echostr="echo", signature=wrong), {}):
        with pytest.raises(Refused) as refused:
            wechat.envelope().handshake(query)
        assert refused.value.reason == "signature"


def test_a_handshake_recorded_long_ago_is_refused(wechat: WeChatSide) -> None:
    with pytest.raises(Refused) as refused:
        wechat.envelope().handshake(wechat.query(echostr="echo", age=601))
    assert refused.value.reason == "freshness"


@pytest.mark.parametrize("token", ["", "   "])
def test_an_empty_token_is_refused_at_start(token: str, wechat: WeChatSide) -> None:
    with pytest.raises(ValueError, match="token is empty"):
        wechat.envelope(token=token)


@pytest.mark.parametrize("key", ["", "short", "x" * 44, "!" * 43])
def test_a_key_that_is_none_is_refused_at_start_without_being_quoted(key: str, wechat: WeChatSide) -> None:
    with pytest.raises(ValueError, match="AES key is not the 43") as wrong:
        wechat.envelope(aes_key=key)
    assert not key or key not in str(wrong.value)
    with pytest.raises(ValueError, match="previous AES key"):
        wechat.envelope(previous_aes_key=key or "short")


def test_an_unknown_mode_or_an_empty_app_id_is_refused_at_start(wechat: WeChatSide) -> None:
    with pytest.raises(ValueError, match="mode"):
        wechat.envelope("raw")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="app id"):
        wechat.envelope(app_id="")


def test_plain_mode_is_refused_in_production(wechat: WeChatSide) -> None:
    with pytest.raises(ValueError, match="production"):
        wechat.envelope("plain", production=True)
    assert wechat.envelope("safe", production=True).mode == "safe"


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
def test_a_push_is_opened_in_each_mode(mode: Mode, wechat: WeChatSide) -> None:
    inbound = wechat.envelope(mode).open(*wechat.push(wechat.xml(Content="血小板 23"), mode))
    assert (inbound.openid, inbound.text) == (wechat.openid, "血小板 23")


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
def test_an_unsigned_push_is_refused_in_each_mode(mode: Mode, wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"), mode)
    for name in ("signature", "msg_signature"):
        query.pop(name, None)
    assert reason(wechat.envelope(mode), query, body) == "signature"


def test_the_signature_covers_the_encrypted_body(wechat: WeChatSide) -> None:
    query, _ = wechat.push(wechat.xml(Content="你好"))
    _, other = wechat.push(wechat.xml(Content="另一句"))
    assert reason(wechat.envelope(), query, other) == "signature"


def test_the_plain_signature_does_not_open_safe_mode(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"))
    query["msg_signature"] = query["signature"]
    assert reason(wechat.envelope(), query, body) == "signature"


@pytest.mark.parametrize("mode", ["compatible", "safe"])
def test_a_body_in_clear_is_refused_where_encryption_was_agreed(mode: Mode, wechat: WeChatSide) -> None:
    xml = wechat.xml(Content="你好")
    assert reason(wechat.envelope(mode), wechat.query(), xml.encode()) == "mode"


def test_an_encrypted_push_is_refused_in_plain_mode(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"))
    assert reason(wechat.envelope("plain"), query, body) == "mode"


def test_in_compatible_mode_only_the_decrypted_fields_are_believed(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="真的"), "compatible")
    forged = body.replace("真的".encode(), "假的".encode()).replace(wechat.openid.encode(), b"oAttacker")
    inbound = wechat.envelope("compatible").open(query, forged)
    assert (inbound.openid, inbound.text) == (wechat.openid, "真的")


def test_two_encrypted_parts_are_refused(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"))
    twice = body.replace(b"</xml>", b"<Encrypt>AAAA</Encrypt></xml>")
    assert reason(wechat.envelope(), query, twice) == "mode"


@pytest.mark.parametrize("age", [601, -660, 86400])
@pytest.mark.parametrize("mode", ["plain", "safe"])
def test_a_replayed_push_is_refused(mode: Mode, age: int, wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"), mode, age=age)
    assert reason(wechat.envelope(mode), query, body) == "freshness"


@pytest.mark.parametrize("age", [590, -540])
def test_a_push_within_ten_minutes_is_fresh_and_the_bound_is_a_setting(age: int, wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"), age=age)
    assert wechat.envelope().open(query, body).text == "你好"
    assert reason(wechat.envelope(max_age_seconds=300), query, body) == "freshness"


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "١٢٣", "9" * 40])
def test_a_timestamp_that_is_none_is_refused_though_signed(timestamp: str, wechat: WeChatSide) -> None:
    query = {"timestamp": timestamp, "nonce": "n", "signature": signature(wechat.token, timestamp, "n")}
    assert reason(wechat.envelope("plain"), query, wechat.xml(Content="你好").encode()) == "freshness"


def test_an_oversized_body_is_refused_and_one_at_the_limit_is_not(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="字" * 10_000))
    assert len(body) < 65536
    assert len(wechat.envelope().open(query, body).text) == 10_000
    assert wechat.envelope(max_bytes=len(body)).open(query, body).text
    assert reason(wechat.envelope(max_bytes=len(body) - 1), query, body) == "size"


def test_a_truncated_body_is_refused_wherever_it_is_cut(wechat: WeChatSide) -> None:
    for mode in ("plain", "safe"):
        query, body = wechat.push(wechat.xml(Content="血小板 23"), mode)
        for end in range(0, len(body), 7):
            assert reason(wechat.envelope(mode), query, body[:end]) in ("xml", "encoding")


def test_a_body_sealed_for_another_app_is_refused(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"), app_id="wx-of-another")
    assert reason(wechat.envelope(), query, body) == "app_id"


@pytest.mark.parametrize("app_id", ["", "wx-of-the-test", "wx-of-the-tests!", "WX-OF-THE-TESTS"])
def test_an_app_id_that_only_resembles_ours_is_refused(app_id: str, wechat: WeChatSide) -> None:
    plain = padded(packed(wechat, wechat.xml(Content="你好").encode(), app_id=app_id))
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain)) == "app_id"


@pytest.mark.parametrize("last", [0, 33, 255])
def test_padding_outside_1_to_32_is_refused(last: int, wechat: WeChatSide) -> None:
    plain = bytearray(padded(packed(wechat, wechat.xml(Content="你好").encode())))
    plain[-1] = last
    assert reason(wechat.envelope(), *sealed_raw(wechat, bytes(plain))) == "padding"


def test_padding_of_more_than_a_block_is_refused_though_its_bytes_agree(wechat: WeChatSide) -> None:
    plain = packed(wechat, wechat.xml(Content="你好").encode())
    padding = 32 - len(plain) % 32 + 32
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain + bytes([padding]) * padding)) == "padding"


def test_padding_bytes_that_differ_are_refused(wechat: WeChatSide) -> None:
    plain = packed(wechat, wechat.xml(Content="你好").encode())
    plain += b" " * (-(len(plain) + 5) % 32)
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain + b"\x01\x05\x05\x05\x05")) == "padding"


def test_padding_to_16_bytes_only_is_refused(wechat: WeChatSide) -> None:
    plain = packed(wechat, wechat.xml(Content="你好").encode())
    plain += b"x" * (-(len(plain) + 4) % 16) + b"\x04" * 4
    plain += b"" if len(plain) % 32 else b"\x10" * 16
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain)) == "length"


@pytest.mark.parametrize("size", [2**32 - 1, 100_000])
def test_a_stated_length_beyond_the_content_is_refused(size: int, wechat: WeChatSide) -> None:
    plain = padded(packed(wechat, wechat.xml(Content="你好").encode(), size=size))
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain)) == "length"


@pytest.mark.parametrize("size", [0, 5])
def test_a_stated_length_short_of_the_content_is_refused(size: int, wechat: WeChatSide) -> None:
    plain = padded(packed(wechat, wechat.xml(Content="你好").encode(), size=size))
    assert reason(wechat.envelope(), *sealed_raw(wechat, plain)) == "app_id"


def test_a_block_too_short_for_its_header_is_refused(wechat: WeChatSide) -> None:
    assert reason(wechat.envelope(), *sealed_raw(wechat, b"r" * 18 + b"\x0e" * 14)) == "length"


@pytest.mark.parametrize("encrypt", ["%%%", "中文", "AAA", "AAAA AAAA"])
def test_what_is_not_base64_is_refused(encrypt: str, wechat: WeChatSide) -> None:
    body = f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode()
    assert reason(wechat.envelope(), wechat.query(encrypt=encrypt), body) == "encoding"


@pytest.mark.parametrize("cut", [1, 16, 31])
def test_a_ciphertext_that_is_no_whole_number_of_blocks_is_refused(cut: int, wechat: WeChatSide) -> None:
    encrypt = base64.b64encode(base64.b64decode(wechat.seal(wechat.xml(Content="你好")))[:-cut]).decode()
    body = f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode()
    assert reason(wechat.envelope(), wechat.query(encrypt=encrypt), body) == "length"


def test_another_key_is_refused_and_the_previous_one_opens_during_rotation(wechat: WeChatSide) -> None:
    query, body = wechat.push(wechat.xml(Content="你好"), aes_key=wechat.other_aes_key)
    assert reason(wechat.envelope(), query, body) in ("padding", "length", "app_id")
    rotating = wechat.envelope(previous_aes_key=wechat.other_aes_key)
    assert rotating.open(query, body).text == "你好"
    assert rotating.open(*wechat.push(wechat.xml(Content="新的"))).text == "新的"
    assert wechat.read_reply(rotating.seal(wechat.xml(Content="答")))["Content"] == "答"


@pytest.mark.parametrize("mode", ["compatible", "safe"])
def test_a_reply_is_encrypted_and_signed_where_pushes_are(mode: Mode, wechat: WeChatSide) -> None:
    sealed = wechat.envelope(mode).seal(wechat.xml(Content="先坐下，别用力 🙂"))
    assert "先坐下" not in sealed
    assert wechat.read_reply(sealed)["Content"] == "先坐下，别用力 🙂"
    assert wechat.envelope(mode).seal("<xml/>") != wechat.envelope(mode).seal("<xml/>")


def test_a_reply_is_left_in_clear_in_plain_mode(wechat: WeChatSide) -> None:
    assert wechat.envelope("plain").seal("<xml/>") == "<xml/>"


def test_each_refusal_is_one_word_of_a_closed_set() -> None:
    assert len(REASONS) == len(set(REASONS)) == 11


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=400))
def test_whatever_is_sealed_for_us_is_opened_unchanged(text: str) -> None:
    envelope = Envelope("wx-app", "token", "A" * 43, "safe")
    xml = (
        "<xml><ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType>"
        f"<MsgId>1</MsgId><Content><![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]></Content></xml>"
    )
    sealed = envelope.seal(xml)
    encrypt = sealed.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    timestamp = str(int(time.time()))
    query = {"timestamp": timestamp, "nonce": "n", "msg_signature": signature("token", timestamp, "n", encrypt)}
    opened = envelope.open(query, f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode())
    assert opened.text == text.replace("\ufffe", "").replace("\uffff", "")


@given(
    mode=st.sampled_from(["plain", "compatible", "safe"]),
    body=st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    query=st.dictionaries(
        st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "encrypt_type"]), st.text()
    ),
)
def test_arbitrary_requests_raise_nothing_but_a_refusal(mode: Mode, body: bytes, query: dict[str, str]) -> None:
    envelope = Envelope("wx-app", "token", "A" * 43, mode)
    with pytest.raises(Refused):
        envelope.open(query, body)
    with pytest.raises(Refused):
        envelope.handshake(query)


@given(plain=st.binary(max_size=200), tail=st.integers(0, 40))
def test_arbitrary_decrypted_bytes_raise_nothing_but_a_refusal(plain: bytes, tail: int) -> None:
    envelope = Envelope("wx-app", "token", "A" * 43, "safe")
    block = plain + bytes([tail]) * (-len(plain) % 32)
    key = base64.b64decode("A" * 43 + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    encrypt = base64.b64encode(encryptor.update(block) + encryptor.finalize()).decode()
    timestamp = str(int(time.time()))
    query = {"timestamp": timestamp, "nonce": "n", "msg_signature": signature("token", timestamp, "n", encrypt)}
    with pytest.raises(Refused):
        envelope.open(query, f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode())


@given(encrypt=st.text(alphabet="ABCDwxyz0189+/= \n", max_size=100))
def test_arbitrary_signed_ciphertexts_raise_nothing_but_a_refusal(encrypt: str) -> None:
    envelope = Envelope("wx-app", "token", "A" * 43, "safe")
    timestamp = str(int(time.time()))
    query = {"timestamp": timestamp, "nonce": "n", "msg_signature": signature("token", timestamp, "n", encrypt.strip())}
    with pytest.raises(Refused):
        envelope.open(query, f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode())
