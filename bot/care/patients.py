"""Who a patient is: the person behind a record, the accounts that act for them, and what they agreed to.

An account (one WeChat user) may act for several persons (itself, a child, a parent), and a person may be cared for by
several accounts. Clinical rows hang on the person, messages on the account.
"""

import uuid
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.store import audit
from bot.store.accounts import Account
from bot.store.base import Base, new_id
from bot.store.database import vault_of
from bot.store.vault import Key, Vault

CONSENT_VERSION = 1


class Relation(StrEnum):
    """How an account stands to the person it acts for."""

    SELF = "self"
    GUARDIAN = "guardian"
    PROXY = "proxy"


class Person(Base):
    """Somebody with a record. Name and numbers are sealed under the person's own key."""

    __tablename__ = "person"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    wrapped_key: Mapped[bytes | None]
    name_sealed: Mapped[bytes | None]
    name_blind: Mapped[bytes | None] = mapped_column(index=True)
    born_on: Mapped[date | None]
    sex: Mapped[str | None]
    diagnosed_on: Mapped[date | None]
    spleen_removed: Mapped[bool | None]
    pregnant: Mapped[bool | None]
    hospital_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("hospital.id"), index=True)
    doctor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"), index=True)
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]

    def key(self, vault: Vault) -> Key:
        """The person's data key."""
        return vault.unwrap(self.wrapped_key, "person")

    def name(self, vault: Vault) -> str | None:
        """The name, if it was told."""
        if self.name_sealed is None:
            return None
        return self.key(vault).unseal(self.name_sealed, "person", "name", self.id)

    def set_name(self, vault: Vault, name: str) -> None:
        """Store the name sealed, with a blind index to find it by."""
        self.name_sealed = self.key(vault).seal(name, "person", "name", self.id)
        self.name_blind = vault.blind(name, "name")

    def age(self, on: date) -> int | None:
        """Full years on a day."""
        if self.born_on is None:
            return None
        return on.year - self.born_on.year - ((on.month, on.day) < (self.born_on.month, self.born_on.day))


class ActsFor(Base):
    """Which account tells about which person. `chosen` marks the one it speaks about when it does not say."""

    __tablename__ = "acts_for"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    relation: Mapped[Relation]
    chosen: Mapped[bool] = mapped_column(default=False)
    since: Mapped[datetime]


class Consent(Base):
    """One agreement of one account to one version of the text. Withdrawing ends it, nothing deletes it."""

    __tablename__ = "consent"
    __table_args__ = (Index("ix_consent_account_id", "account_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    version: Mapped[int]
    given_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


async def has_consented(session: AsyncSession, account_id: uuid.UUID) -> bool:
    """Whether the account's agreement to the present text stands."""
    statement = select(Consent.id).where(
        Consent.account_id == account_id, Consent.version >= CONSENT_VERSION, Consent.withdrawn_at.is_(None)
    )
    return await session.scalar(statement.limit(1)) is not None


async def give_consent(session: AsyncSession, account: Account) -> Person:
    """The account agrees; from now on its texts build a record. Repeating it changes nothing."""
    # Two requests at once must not make two persons.
    await session.get_one(Account, account.id, with_for_update=True)
    if not await has_consented(session, account.id):
        session.add(Consent(account_id=account.id, version=CONSENT_VERSION, given_at=clock.now()))
        audit.record(
            session,
            "consent_given",
            actor_kind="patient",
            actor_id=account.id,
            subject_kind="account",
            subject_id=account.id,
            version=CONSENT_VERSION,
        )
    person = await person_of(session, account.id)
    return person if person is not None else await add_person(session, account, Relation.SELF)


async def withdraw_consent(session: AsyncSession, account: Account) -> bool:
    """The account takes its agreement back; what is stored stays until it asks for deletion."""
    statement = select(Consent).where(Consent.account_id == account.id, Consent.withdrawn_at.is_(None))
    standing = list(await session.scalars(statement))
    for consent in standing:
        consent.withdrawn_at = clock.now()
    if standing:
        audit.record(
            session,
            "consent_withdrawn",
            actor_kind="patient",
            actor_id=account.id,
            subject_kind="account",
            subject_id=account.id,
        )
    return bool(standing)


async def add_person(session: AsyncSession, account: Account, relation: Relation) -> Person:
    """A new record that this account acts for, and speaks about from now on."""
    vault = vault_of(session)
    person = Person(
        id=new_id(),
        wrapped_key=vault.new_key("person"),
        hospital_id=account.scanned_hospital_id,
        created_at=clock.now(),
    )
    session.add(person)
    await session.flush()
    for other in await session.scalars(select(ActsFor).where(ActsFor.account_id == account.id)):
        other.chosen = False
    session.add(ActsFor(account_id=account.id, person_id=person.id, relation=relation, chosen=True, since=clock.now()))
    await session.flush()
    return person


async def person_of(session: AsyncSession, account_id: uuid.UUID) -> Person | None:
    """The person this account speaks about when it does not say, or None before consent."""
    statement = (
        select(Person)
        .join(ActsFor, ActsFor.person_id == Person.id)
        .where(ActsFor.account_id == account_id)
        .order_by(ActsFor.chosen.desc(), ActsFor.since)
        .limit(1)
    )
    return await session.scalar(statement)


async def accounts_of(session: AsyncSession, person_id: uuid.UUID) -> list[Account]:
    """The accounts that act for a person, the longest standing first."""
    statement = (
        select(Account).join(ActsFor, ActsFor.account_id == Account.id).where(ActsFor.person_id == person_id)
    ).order_by(ActsFor.since)
    return list(await session.scalars(statement))
