"""Changing `DATA_KEY`.

First every data key is wrapped anew, in batches, while the service runs with both keys. The blind indexes still come from
the old key then, so that everybody is still found; `finish`, with the service stopped, makes them anew, and the old key
is needed by nothing more.
"""

import uuid
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

import bot.care.roster  # noqa: F401 - a person can be written only where the table of its doctor is known
from bot.care.patients import Person
from bot.outbox.rows import Outbox
from bot.store import audit
from bot.store.accounts import Account, blind_openid
from bot.store.database import Database, vault_of
from bot.store.vault import Unreadable, Vault
from bot.web.sessions import LoginTrouble

BATCH = 500
_HOLDERS: tuple[tuple[type[Account] | type[Person], str], ...] = ((Account, "account"), (Person, "person"))


class CannotRotate(Exception):
    """The keys given do not do; says why."""


async def rewrap(database: Database, new: Vault, *, batch: int = BATCH) -> int:
    """Wrap every data key by the new key; returns how many were not yet. Stopped half-way, it may be run again.

    The database's vault has both keys, the new one first; `new` has that one alone.

    Raises:
        CannotRotate: the two keys cannot be told apart in what they wrap.
    """
    moved = 0
    for holder, owner in _HOLDERS:
        last = uuid.UUID(int=0)
        while True:
            async with database.transaction() as session:
                vault = vault_of(session)
                statement = select(holder.id, holder.wrapped_key).where(holder.id > last)
                # Locked, so that a key destroyed meanwhile is not written back.
                rows = (await session.execute(statement.order_by(holder.id).limit(batch).with_for_update())).all()
                for row_id, wrapped in rows:
                    if wrapped and not _opens(new, wrapped, owner):
                        anew = vault.rewrap(wrapped, owner)
                        if not _opens(new, anew, owner):
                            raise CannotRotate(
                                "DATA_KEY and DATA_KEY_PREVIOUS go by the same one-byte name: make another"
                            )
                        await session.execute(update(holder).where(holder.id == row_id).values(wrapped_key=anew))
                        moved += 1
            if not rows:
                break
            last = rows[-1][0]
    async with database.transaction() as session:
        _note(session, "data_keys_rewrapped", keys=moved)
    return moved


async def finish(database: Database, new: Vault, *, batch: int = BATCH) -> int:
    """Make all that was derived from the old key anew, in one transaction; returns how many index entries.

    Raises:
        CannotRotate: `rewrap` has not gone through all keys.
    """
    made = 0
    async with database.transaction() as session:
        await session.execute(text("lock table account, person, outbox, login_trouble in exclusive mode"))
        old = vault_of(session)
        for holder, _ in _HOLDERS:
            last = uuid.UUID(int=0)
            while True:
                statement = select(holder).where(holder.id > last).order_by(holder.id).limit(batch)
                rows: list[Any] = list(await session.scalars(statement))
                for row in rows:
                    made += _index_anew(row, new)
                if not rows:
                    break
                last = rows[-1].id
                await session.flush()
                session.expunge_all()
        for owed in await session.scalars(select(Outbox).where(Outbox.account_id.is_(None))):
            packed = old.own_key.unseal(owed.content_sealed, "outbox", "content", owed.id)
            owed.content_sealed = new.own_key.seal(packed, "outbox", "content", owed.id)
        # A quarter of an hour of failed log-ins, counted under names that nothing finds any more.
        await session.execute(delete(LoginTrouble))
        _note(session, "data_key_replaced", index_entries=made)
    return made


def _opens(vault: Vault, wrapped: bytes, owner: str) -> bool:
    try:
        vault.unwrap(wrapped, owner)
    except Unreadable:
        return False
    return True


def _index_anew(row: Account | Person, new: Vault) -> int:
    if not row.wrapped_key:
        return 0
    if not _opens(new, row.wrapped_key, row.__tablename__):
        raise CannotRotate("some keys are still wrapped by DATA_KEY_PREVIOUS: run `python -m bot keys rotate` first")
    if isinstance(row, Account):
        row.openid_blind = blind_openid(new, row.openid(new))
        return 1
    name = row.name(new)
    if name is None:
        return 0
    row.set_name(new, name)
    return 1


def _note(session: AsyncSession, act: str, **details: int) -> None:
    audit.record(session, act, actor_kind="system", actor_id=None, subject_kind="account", subject_id=None, **details)
