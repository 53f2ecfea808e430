"""Passwords at full strength."""

import asyncio

from argon2 import PasswordHasher, Type, extract_parameters

from bot.web import passwords
from bot.web.passwords import hash_password, verify_password

_FULL = hash_password("电池")


def test_a_password_is_stored_as_argon2id_no_weaker_than_the_librarys_advice():
    chosen, advised = extract_parameters(_FULL), extract_parameters(PasswordHasher().hash("x"))
    assert chosen.type is Type.ID
    assert chosen.memory_cost >= advised.memory_cost >= 2**16
    assert chosen.time_cost >= advised.time_cost
    assert "电池" not in _FULL


async def test_only_the_password_opens_and_an_older_hash_is_renewed(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    room = asyncio.Semaphore(2)
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("电池")
    right, renewed = await verify_password(weak, "电池", room)
    assert right
    assert renewed is not None
    assert await verify_password(renewed, "电池", room) != (False, None)
    assert await verify_password(weak, "电地", room) == (False, None)
    assert await verify_password("not a hash", "电池", room) == (False, None)
    assert await verify_password(None, "nobody has this password", room) == (False, None)
