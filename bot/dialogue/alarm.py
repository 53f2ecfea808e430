"""While an emergency holds the conversation: no FAQ, no form; every text gets the same one line and goes to the doctors."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.asking import Told, add_told
from bot.care.consultations.ladder import alert
from bot.care.consultations.rows import Consultation, EntryKind, add_entry, locked
from bot.care.patients import Person
from bot.care.records import Observation
from bot.care.roster import Staff
from bot.care.told import doubt_about
from bot.care.writers import Writer
from bot.dialogue import phrases
from bot.dialogue.reception import PASS_ON
from bot.inbox.messages import Message, open_body
from bot.language.counts import format_count
from bot.outbox import choices
from bot.store.accounts import Account, Holder

# The flag that a count below 10 ×10⁹/L raises by itself (data/redflags.yml), and the count from which it does not.
BARE_NUMBER = "plt_lt10"
CLEARLY_ABOVE = 10

CHOICES = (phrases.CALLED_120, phrases.IN_HOSPITAL, phrases.NOT_MINE)


async def during(session: AsyncSession, message: Message, writer: Writer, text: str) -> str:
    """Answer one text of an account in alarm."""
    account = writer.account
    assert account.holder_consultation_id is not None
    consultation = await locked(session, account.holder_consultation_id)
    message.consultation_id, message.outcome = consultation.id, "alarm"
    if writer.consented:
        told = Told(text, message.received_at, message.id, marks=tuple(message.flags))
        await add_told(session, consultation, account, told, cause=f"message:{message.id}")
        if writer.person is not None:
            counts = await records.record_counts(session, writer.person, text, cause=f"message:{message.id}")
            if counts and await _was_misread(session, writer.person, account, consultation, counts[-1]):
                return await _off(session, message, account, consultation, counts[-1])
    word = text.strip().strip("。.!！")
    if word in CHOICES or word == phrases.NOT_MINE_SURE:
        cause = f"message:{message.id}:tapped"
        now = clock.now()
        await add_entry(session, consultation, account, EntryKind.EVENT, f"患者点了「{word}」", cause=cause, at=now)
        await alert_holder(session, consultation)
    if word == phrases.CALLED_120:
        return phrases.ALARM_CALLED
    if word == phrases.IN_HOSPITAL:
        return phrases.ALARM_ARRIVED
    if word == phrases.NOT_MINE:
        return choices.offer(session, account, phrases.ALARM_SURE, [phrases.NOT_MINE_SURE, phrases.CALLED_120])
    if word == phrases.NOT_MINE_SURE:
        account.holder, account.holder_consultation_id, account.holder_since = Holder.ASSISTANT, None, clock.now()
        return phrases.ALARM_OFF if writer.consented else phrases.ALARM_OFF_STRANGER
    return line(session, writer)


def line(session: AsyncSession, writer: Writer) -> str:
    """The one line, with its choices; whoever has not agreed may pass on the sentence that alarmed."""
    if writer.consented:
        return choices.offer(session, writer.account, phrases.ALARM_LINE, CHOICES)
    lines = (PASS_ON, phrases.CALLED_120, phrases.NOT_MINE)
    return choices.offer(session, writer.account, phrases.ALARM_LINE_STRANGER, lines)


async def _was_misread(
    session: AsyncSession, person: Person, account: Account, consultation: Consultation, count: Observation
) -> bool:
    """Whether a bare number alone raised this alarm, and this count (which triage found no emergency) clears it."""
    alarming = await last_alarming(session, account, consultation.id)
    doubt = doubt_about(alarming[1]) if alarming is not None else None
    if doubt is None or doubt.pending is None or doubt.pending["taken_on"] != count.taken_on.isoformat():
        return False
    of_that_day = [one.value for one in await records.counts(session, person.id) if one.taken_on == count.taken_on]
    return all(flag == BARE_NUMBER for flag in consultation.flags) and min(of_that_day) >= CLEARLY_ABOVE


async def _off(
    session: AsyncSession, message: Message, account: Account, consultation: Consultation, count: Observation
) -> str:
    cause, said = f"message:{message.id}:cleared", format_count(count.value or 0)
    event = f"患者说明血小板是{said}，急救提醒已解除"
    await add_entry(session, consultation, account, EntryKind.EVENT, event, cause=cause, at=clock.now())
    account.holder, account.holder_consultation_id, account.holder_since = Holder.ASSISTANT, None, clock.now()
    return phrases.ALARM_CLEARED.format(count=said)


async def alert_holder(session: AsyncSession, consultation: Consultation) -> None:
    """Tell the doctor who holds it that the patient wrote, at most once a minute."""
    if consultation.holder_id is not None:
        holder = await session.get_one(Staff, consultation.holder_id)
        await alert(session, consultation, holder, clock.now())


async def last_alarming(session: AsyncSession, account: Account, consultation_id: object) -> tuple[Message, str] | None:
    """The sentence that raised the alarm, with its words."""
    statement = (
        select(Message)
        .where(Message.consultation_id == consultation_id, Message.account_id == account.id, Message.kind == "text")
        .where(Message.flag_level == "emergency")
        .order_by(Message.seq.desc())
        .limit(1)
    )
    message = await session.scalar(statement)
    if message is None:
        return None
    return message, str(open_body(message, account, session).get("text", ""))
