"""Answering a topic of the FAQ: the published revision, and which one it was."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bot.dialogue import phrases
from bot.knowledge import faq
from bot.store.accounts import Account


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said, and the choices below it."""

    text: str
    choices: tuple[str, ...] = ()


async def answer_topic(
    session: AsyncSession, account: Account, topic_id: str, *, confidence: float | None, cause: str
) -> Answer | None:
    """The published answer of a topic, noted; None when it has none. `confidence` is None where the patient chose it."""
    found = await faq.published(session, topic_id)
    if found is None:
        return None
    topic, revision = found
    faq.note_answered(session, account_id=account.id, revision=revision, confidence=confidence, cause=cause)
    if topic.refuses:
        return Answer(revision.short, (phrases.ASK_DOCTOR,))
    return Answer(f"{revision.short}\n\n{phrases.read_more(topic.id)}")
