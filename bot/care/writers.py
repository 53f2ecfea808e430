"""Who is behind an account that wrote: a patient who agreed, somebody who did not, or a member of staff."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import roster
from bot.care.patients import Person, has_consented, person_of
from bot.store.accounts import Account


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a message."""

    account: Account
    person: Person | None
    consented: bool
    is_staff: bool


async def who_wrote(session: AsyncSession, account: Account) -> Writer:
    """Who is behind an account. Staff write as patients only after they said so."""
    now = clock.now()
    staff = await roster.staff_with_account(session, account.id)
    as_patient = account.as_patient_until is not None and account.as_patient_until > now
    consented = await has_consented(session, account.id)
    person = await person_of(session, account.id) if consented else None
    return Writer(account, person, consented, is_staff=staff is not None and not as_patient)
