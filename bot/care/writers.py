"""Who is behind an account that wrote: a patient who agreed, somebody who did not, or a member of staff."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Row, Uuid, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.patients import CONSENT_VERSION, ActsFor, Consent, Person
from bot.care.roster import Staff
from bot.store.accounts import Account

# Asked for each message, at each of its steps: one way to the database and a statement that is built once.
_EVERYBODY = (
    select(
        Account,
        exists().where(Staff.account_id == Account.id, Staff.active.is_(True)).label("staff"),
        exists()
        .where(Consent.account_id == Account.id, Consent.version >= CONSENT_VERSION, Consent.withdrawn_at.is_(None))
        .label("consented"),
        Person,
    )
    .select_from(Account)
    .outerjoin(ActsFor, ActsFor.account_id == Account.id)
    .outerjoin(Person, Person.id == ActsFor.person_id)
    .ext(distinct_on(Account.id))
    .order_by(Account.id, ActsFor.chosen.desc(), ActsFor.since)
)
_WHO = _EVERYBODY.where(Account.id == any_(bindparam("accounts", type_=ARRAY(Uuid()))))
_WHO_CONVERSES = _EVERYBODY.where(Account.conversation_id == bindparam("conversation"))


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a message."""

    account: Account
    person: Person | None
    consented: bool
    is_staff: bool


async def who_wrote(session: AsyncSession, account: Account) -> Writer:
    """Who is behind an account. Staff write as patients only after they said so."""
    [writer] = await who_wrote_each(session, [account])
    return writer


async def writer_of(session: AsyncSession, account_id: uuid.UUID) -> Writer:
    """The account and who is behind it, read together.

    Raises:
        NoResultFound: there is no such account.
    """
    return _writer((await session.execute(_WHO, {"accounts": [account_id]})).one())


async def writer_in(session: AsyncSession, conversation_id: uuid.UUID) -> Writer | None:
    """Who converses with the engine under this id; None when nobody does."""
    row = (await session.execute(_WHO_CONVERSES, {"conversation": conversation_id})).one_or_none()
    return _writer(row) if row is not None else None


async def who_wrote_each(session: AsyncSession, accounts: Sequence[Account]) -> list[Writer]:
    """Who is behind each of these accounts, asked for together."""
    rows = await session.execute(_WHO, {"accounts": [account.id for account in accounts]})
    found = {row.Account.id: _writer(row) for row in rows}
    return [found[account.id] for account in accounts]


def _writer(row: Row[Account, bool, bool, Person]) -> Writer:
    account = row.Account
    as_patient = account.as_patient_until is not None and account.as_patient_until > clock.now()
    person = row.Person if row.consented else None
    return Writer(account, person, row.consented, is_staff=row.staff and not as_patient)
