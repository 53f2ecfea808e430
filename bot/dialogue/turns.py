"""What an action did for a message, so that a repeated turn does nothing twice; and the drafts of forms.

The engine may run an action again (its process died before the conversation was saved). The action's returned events and
responses are stored with its effects in one transaction, and a repeat returns them unchanged.
"""

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.store.accounts import Account
from bot.store.base import Base
from bot.store.database import vault_of

SUSPENDED_AFTER = timedelta(minutes=30)


class ActionResult(Base):
    """What one action returned for one cause (a message, a check-in). Pruned after seven days."""

    __tablename__ = "action_result"

    cause: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    result_sealed: Mapped[bytes]
    at: Mapped[datetime] = mapped_column(index=True)


class FormDraft(Base):
    """A form under way: what was answered, what is asked next. It outlives the engine's session."""

    __tablename__ = "form_draft"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    form: Mapped[str]
    checkin_id: Mapped[uuid.UUID | None]
    slots_sealed: Mapped[bytes]
    requested_slot: Mapped[str | None]
    updated_at: Mapped[datetime]

    def suspended(self, now: datetime) -> bool:
        """Idle for so long that it blocks nothing else; it can be taken up at any time."""
        return now - self.updated_at > SUSPENDED_AFTER


def _row(cause: str, action: str, ordinal: int) -> str:
    return f"{cause}:{action}:{ordinal}"


async def stored_result(
    session: AsyncSession, account: Account, *, cause: str, action: str, ordinal: int
) -> dict[str, Any] | None:
    """What the action returned when it ran for this cause before."""
    found = await session.get(ActionResult, (cause, action, ordinal))
    if found is None:
        return None
    key = account.key(vault_of(session))
    packed = key.unseal(found.result_sealed, "action_result", "result", _row(cause, action, ordinal))
    result: dict[str, Any] = json.loads(packed)
    return result


def store_result(
    session: AsyncSession,
    account: Account,
    result: dict[str, Any],
    *,
    cause: str,
    action: str,
    ordinal: int,
) -> None:
    """Keep what the action returned, in the transaction of its effects."""
    key = account.key(vault_of(session))
    packed = json.dumps(result, ensure_ascii=False)
    session.add(
        ActionResult(
            cause=cause,
            action=action,
            ordinal=ordinal,
            account_id=account.id,
            result_sealed=key.seal(packed, "action_result", "result", _row(cause, action, ordinal)),
            at=clock.now(),
        )
    )


async def draft_of(session: AsyncSession, account_id: uuid.UUID) -> FormDraft | None:
    """The account's form under way."""
    return await session.scalar(select(FormDraft).where(FormDraft.account_id == account_id))


def draft_slots(draft: FormDraft, account: Account, session: AsyncSession) -> dict[str, Any]:
    """What was answered so far, by slot."""
    key = account.key(vault_of(session))
    slots: dict[str, Any] = json.loads(key.unseal(draft.slots_sealed, "form_draft", "slots", account.id))
    return slots


async def keep_draft(
    session: AsyncSession,
    account: Account,
    *,
    form: str,
    slots: dict[str, Any],
    requested_slot: str | None,
    checkin_id: uuid.UUID | None,
) -> None:
    """Remember where the form stands."""
    key = account.key(vault_of(session))
    sealed = key.seal(json.dumps(slots, ensure_ascii=False), "form_draft", "slots", account.id)
    draft = await draft_of(session, account.id)
    if draft is None:
        draft = FormDraft(
            account_id=account.id,
            form=form,
            slots_sealed=sealed,
            updated_at=clock.now(),
        )
        session.add(draft)
    draft.form, draft.slots_sealed, draft.requested_slot = form, sealed, requested_slot
    draft.checkin_id, draft.updated_at = checkin_id, clock.now()


async def drop_draft(session: AsyncSession, account_id: uuid.UUID) -> None:
    """The form is done, left or given up."""
    draft = await draft_of(session, account_id)
    if draft is not None:
        await session.delete(draft)
