"""The first administrator: made from the command line, able to log in, never with a poor password."""

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import administration
from bot.care.roster import Role, Staff
from bot.store.audit import AuditEntry
from bot.web.passwords import verify_password

GOOD = "correct horse battery"


async def test_an_administrator_can_log_in_with_the_password_given(session: AsyncSession, now: datetime) -> None:
    await administration.create_admin(session, login="amy", name="管理员", password=GOOD)
    staff = (await session.scalars(select(Staff).where(Staff.login == "amy"))).one()
    assert staff.role is Role.ADMINISTRATOR
    assert staff.active
    assert staff.password_hash is not None
    assert GOOD not in staff.password_hash
    assert (await verify_password(staff.password_hash, GOOD, asyncio.Semaphore(1)))[0]
    assert not (await verify_password(staff.password_hash, GOOD + "!", asyncio.Semaphore(1)))[0]


async def test_the_audit_tells_who_was_made(session: AsyncSession) -> None:
    staff = await administration.create_admin(session, login="amy", name="管理员", password=GOOD)
    entry = (await session.scalars(select(AuditEntry).where(AuditEntry.subject_id == staff.id))).one()
    assert (entry.act, entry.actor_kind) == ("administrator_created", "system")


@pytest.mark.parametrize(
    "password", ["", "short", "elevenchars", "a" * 12, "abababababab", "amy-amy-amy-amy", "x1y2" * 51]
)
async def test_a_poor_password_is_refused(session: AsyncSession, password: str) -> None:
    with pytest.raises(administration.Unacceptable) as refused:
        await administration.create_admin(session, login="amy", name="管理员", password=password)
    assert not password or password not in str(refused.value)
    assert (await session.scalars(select(Staff))).all() == []


@pytest.mark.parametrize("login", ["", "  ", "two words"])
async def test_a_login_is_one_word(session: AsyncSession, login: str) -> None:
    with pytest.raises(administration.Unacceptable, match="login"):
        await administration.create_admin(session, login=login, name="管理员", password=GOOD)


async def test_a_login_in_use_is_not_taken_over(session: AsyncSession) -> None:
    first = await administration.create_admin(session, login="amy", name="管理员", password=GOOD)
    kept = first.password_hash
    with pytest.raises(administration.Unacceptable, match="taken"):
        await administration.create_admin(session, login="amy", name="另一位", password=GOOD + "2")
    assert (await session.scalars(select(Staff))).one().password_hash == kept
