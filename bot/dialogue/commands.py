"""Fixed words that mean something by themselves: consent and its withdrawal, and what staff write to the account."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations.asking import Told, add_told
from bot.care.consultations.rows import locked
from bot.care.patients import give_consent, withdraw_consent
from bot.care.writers import Writer
from bot.dialogue import phrases
from bot.dialogue.alarm import last_alarming
from bot.dialogue.reception import PASS_ON
from bot.store.accounts import Account

AS_PATIENT_FOR = timedelta(hours=1)


def plain(text: str) -> str:
    """A short command without the signs around it."""
    return text.strip().strip("。.!！？?,，、 「」\"'“”")


async def consent(session: AsyncSession, writer: Writer, text: str) -> str | None:
    """Agreeing, taking it back, and passing on one sentence without agreeing to more."""
    word = plain(text)
    if word == PASS_ON:
        return await _pass_on(session, writer)
    if word in (phrases.CONSENT, "我同意", "同意并继续"):
        if writer.consented:
            return phrases.ALREADY_CONSENTED
        await give_consent(session, writer.account)
        return phrases.CONSENTED
    if word in phrases.WITHDRAW and await withdraw_consent(session, writer.account):
        return phrases.WITHDRAWN
    return None


async def _pass_on(session: AsyncSession, writer: Writer) -> str | None:
    """The one sentence that alarmed goes to the doctors, and nothing else of this account."""
    consultation_id = writer.account.holder_consultation_id
    if consultation_id is None:
        return None
    consultation = await locked(session, consultation_id)
    alarming = await last_alarming(session, writer.account, consultation.id)
    if alarming is None:
        return None
    message, words = alarming
    told = Told(words, message.received_at, message.id, marks=tuple(message.flags))
    await add_told(session, consultation, writer.account, told, cause=f"message:{message.id}")
    return phrases.PASSED_ON.format(who="值班医生")


def from_staff(account: Account, text: str) -> str:
    """Staff write into the same account as patients; they are patients only after saying so."""
    if plain(text) == phrases.AS_PATIENT:
        account.as_patient_until = clock.now() + AS_PATIENT_FOR
        return phrases.STAFF_AS_PATIENT
    return phrases.STAFF_HINT
