"""FAQ topics and their revisions: what the assistant answers from, and which revision answered.

A revision is a draft until staff approve it; only a published one reaches a patient.
"""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.knowledge.baseline import load_topics
from bot.store import audit
from bot.store.base import Base, new_id


class RevisionState(StrEnum):
    """The life of a revision."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    PUBLISHED = "published"
    RETIRED = "retired"


class FaqTopic(Base):
    """Something patients ask. `refuses` topics answer with a refusal and the way to a doctor."""

    __tablename__ = "faq_topic"

    id: Mapped[str] = mapped_column(primary_key=True)
    themes: Mapped[list[Any]]
    title: Mapped[str]
    refuses: Mapped[bool] = mapped_column(default=False)


class FaqRevision(Base):
    """One wording of a topic's answer."""

    __tablename__ = "faq_revision"
    __table_args__ = (
        UniqueConstraint("topic_id", "number"),
        Index("ix_faq_revision_published", "topic_id", unique=True, postgresql_where="state = 'published'"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    topic_id: Mapped[str] = mapped_column(ForeignKey("faq_topic.id"))
    number: Mapped[int]
    state: Mapped[RevisionState] = mapped_column(default=RevisionState.DRAFT)
    short: Mapped[str]
    full: Mapped[str]
    sources: Mapped[list[Any]]
    valid_until: Mapped[date | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    approved_by: Mapped[str | None]
    published_at: Mapped[datetime | None]


class FaqAnswered(Base):
    """Which revision answered which message, and how sure the engine was of the topic."""

    __tablename__ = "faq_answered"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    cause: Mapped[str] = mapped_column(index=True)
    account_id: Mapped[uuid.UUID]
    revision_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("faq_revision.id"), index=True)
    topic_id: Mapped[str]
    confidence: Mapped[float | None]
    at: Mapped[datetime]


async def published(session: AsyncSession, topic_id: str) -> tuple[FaqTopic, FaqRevision] | None:
    """The topic with the revision patients get, or None."""
    statement = (
        select(FaqTopic, FaqRevision)
        .join(FaqRevision, FaqRevision.topic_id == FaqTopic.id)
        .where(FaqTopic.id == topic_id, FaqRevision.state == RevisionState.PUBLISHED)
    )
    row = (await session.execute(statement)).one_or_none()
    return (row[0], row[1]) if row is not None else None


async def titles(session: AsyncSession, topic_ids: list[str]) -> dict[str, str]:
    """The questions of published topics, as patients would ask them."""
    statement = (
        select(FaqTopic.id, FaqTopic.title)
        .join(FaqRevision, FaqRevision.topic_id == FaqTopic.id)
        .where(FaqTopic.id.in_(topic_ids), FaqRevision.state == RevisionState.PUBLISHED)
    )
    return {row.id: row.title for row in await session.execute(statement)}


async def topic_titled(session: AsyncSession, title: str) -> str | None:
    """The published topic whose title these words are, as a menu shows it; signs and spaces do not matter."""
    signs = "？?。.！!，,、 　"
    statement = (
        select(FaqTopic.id)
        .join(FaqRevision, FaqRevision.topic_id == FaqTopic.id)
        .where(
            FaqRevision.state == RevisionState.PUBLISHED,
            func.translate(FaqTopic.title, signs, "") == title.translate(str.maketrans("", "", signs)),
        )
    )
    return await session.scalar(statement.limit(1))


def note_answered(
    session: AsyncSession, *, account_id: uuid.UUID, revision: FaqRevision, confidence: float | None, cause: str
) -> None:
    """Remember which revision answered."""
    session.add(
        FaqAnswered(
            cause=cause,
            account_id=account_id,
            revision_id=revision.id,
            topic_id=revision.topic_id,
            confidence=confidence,
            at=clock.now(),
        )
    )


async def import_baseline(session: AsyncSession, *, approve_as: str | None = None) -> int:
    """Bring topics of `data/faq/` that the database does not know yet, as drafts; it is the source from then on.

    `approve_as` publishes them at once, audited under that name: the demo's first act, never production's.
    """
    known = set(await session.scalars(select(FaqTopic.id)))
    new = [topic for topic in load_topics() if topic.topic not in known]
    now = clock.now()
    for topic in new:
        session.add(
            FaqTopic(
                id=topic.topic,
                themes=list(topic.themes),
                title=topic.title,
                refuses=topic.refuses,
            )
        )
    await session.flush()
    for topic in new:
        revision = FaqRevision(
            topic_id=topic.topic,
            number=1,
            state=RevisionState.PUBLISHED if approve_as else RevisionState.DRAFT,
            short=topic.message,
            full=topic.full,
            sources=list(topic.sources),
            valid_until=topic.valid_until,
            created_at=now,
            created_by="baseline",
            approved_by=approve_as,
            published_at=now if approve_as else None,
        )
        session.add(revision)
        if approve_as:
            audit.record(
                session,
                "faq_approved_for_demo",
                actor_kind="system",
                actor_id=None,
                subject_kind="faq_revision",
                subject_id=revision.id,
                topic=topic.topic,
            )
    return len(new)
