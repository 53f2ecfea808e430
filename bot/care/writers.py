"""Who is behind an account that wrote: a patient who agreed, somebody who did not, or a member of staff."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Uuid, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.patients import CONSENT_VERSION, ActsFor, Consent, Person
from bot.care.roster import Staff
from bot.store.accounts import Account

# Asked three times for each message, hence one way to the database and a statement that is built once.
_WHO = (
    select(
        Account.id,
        exists().where(Staff.account_id == Account.id, Staff.active.is_(True)).label("staff"),
        exists()
        .where(Consent.account_id == Account.id, Consent.version >= CONSENT_VERSION, Consent.withdrawn_at.is_(None))
        .label("consented"),
        Person,
    )
    .select_from(Account)
    .outerjoin(ActsFor, ActsFor.account_id == Account.id)
    .outerjoin(Person, Person.id == ActsFor.person_id)
    .where(Account.id == any_(bindparam("accounts", type_=ARRAY(Uuid()))))
    .ext(distinct_on(Account.id))
    .order_by(Account.id, ActsFor.chosen.desc(), ActsFor.since)
)


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


async def who_wrote_each(session: AsyncSession, accounts: Sequence[Account]) -> list[Writer]:
    """Who is behind each of these accounts, asked for together."""
    now = clock.now()
    rows = await session.execute(_WHO, {"accounts": [account.id for account in accounts]})
    found = {row.id: row for row in rows}
    writers = []
    for account in accounts:
        who = found[account.id]
        as_patient = account.as_patient_until is not None and account.as_patient_until > now
        person = who.Person if who.consented else None
        writers.append(Writer(account, person, who.consented, is_staff=who.staff and not as_patient))
    return writers
