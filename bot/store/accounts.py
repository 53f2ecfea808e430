"""An account: one WeChat user of ours.

An account is not a person. Whose record it may tell about stands in `care.patients` (`acts_for`); here is what the
protocol and the lanes need: how to reach it, its data key, its conversation with the engine, and who holds that.
"""

import json
import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.base import Base, new_id
from bot.store.database import vault_of
from bot.store.vault import Key, Vault

# What may stand after a number or a line that was typed.
_SIGNS = "。.、？?！! "


class Holder(StrEnum):
    """Who answers this account's messages."""

    ASSISTANT = "assistant"
    ALARM = "alarm"
    DOCTOR = "doctor"


class Account(Base):
    """One WeChat user: reachable by `openid` (sealed), found by its blind index."""

    __tablename__ = "account"
    __table_args__ = (Index("ix_account_conversation_id", "conversation_id", unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    openid_blind: Mapped[bytes] = mapped_column(unique=True)
    openid_sealed: Mapped[bytes]
    wrapped_key: Mapped[bytes | None]
    conversation_id: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    created_at: Mapped[datetime]
    following: Mapped[bool] = mapped_column(default=True)
    unreachable_since: Mapped[datetime | None]
    holder: Mapped[Holder] = mapped_column(default=Holder.ASSISTANT)
    holder_consultation_id: Mapped[uuid.UUID | None]
    holder_since: Mapped[datetime | None]
    wrote_at: Mapped[datetime | None]
    tapped_at: Mapped[datetime | None]
    as_patient_until: Mapped[datetime | None]
    abuse_marked_at: Mapped[datetime | None]
    choices_sealed: Mapped[bytes | None]
    asking_doctor_since: Mapped[datetime | None]
    scanned_hospital_id: Mapped[uuid.UUID | None]

    def key(self, vault: Vault) -> Key:
        """The account's data key."""
        return vault.unwrap(self.wrapped_key, "account")

    def openid(self, vault: Vault) -> str:
        """The WeChat id to send to. Never log it."""
        return self.key(vault).unseal(self.openid_sealed, "account", "openid", self.id)

    def offer(self, vault: Vault, choices: list[str]) -> None:
        """Remember numbered choices, so that a typed number means the line it stands before."""
        packed = json.dumps(choices, ensure_ascii=False)
        self.choices_sealed = self.key(vault).seal(packed, "account", "choices", self.id) if choices else None

    def chosen(self, vault: Vault, typed: str) -> str | None:
        """The choice that was tapped, or typed in words or as its number; None for anything else."""
        words = typed.strip().rstrip(_SIGNS)
        if self.choices_sealed is None or not words:
            return None
        choices: list[str] = json.loads(self.key(vault).unseal(self.choices_sealed, "account", "choices", self.id))
        if words.isdecimal() and len(words) == 1:
            return choices[int(words) - 1] if 0 < int(words) <= len(choices) else None
        return next((choice for choice in choices if choice.rstrip(_SIGNS) == words), None)


def blind_openid(vault: Vault, openid: str) -> bytes:
    """How an account is found without its id being stored in clear."""
    return vault.blind(openid, "openid")


async def find_or_create(session: AsyncSession, openid: str, *, now: datetime) -> Account:
    """The account of this WeChat user; two processes meeting a new one agree on one row."""
    vault = vault_of(session)
    blind = blind_openid(vault, openid)
    found = await session.scalar(select(Account).where(Account.openid_blind == blind))
    if found is not None:
        return found
    await session.execute(insert(Account).values(new_row(vault, openid, now=now)).on_conflict_do_nothing())
    return (await session.scalars(select(Account).where(Account.openid_blind == blind))).one()


def new_row(vault: Vault, openid: str, *, now: datetime) -> dict[str, object]:
    """The values of a new account's row."""
    account_id = new_id()
    wrapped = vault.new_key("account")
    sealed = vault.unwrap(wrapped, "account").seal(openid, "account", "openid", account_id)
    return {
        "id": account_id,
        "openid_blind": blind_openid(vault, openid),
        "openid_sealed": sealed,
        "wrapped_key": wrapped,
        "conversation_id": uuid.uuid4(),
        "created_at": now,
        "following": True,
        "holder": Holder.ASSISTANT,
    }
