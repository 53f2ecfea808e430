"""Signatures and AES of the push protocol, written apart from the app's on purpose."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 32


class BadEnvelope(Exception):
    """An encrypted reply that WeChat would not take; the text says why."""


def signature(*parts: str) -> str:
    """sha1 over the sorted parts, as WeChat signs every push."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


class Envelope:
    """Seals and opens messages of one official account (AES-256-CBC, PKCS#7 with block 32)."""

    def __init__(self, *, token: str, aes_key: str, app_id: str) -> None:
        self.token = token
        self.app_id = app_id
        self._key = base64.b64decode(aes_key + "=")

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16]))

    def seal(self, xml: str) -> str:
        """Encrypt a message: 16 random bytes, length, XML, app id."""
        body = xml.encode()
        data = secrets.token_bytes(16) + struct.pack(">I", len(body)) + body + self.app_id.encode()
        pad = _BLOCK - len(data) % _BLOCK
        encryptor = self._cipher().encryptor()
        return base64.b64encode(encryptor.update(data + bytes([pad]) * pad) + encryptor.finalize()).decode()

    def open(self, sealed: str) -> str:
        """Decrypt a reply.

        Raises:
            BadEnvelope: not base64, wrong length, padding, or sealed for another app.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            decryptor = self._cipher().decryptor()
            data = decryptor.update(raw) + decryptor.finalize()
        except (binascii.Error, ValueError) as error:
            raise BadEnvelope(f"cannot be decrypted: {error}") from None
        pad = data[-1] if data else 0
        if not 1 <= pad <= _BLOCK or data[-pad:] != bytes([pad]) * pad:
            raise BadEnvelope("wrong padding")
        data = data[:-pad]
        if len(data) < 20:
            raise BadEnvelope("too short")
        (size,) = struct.unpack(">I", data[16:20])
        if len(data) < 20 + size:
            raise BadEnvelope("length field points beyond the end")
        if data[20 + size :].decode(errors="replace") != self.app_id:
            raise BadEnvelope("sealed for another app id")
        return data[20 : 20 + size].decode()

    def signs(self, sealed: str, *, timestamp: str, nonce: str, claimed: str) -> bool:
        """Whether `claimed` is this account's signature over an encrypted reply."""
        return hmac.compare_digest(signature(self.token, timestamp, nonce, sealed), claimed)
