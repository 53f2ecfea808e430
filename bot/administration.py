"""What the operator does from the command line: the first account of staff."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.roster import Role, Staff
from bot.store import audit
from bot.store.base import new_id
from bot.web.passwords import hash_password

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200


class Unacceptable(Exception):
    """The account cannot be made like this; says why."""


async def create_admin(session: AsyncSession, *, login: str, name: str, password: str) -> Staff:
    """Make an administrator who can log in at once.

    Raises:
        Unacceptable: the login is taken or empty, or the password too short, too long or too plain.
    """
    login = login.strip()
    if not login or any(character.isspace() for character in login):
        raise Unacceptable("the login may not be empty or hold spaces")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Unacceptable(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; nothing was changed")
    if len(set(password)) < 5 or login in password:
        raise Unacceptable("this password is too plain; nothing was changed")
    if await session.scalar(select(Staff.id).where(Staff.login == login)) is not None:
        raise Unacceptable(f"the login {login} is taken; nothing was changed")
    staff = Staff(
        id=new_id(),
        login=login,
        name=name,
        role=Role.ADMINISTRATOR,
        password_hash=hash_password(password),
        active=True,
        created_at=clock.now(),
    )
    session.add(staff)
    await session.flush()
    audit.record(
        session, "administrator_created", actor_kind="system", actor_id=None, subject_kind="staff", subject_id=staff.id
    )
    return staff
