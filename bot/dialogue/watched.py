"""What triage wants watched: a doctor's ordinary queue, when the turn itself has not brought it there.

A turn that asked a doctor has done it; a general question answered from the FAQ needs none. Everything else of this level
is put into the queue, whatever the engine made of it.
"""

from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.care.consultations.asking import Told, ask
from bot.care.consultations.rows import ConsultationEntry
from bot.care.consultations.states import Level
from bot.care.judging import judge, short_reason
from bot.care.writers import writer_of
from bot.dialogue import phrases
from bot.inbox.messages import Message, open_body
from bot.knowledge.faq import FaqAnswered


async def put_in_queue(session: AsyncSession, messages: Sequence[Message]) -> str | None:
    """Queue those of this level that nothing has been done about; what the patient is told of it, or None."""
    watched = [one for one in messages if one.level == Level.ROUTINE and not await _dealt_with(session, one)]
    if not watched:
        return None
    writer = await writer_of(session, watched[0].account_id)
    if not writer.consented:
        return None
    told = [
        Told(open_body(one, writer.account, session).get("text", ""), one.received_at, one.id, marks=tuple(one.flags))
        for one in watched
    ]
    verdict = judge("\n".join(one.text for one in told), earlier=(), record=None)
    receipt = await ask(
        session,
        writer.account,
        writer.person,
        told,
        level=Level.ROUTINE,
        reason=short_reason(verdict),
        cause=f"message:{watched[-1].id}:watched",
        flags=[hit.flag_id for hit in verdict.hits],
    )
    for one in watched:
        one.consultation_id = receipt.consultation.id
    return phrases.WATCHED.format(who=receipt.who, within=receipt.within)


async def _dealt_with(session: AsyncSession, message: Message) -> bool:
    asked = exists().where(ConsultationEntry.message_id == message.id)
    answered = exists().where(FaqAnswered.cause == f"message:{message.id}")
    return bool(await session.scalar(select(asked | answered)))
