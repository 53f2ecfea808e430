"""Encryption at rest: envelope keys and a blind index.

Each account and each person has a data key of its own, wrapped by `DATA_KEY`. Rotation re-wraps the small keys;
destroying one makes every text written under it unreadable, in backups too. Each value names the place it was written
for (table, column, row), so that a value moved to another row does not open.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Unreadable(Exception):
    """A sealed value does not open: wrong key, destroyed key, or a value moved from its place."""


def _seal(cipher: AESGCM, plain: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, place)


def _open(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
    except InvalidTag:
        raise Unreadable("a sealed value does not open") from None


@dataclass(frozen=True, slots=True)
class Key:
    """The data key of one account or one person."""

    _cipher: AESGCM

    def seal(self, text: str, table: str, column: str, row: object) -> bytes:
        """Encrypt a text for its place."""
        return _seal(self._cipher, text.encode(), f"{table}.{column}.{row}".encode())

    def unseal(self, sealed: bytes, table: str, column: str, row: object) -> str:
        """Decrypt a text read from its place.

        Raises:
            Unreadable: the key is not the one, or the value stood elsewhere.
        """
        return _open(self._cipher, sealed, f"{table}.{column}.{row}".encode()).decode()

    def seal_bytes(self, data: bytes, table: str, column: str, row: object) -> bytes:
        """Encrypt a file for its place."""
        return _seal(self._cipher, data, f"{table}.{column}.{row}".encode())

    def unseal_bytes(self, sealed: bytes, table: str, column: str, row: object) -> bytes:
        """Decrypt a file read from its place."""
        return _open(self._cipher, sealed, f"{table}.{column}.{row}".encode())


class Vault:
    """Wraps and unwraps data keys under `DATA_KEY`, and makes blind indexes.

    A wrapped key is: one byte naming the wrapping key, nonce, ciphertext. The name is the first byte of the wrapping
    key's SHA-256, so that several may be given while keys are rotated.

    >>> vault = Vault.of(base64.b64encode(bytes(32)).decode())
    >>> wrapped = vault.new_key("account")
    >>> key = vault.unwrap(wrapped, "account")
    >>> key.unseal(key.seal("头疼", "message", "text", 7), "message", "text", 7)
    '头疼'
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: wrapping keys of 32 bytes, the current one first."""
        self._wrappers = {hashlib.sha256(key).digest()[0]: AESGCM(key) for key in keys}
        if len(self._wrappers) < len(set(keys)):
            raise ValueError("two of the wrapping keys given have the same name (one byte); make another key")
        self._current = hashlib.sha256(keys[0]).digest()[0]
        # The index must outlive rotation of the wrapping key, hence it is derived from the oldest one given.
        self._index_key = hmac.digest(keys[-1], b"blind index", "sha256")
        self._open: dict[bytes, Key] = {}
        # For what belongs to no account and no person: alerts to the gateway, staff's second factors.
        self.own_key = Key(AESGCM(hmac.digest(keys[-1], b"own key", "sha256")))

    @classmethod
    def of(cls, *encoded: str) -> "Vault":
        """From keys as settings give them: base64, the current one first."""
        return cls([base64.b64decode(text) for text in encoded])

    def new_key(self, owner: str) -> bytes:
        """A fresh data key, wrapped. `owner` is `account` or `person`."""
        return self._wrap(os.urandom(32), owner)

    def _wrap(self, raw: bytes, owner: str) -> bytes:
        return bytes([self._current]) + _seal(self._wrappers[self._current], raw, owner.encode())

    def unwrap(self, wrapped: bytes | None, owner: str) -> Key:
        """The data key to work with.

        Raises:
            Unreadable: the key was destroyed, or no wrapping key given opens it.
        """
        if not wrapped:
            raise Unreadable("the key of this record was destroyed")
        if (known := self._open.get(wrapped)) is not None:
            return known
        key = Key(AESGCM(self._unwrap(wrapped, owner)))
        if len(self._open) > 50_000:
            self._open.clear()
        self._open[wrapped] = key
        return key

    def _unwrap(self, wrapped: bytes, owner: str) -> bytes:
        wrapper = self._wrappers.get(wrapped[0])
        if wrapper is None:
            raise Unreadable("wrapped by a key that was not given")
        return _open(wrapper, wrapped[1:], owner.encode())

    def rewrap(self, wrapped: bytes, owner: str) -> bytes:
        """The same data key under the current wrapping key (rotation)."""
        return self._wrap(self._unwrap(wrapped, owner), owner)

    def blind(self, text: str, purpose: str) -> bytes:
        """A value to find `text` by exact match without storing it (HMAC-SHA256, 32 bytes)."""
        return hmac.digest(self._index_key, f"{purpose}\0{text}".encode(), "sha256")
