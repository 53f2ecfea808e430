"""While an emergency holds the conversation: no FAQ, no form; every text gets the same one line and goes to the doctors."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.asking import Told, add_told
from bot.care.consultations.ladder import alert
from bot.care.consultations.rows import Consultation, EntryKind, add_entry, locked
from bot.care.roster import Staff
from bot.care.writers import Writer
from bot.dialogue import phrases
from bot.inbox.messages import Message, open_body
from bot.outbox import choices
from bot.store.accounts import Account, Holder

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
            await records.record_counts(session, writer.person, text, cause=f"message:{message.id}")
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
        return phrases.ALARM_OFF
    return choices.offer(session, account, phrases.ALARM_LINE, CHOICES)


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
