"""Photos, voice and files that patients send: fetched at once (WeChat keeps them three days), checked, sealed."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, deferred, mapped_column

from bot import clock
from bot.store.accounts import Account
from bot.store.base import Base, new_id
from bot.store.database import vault_of


class Attachment(Base):
    """One file, sealed under the account's key. `failed` says why its content could not be kept."""

    __tablename__ = "attachment"
    __table_args__ = (Index("ix_attachment_account_at", "account_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    message_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    content_type: Mapped[str | None]
    size: Mapped[int | None]
    failed: Mapped[str | None]
    data_sealed: Mapped[bytes | None] = deferred(mapped_column(LargeBinary))


async def of_message(session: AsyncSession, message_id: uuid.UUID) -> Attachment | None:
    """The file that came with a message."""
    return await session.scalar(select(Attachment).where(Attachment.message_id == message_id))


def keep(
    session: AsyncSession,
    account: Account,
    *,
    message_id: uuid.UUID,
    kind: str,
    data: bytes | None,
    content_type: str | None,
    failed: str | None = None,
) -> Attachment:
    """Store a file, or the fact that it could not be had."""
    attachment = Attachment(
        id=new_id(),
        account_id=account.id,
        message_id=message_id,
        at=clock.now(),
        kind=kind,
        content_type=content_type,
        size=len(data) if data is not None else None,
        failed=failed,
    )
    if data is not None:
        key = account.key(vault_of(session))
        attachment.data_sealed = key.seal_bytes(data, "attachment", "data", attachment.id)
    session.add(attachment)
    return attachment


async def bytes_since(session: AsyncSession, account_id: uuid.UUID, since: datetime) -> int:
    """How much the account sent since then."""
    statement = select(func.coalesce(func.sum(Attachment.size), 0))
    return int(await session.scalar(statement.where(Attachment.account_id == account_id, Attachment.at >= since)) or 0)


async def data_of(session: AsyncSession, attachment: Attachment) -> bytes | None:
    """The file itself."""
    sealed = await session.scalar(select(Attachment.data_sealed).where(Attachment.id == attachment.id))
    if sealed is None:
        return None
    account = await session.get_one(Account, attachment.account_id)
    return account.key(vault_of(session)).unseal_bytes(sealed, "attachment", "data", attachment.id)
