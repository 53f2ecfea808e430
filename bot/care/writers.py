"""Who is behind an account that wrote: a patient who agreed, somebody who did not, or a member of staff."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import roster
from bot.care.patients import Person, persons_of, who_consented
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
    [writer] = await who_wrote_each(session, [account])
    return writer


async def who_wrote_each(session: AsyncSession, accounts: Sequence[Account]) -> list[Writer]:
    """Who is behind each of these accounts, asked for together."""
    now = clock.now()
    ids = [account.id for account in accounts]
    staff = await roster.staff_among(session, ids)
    consented = await who_consented(session, ids)
    persons = await persons_of(session, list(consented)) if consented else {}
    return [
        Writer(
            account,
            persons.get(account.id),
            account.id in consented,
            is_staff=account.id in staff
            and not (account.as_patient_until is not None and account.as_patient_until > now),
        )
        for account in accounts
    ]
