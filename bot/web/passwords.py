"""Passwords of staff: Argon2id, checked off the event loop, as long for an unknown login as for a known one."""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """How a password is stored."""
    return _hasher.hash(password)


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this password")


def _verify(stored: str | None, password: str) -> tuple[bool, str | None]:
    try:
        _hasher.verify(stored or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False, None
    if stored is None:
        return False, None
    return True, _hasher.hash(password) if _hasher.check_needs_rehash(stored) else None


async def verify_password(stored: str | None, password: str, room: asyncio.Semaphore) -> tuple[bool, str | None]:
    """Whether it is the password, and its hash by today's parameters when the stored one is older.

    `stored` None (no such login, or none set) takes as long and is never right. `room` bounds how many run at once.
    """
    async with room:
        return await asyncio.to_thread(_verify, stored, password)
