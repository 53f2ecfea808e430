"""What patients do: ask, go on writing, ask again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations.ladder import Asked, alert, answer_by, ask_from, moves_at, who_is_asked, within
from bot.care.consultations.rows import Consultation, EntryKind, add_entry, open_of
from bot.care.consultations.states import Act, Level, Stage
from bot.care.patients import Person
from bot.care.roster import Staff
from bot.store.accounts import Account, Holder
from bot.store.base import new_id

REOPENS_WITHIN = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the patient may be told about a question that was put to the doctors."""

    consultation: Consultation
    opened: bool
    who: str
    within: str
    nobody_on_duty: bool


@dataclass(frozen=True, slots=True)
class Told:
    """One thing the patient wrote that goes into the thread. `marks`: [start, end, flag id] of the words that alarmed."""

    text: str
    at: datetime
    message_id: uuid.UUID | None = None
    attachment_id: uuid.UUID | None = None
    marks: tuple[Any, ...] = ()


async def ask(
    session: AsyncSession,
    account: Account,
    person: Person | None,
    told: Sequence[Told],
    *,
    level: Level,
    reason: str,
    cause: str,
    flags: Sequence[str] = (),
) -> Receipt:
    """Put a question to the doctors.

    An account has one open consultation: what comes later joins it, and raises its level when it is more serious. One
    closed within the last 72 hours is opened again, for whoever is on duty now, with its thread.
    """
    now = clock.now()
    consultation = await open_of(session, account.id) or await _recently_closed(session, account.id, now)
    opened = consultation is None
    if consultation is not None and consultation.person_id is None and person is not None:
        # Opened before they agreed; from now on it is about somebody.
        consultation.person_id, consultation.hospital_id = person.id, person.hospital_id
    asked: Asked | None = None
    if consultation is None:
        consultation = Consultation(
            id=new_id(),
            cause=cause,
            account_id=account.id,
            person_id=person.id if person is not None else None,
            hospital_id=person.hospital_id if person is not None else None,
            level=level,
            stage=Stage.QUEUED,
            reason=reason,
            flags=list(flags),
            rung=0,
            opened_at=now,
            level_at=now,
            answer_by=answer_by(level, now),
        )
        session.add(consultation)
        await session.flush()
        asked = await ask_from(session, consultation, 0, now)
    elif consultation.stage is Stage.CLOSED:
        consultation.become(Act.REOPEN)
        consultation.closed_at = consultation.outcome = consultation.holder_id = consultation.claimed_at = None
        _now_about(consultation, level, reason, flags, now)
        opened = True
        asked = await ask_from(session, consultation, 0, now)
    elif level.rank < consultation.level.rank:
        _now_about(consultation, level, reason, flags, now)
        if consultation.stage is Stage.QUEUED:
            asked = await ask_from(session, consultation, 0, now)
        else:
            await _alert_holder(session, consultation, now)
    else:
        consultation.flags = list(dict.fromkeys([*consultation.flags, *flags]))
        if level is Level.EMERGENCY and flags:
            await _alert_holder(session, consultation, now)
    for number, one in enumerate(told):
        await add_told(session, consultation, account, one, cause=f"{cause}:{number}")
    return Receipt(
        consultation,
        opened,
        who_is_asked(asked) if asked is not None else "值班医生",
        within(consultation.level, now),
        consultation.nobody_on_duty,
    )


def _now_about(consultation: Consultation, level: Level, reason: str, flags: Sequence[str], now: datetime) -> None:
    consultation.level, consultation.reason, consultation.level_at = level, reason, now
    consultation.flags = list(dict.fromkeys([*consultation.flags, *flags]))
    consultation.answer_by = answer_by(level, now)
    if consultation.stage is Stage.QUEUED:
        consultation.moves_at = moves_at(level, consultation.rung, now, now)


async def _alert_holder(session: AsyncSession, consultation: Consultation, now: datetime) -> None:
    if consultation.holder_id is not None:
        await alert(session, consultation, await session.get_one(Staff, consultation.holder_id), now)


async def _recently_closed(session: AsyncSession, account_id: uuid.UUID, now: datetime) -> Consultation | None:
    statement = (
        select(Consultation)
        .where(Consultation.account_id == account_id, Consultation.closed_at > now - REOPENS_WITHIN)
        .order_by(Consultation.closed_at.desc())
        .limit(1)
        .with_for_update()
    )
    return await session.scalar(statement)


async def add_told(
    session: AsyncSession, consultation: Consultation, account: Account, told: Told, *, cause: str
) -> bool:
    """Append what the patient wrote; false when it stands there already."""
    # A message has one place in the thread, whatever leads there (triage, the assistant, a doctor's hold).
    entry_cause = f"message:{told.message_id}" if told.message_id is not None else f"told:{cause}"
    entry = await add_entry(
        session,
        consultation,
        account,
        EntryKind.PATIENT,
        told.text,
        cause=entry_cause,
        at=told.at,
        message_id=told.message_id,
        attachment_id=told.attachment_id,
        marks=list(told.marks),
    )
    if entry is not None and consultation.stage is not Stage.CLOSED:
        consultation.become(Act.PATIENT_WROTE)
    return entry is not None


def alarm(account: Account, consultation: Consultation, now: datetime) -> None:
    """An emergency holds the conversation: no FAQ, no form, until the patient is safe or a doctor takes over."""
    if account.holder is not Holder.DOCTOR:
        account.holder, account.holder_consultation_id, account.holder_since = Holder.ALARM, consultation.id, now
