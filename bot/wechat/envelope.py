"""Who may speak to the callback, and how what they say is opened: signature, freshness, AES.

wechatpy accepts an empty token, compares signatures in variable time and raises assorted errors on malformed input; so
the checks are ours and everything that is wrong is one `Refused`.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot import clock
from bot.wechat import messages
from bot.wechat.documents import read
from bot.wechat.messages import Inbound
from bot.wechat.refusal import REASONS, Reason, Refused

__all__ = ["REASONS", "Envelope", "Mode", "Reason", "Refused", "signature"]

Mode = Literal["plain", "compatible", "safe"]

_BLOCK = 32
_RANDOM = 16
_LENGTH = 4


def signature(*parts: str) -> str:
    """WeChat's signature: SHA-1 in hex over the sorted, joined parts (token, timestamp, nonce and perhaps Encrypt)."""
    joined = b"".join(sorted(part.encode("utf-8", "replace") for part in parts))
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


class Envelope:
    """One official account's callback settings.

    Args:
        app_id: the account's app id; what was sealed for another is refused.
        token: the callback token of the account's console.
        aes_key: its EncodingAESKey, 43 characters; may be empty in plain mode only.
        mode: as chosen in the console. In compatible mode only the encrypted fields are believed.
        previous_aes_key: still opens messages while the key is being changed; nothing is sealed with it.
        max_age_seconds: how far a timestamp may be from real time, before or after.
        max_bytes: the largest body that is looked at.
        production: refuses plain mode, whose signature does not cover the body.

    Raises:
        ValueError: names the setting that cannot be used.
    """

    def __init__(
        self,
        app_id: str,
        token: str,
        aes_key: str,
        mode: Mode,
        *,
        previous_aes_key: str | None = None,
        max_age_seconds: int = 600,
        max_bytes: int = 65536,
        production: bool = False,
    ) -> None:
        if not app_id.strip():
            raise ValueError("the app id is empty")
        if not token.strip():
            raise ValueError("the callback token is empty: anybody could sign for WeChat")
        if mode not in ("plain", "compatible", "safe"):
            raise ValueError("the mode is none of plain, compatible, safe")
        if mode == "plain" and production:
            raise ValueError("plain mode does not sign the body: production needs safe or compatible")
        self.mode = mode
        self.max_bytes = max_bytes
        self._app_id = app_id
        self._token = token
        self._max_age = max_age_seconds
        self._ciphers = [] if mode == "plain" else [_aes(_key(aes_key, "the AES key"))]
        if mode != "plain" and previous_aes_key:
            self._ciphers.append(_aes(_key(previous_aes_key, "the previous AES key")))

    def handshake(self, query: Mapping[str, str]) -> str:
        """What to answer when the console checks the address: its `echostr`, unencrypted in every mode.

        Raises:
            Refused: the signature is wrong or missing, or the timestamp is not of now.
        """
        self._check(query.get("signature", ""), query)
        self._fresh(query)
        return query.get("echostr", "")

    def open(self, query: Mapping[str, str], body: bytes) -> Inbound:
        """Verify, decrypt and read one push.

        Raises:
            Refused: whatever is wrong with it; nothing else is ever raised.
        """
        if len(body) > self.max_bytes:
            raise Refused("size")
        if self.mode == "plain":
            self._check(query.get("signature", ""), query)
            self._fresh(query)
            if query.get("encrypt_type", "raw") not in ("raw", ""):
                raise Refused("mode")
            return messages.parse(body)
        sealed = [(child.text or "").strip() for child in read(body) if child.tag == "Encrypt"]
        if len(sealed) != 1 or not sealed[0]:
            raise Refused("mode")
        self._check(query.get("msg_signature", ""), query, sealed[0])
        self._fresh(query)
        return messages.parse(self._decrypt(sealed[0]))

    def seal(self, reply_xml: str) -> str:
        """Wrap a passive reply for the response.

        In safe and compatible mode it is encrypted and signed, because every push accepted in those modes was
        encrypted; in plain mode it stays as it is.
        """
        if self.mode == "plain":
            return reply_xml
        sealed = self._encrypt(reply_xml.encode())
        timestamp, nonce = str(int(clock.real_now().timestamp())), secrets.token_hex(8)
        signed = signature(self._token, timestamp, nonce, sealed)
        return (
            f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt>"
            f"<MsgSignature><![CDATA[{signed}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp>"
            f"<Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        )

    def _check(self, claimed: str, query: Mapping[str, str], *signed: str) -> None:
        right = signature(self._token, query.get("timestamp", ""), query.get("nonce", ""), *signed)
        if not hmac.compare_digest(right.encode(), claimed.encode("utf-8", "replace")):
            raise Refused("signature")

    def _fresh(self, query: Mapping[str, str]) -> None:
        timestamp = query.get("timestamp", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
            raise Refused("freshness")
        if abs(clock.real_now().timestamp() - int(timestamp)) > self._max_age:
            raise Refused("freshness")

    def _decrypt(self, sealed: str) -> bytes:
        try:
            data = base64.b64decode(sealed, validate=True)
        except ValueError:
            raise Refused("encoding") from None
        if not data or len(data) % _BLOCK:
            raise Refused("length")
        refused: Refused | None = None
        for cipher in self._ciphers:
            try:
                return self._unpack(cipher.decryptor().update(data))
            except Refused as wrong:
                refused = refused or wrong
        raise refused or Refused("mode")

    def _unpack(self, plain: bytes) -> bytes:
        padding = plain[-1]
        if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise Refused("padding")
        content = plain[_RANDOM:-padding]
        size = int.from_bytes(content[:_LENGTH], "big")
        if len(content) < _LENGTH or size > len(content) - _LENGTH:
            raise Refused("length")
        if not hmac.compare_digest(content[_LENGTH + size :], self._app_id.encode()):
            raise Refused("app_id")
        return content[_LENGTH : _LENGTH + size]

    def _encrypt(self, xml: bytes) -> str:
        plain = secrets.token_bytes(_RANDOM) + len(xml).to_bytes(_LENGTH, "big") + xml + self._app_id.encode()
        padding = _BLOCK - len(plain) % _BLOCK
        data = self._ciphers[0].encryptor().update(plain + bytes([padding]) * padding)
        return base64.b64encode(data).decode()


def _aes(key: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))


def _key(text: str, name: str) -> bytes:
    try:
        key = base64.b64decode(text + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32 or len(text) != 43:
        raise ValueError(f"{name} is not the 43 letters and digits of the account's console")
    return key
