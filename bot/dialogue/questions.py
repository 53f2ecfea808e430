"""Putting a patient's question to the doctors, and what the patient hears of it."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.states import Level
from bot.care.patients import Person
from bot.dialogue import phrases
from bot.language.counts import format_count
from bot.store.accounts import Account


async def put_question(session: AsyncSession, account: Account, person: Person, told: Told, *, cause: str) -> str:
    """To the doctor on duty, with the counts told in the same breath recorded. Returns the receipt in words."""
    account.asking_doctor_since = None
    kept = await records.record_counts(session, person, told.text, cause=cause)
    receipt = await ask(
        session, account, person, [told], level=Level.ROUTINE, reason="患者提问，需要医生答复", cause=cause
    )
    said = phrases.ASKED if receipt.opened else phrases.ASKED_TOO
    if receipt.nobody_on_duty:
        said = phrases.ASKED_NOBODY
    said = said.format(who=receipt.who, within=receipt.within)
    if kept:
        day = phrases.day_of(kept[0].taken_on, clock.today())
        counts = "、".join(format_count(count.value or 0) for count in kept)
        said = phrases.RECORDED.format(counts=counts, day=day) + "\n" + said
    return said
