"""Photos, voice, video, files: kept, and never guessed at.

The patient gets the safety sentence and two taps. 「很急」, or five minutes of silence, puts it before a doctor.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import attachments
from bot.care.consultations.asking import Receipt, Told, add_told, ask
from bot.care.consultations.rows import locked
from bot.care.consultations.states import Level
from bot.care.writers import Writer, who_wrote
from bot.dialogue import phrases
from bot.dialogue.alarm import line
from bot.inbox.messages import Message, open_body
from bot.outbox import choices
from bot.store.accounts import Account, Holder
from bot.store.database import Database

if TYPE_CHECKING:
    from bot.dialogue.conversation import MediaSource

log = structlog.get_logger(__name__)

SILENCE = timedelta(minutes=5)
AWAITING = "awaiting_urgency"
PASSED = "passed_on"
_DAILY_BYTES = 50 * 2**20


@dataclass(frozen=True, slots=True)
class Fetched:
    """What could be had of a file."""

    data: bytes | None
    content_type: str | None
    failed: str | None


async def fetch(database: Database, source: "MediaSource", message: Message) -> Fetched:
    """Get the file from WeChat, outside any transaction. A failure is noted; the patient is served all the same."""
    async with database.reading() as session:
        account = await session.get_one(Account, message.account_id)
        media_id = open_body(message, account, session).get("media_id")
        taken = await attachments.bytes_since(session, account.id, clock.now() - timedelta(days=1))
    if taken > _DAILY_BYTES:
        return Fetched(None, None, "daily_limit")
    if not media_id:
        return Fetched(None, None, "no_media")
    try:
        data, content_type = await source.get_media(media_id)
    except Exception as error:
        # Whatever went wrong, the patient is served and the doctor sees that something is missing.
        log.warning("media.failed", error=type(error).__name__, kind=message.kind)
        return Fetched(None, None, type(error).__name__)
    return Fetched(data, content_type, None)


async def receive(session: AsyncSession, message: Message, writer: Writer, fetched: Fetched) -> str | None:
    """Keep it; what the patient is told, or None for silence while a doctor holds the conversation."""
    account = writer.account
    attachment = await attachments.of_message(session, message.id)
    if attachment is None:
        attachment = attachments.keep(
            session,
            account,
            message_id=message.id,
            kind=message.kind,
            data=fetched.data if writer.consented else None,
            content_type=fetched.content_type,
            failed=fetched.failed if writer.consented else "no_consent",
        )
        await session.flush()
    what = phrases.WHAT[message.kind]
    if writer.is_staff:
        message.finish("from_staff")
        return phrases.STAFF_HINT
    if account.holder in (Holder.DOCTOR, Holder.ALARM) and account.holder_consultation_id is not None:
        consultation = await locked(session, account.holder_consultation_id)
        told = Told(f"（{what}）", message.received_at, message.id, attachment.id)
        if writer.consented:
            await add_told(session, consultation, account, told, cause=f"message:{message.id}")
        message.consultation_id = consultation.id
        message.finish("to_doctor")
        return None if account.holder is Holder.DOCTOR else line(session, writer)
    message.finish(AWAITING)
    return choices.offer(
        session, account, phrases.UNREADABLE.format(what=what), [phrases.VERY_URGENT, phrases.NOT_URGENT]
    )


async def urgency(session: AsyncSession, message: Message, writer: Writer, text: str) -> str | None:
    """The answer to 「这件事急吗」, when there is something it can be about."""
    word = text.strip().strip("。.!！")
    if word not in (phrases.VERY_URGENT, phrases.NOT_URGENT):
        return None
    waiting = await _awaiting(session, writer.account)
    if not waiting:
        return None
    if not writer.consented:
        return choices.offer(session, writer.account, phrases.NEED_CONSENT, [phrases.CONSENT])
    level = Level.URGENT if word == phrases.VERY_URGENT else Level.ROUTINE
    receipt = await _pass_on(session, writer, waiting, level, cause=f"message:{message.id}")
    return phrases.UNREADABLE_NOTED.format(who=receipt.who, within=receipt.within)


async def pass_on_silent(session: AsyncSession, now: datetime, *, limit: int = 20) -> int:
    """The tick: nobody said whether it was urgent for five minutes, so it is."""
    statement = (
        select(Message)
        .where(
            Message.outcome == AWAITING, Message.done_at < now - SILENCE, Message.received_at > now - timedelta(days=2)
        )
        .order_by(Message.done_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    silent = list(await session.scalars(statement))
    for message in silent:
        account = await session.get_one(Account, message.account_id)
        writer = await who_wrote(session, account)
        if writer.consented:
            await _pass_on(session, writer, [message], Level.URGENT, cause=f"message:{message.id}")
        else:
            message.outcome = "not_passed_on_without_consent"
    return len(silent)


async def _awaiting(session: AsyncSession, account: Account) -> list[Message]:
    statement = select(Message).where(Message.account_id == account.id, Message.outcome == AWAITING)
    return list(await session.scalars(statement.order_by(Message.seq).with_for_update()))


async def _pass_on(
    session: AsyncSession, writer: Writer, messages: list[Message], level: Level, *, cause: str
) -> Receipt:
    told = []
    for message in messages:
        attachment = await attachments.of_message(session, message.id)
        what = phrases.WHAT[message.kind]
        told.append(Told(f"（{what}）", message.received_at, message.id, attachment.id if attachment else None))
        message.outcome = PASSED
    receipt = await ask(
        session,
        writer.account,
        writer.person,
        told,
        level=level,
        reason="发来照片、语音或文件，请查看",
        cause=f"{cause}:unreadable",
    )
    for message in messages:
        message.consultation_id = receipt.consultation.id
    return receipt
