"""Changing DATA_KEY: nothing is lost on the way, nobody is not found, and in the end the old key is needed for nothing."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy import func, select

from bot import rotation
from bot.care.patients import Person
from bot.outbox.rows import Content, Kind, Outbox, content_of, owe
from bot.store import accounts
from bot.store.accounts import Account
from bot.store.audit import AuditEntry
from bot.store.base import new_id
from bot.store.database import Database
from bot.store.vault import Unreadable, Vault

OLD, NEW = bytes(32), bytes(range(32))


@pytest.fixture
async def lived_in(database_url: str, now: datetime) -> AsyncIterator[str]:
    """A database as the old key left it: 7 accounts, 3 persons, one of them erased, an alert for the gateway."""
    database = Database(database_url, Vault([OLD]))
    async with database.transaction() as session:
        for number in range(7):
            await accounts.find_or_create(session, f"open-{number}", now=now)
        for number in range(3):
            person = Person(id=new_id(), wrapped_key=database.vault.new_key("person"), created_at=now)
            person.set_name(database.vault, f"名字{number}")
            session.add(person)
        await session.flush()
        person.wrapped_key = None
        person.erased_at = now
        await owe(session, None, Kind.ALERT, Content("有急事"), cause="alert:1")
    await database.close()
    yield database_url


@pytest.fixture
async def between(lived_in: str) -> AsyncIterator[Database]:
    """The service while keys are changed: it has both."""
    database = Database(lived_in, Vault([NEW, OLD]))
    yield database
    await database.close()


@pytest.fixture
async def after(lived_in: str) -> AsyncIterator[Database]:
    """The service once DATA_KEY_PREVIOUS is gone."""
    database = Database(lived_in, Vault([NEW]))
    yield database
    await database.close()


async def found(database: Database, number: int) -> str | None:
    async with database.reading() as session:
        blind = accounts.blind_openid(database.vault, f"open-{number}")
        account = await session.scalar(select(Account).where(Account.openid_blind == blind))
        return account.openid(database.vault) if account is not None else None


async def test_every_living_key_is_wrapped_anew_whatever_the_size_of_the_batch(between: Database) -> None:
    assert await rotation.rewrap(between, Vault([NEW]), batch=3) == 9


async def test_wrapping_again_finds_nothing_to_do(between: Database) -> None:
    await rotation.rewrap(between, Vault([NEW]))
    assert await rotation.rewrap(between, Vault([NEW])) == 0


async def test_a_rotation_stopped_half_way_is_gone_on_with(between: Database) -> None:
    async with between.transaction() as session:
        account = (await session.scalars(select(Account).limit(1))).one()
        assert account.wrapped_key is not None
        account.wrapped_key = between.vault.rewrap(account.wrapped_key, "account")
    assert await rotation.rewrap(between, Vault([NEW])) == 8


async def test_an_erased_persons_key_stays_destroyed(between: Database) -> None:
    await rotation.rewrap(between, Vault([NEW]))
    await rotation.finish(between, Vault([NEW]))
    async with between.reading() as session:
        erased = (await session.scalars(select(Person).where(Person.erased_at.is_not(None)))).one()
        assert erased.wrapped_key is None
        with pytest.raises(Unreadable):
            erased.key(between.vault)


async def test_everybody_is_found_while_the_service_has_both_keys(between: Database) -> None:
    await rotation.rewrap(between, Vault([NEW]))
    assert [await found(between, number) for number in range(7)] == [f"open-{number}" for number in range(7)]


async def test_once_finished_the_new_key_alone_finds_and_opens_everything(between: Database, after: Database) -> None:
    await rotation.rewrap(between, Vault([NEW]))
    assert await found(after, 0) is None

    assert await rotation.finish(between, Vault([NEW]), batch=2) == 9

    assert [await found(after, number) for number in range(7)] == [f"open-{number}" for number in range(7)]
    async with after.reading() as session:
        blind = after.vault.blind("名字1", "name")
        person = (await session.scalars(select(Person).where(Person.name_blind == blind))).one()
        assert person.name(after.vault) == "名字1"
        alert = (await session.scalars(select(Outbox))).one()
        assert content_of(alert, None, session).text == "有急事"


async def test_it_is_not_finished_while_a_key_is_still_wrapped_by_the_old_one(between: Database, lived_in: str) -> None:
    with pytest.raises(rotation.CannotRotate, match="still wrapped"):
        await rotation.finish(between, Vault([NEW]))
    before = Database(lived_in, Vault([OLD]))
    assert await found(before, 3) == "open-3"
    await before.close()


async def test_two_keys_that_go_by_one_name_are_refused_and_nothing_is_lost(lived_in: str) -> None:
    before = Vault([OLD])
    name = before.new_key("account")[0]
    twin = next(key for n in range(10_000) if Vault([key := n.to_bytes(32, "big")]).new_key("account")[0] == name and n)
    with pytest.raises(ValueError, match="make another"):
        Vault([twin, OLD])
    between = Database(lived_in, before)
    with pytest.raises(rotation.CannotRotate, match="make another"):
        await rotation.rewrap(between, Vault([twin]))
    await between.close()
    again = Database(lived_in, before)
    assert await found(again, 0) == "open-0"
    await again.close()


async def test_the_audit_tells_that_keys_were_changed(between: Database) -> None:
    await rotation.rewrap(between, Vault([NEW]))
    await rotation.finish(between, Vault([NEW]))
    async with between.reading() as session:
        acts = (await session.scalars(select(AuditEntry.act).order_by(AuditEntry.at))).all()
        assert acts == ["data_keys_rewrapped", "data_key_replaced"]
        assert await session.scalar(select(func.count()).select_from(Account)) == 7
