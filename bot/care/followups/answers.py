"""What a patient answers to a check-in, and what that sets off.

The answers pass triage as a sentence of their own, because a bare 「18」 typed into a form means a platelet count.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.asking import Receipt, Told, ask
from bot.care.consultations.states import Level
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import WAITING_FOR_PATIENT, State
from bot.care.patients import Person
from bot.language.counts import PlateletReading, read_counts
from bot.store.accounts import Account

Judge = Callable[[str], tuple[Level | None, str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Completed:
    """A check-in that was answered to the end; `receipt` when an answer was worrying."""

    check_in: CheckIn
    level: Level | None
    receipt: Receipt | None


def read_answer(text: str) -> PlateletReading | None:
    """A count typed as the answer to 「最近一次血小板是多少」, which needs no word for platelets."""
    readings = [r for r in read_counts(text, today=clock.today(), expecting=True) if r.role != "target"]
    return readings[-1] if readings else None


async def running(session: AsyncSession, account_id: uuid.UUID) -> CheckIn | None:
    """The check-in that is being asked of this account."""
    statement = (
        select(CheckIn)
        .where(CheckIn.account_id == account_id, CheckIn.state.in_(WAITING_FOR_PATIENT), CheckIn.asked_at.is_not(None))
        .order_by(CheckIn.asked_at.desc())
        .limit(1)
    )
    return await session.scalar(statement)


async def keep_count(
    session: AsyncSession, person: Person, platelet: dict[str, Any], *, cause: str, source: str
) -> None:
    """Record the answered count, unless it stands in the record already. `platelet`: {value, typed}, or empty."""
    reading = read_answer(str(platelet["typed"])) if platelet.get("value") is not None else None
    if reading is not None and not await records.told_already(session, person, reading):
        await records.record_count(session, person, reading, cause=f"{cause}:platelet", source=source)


async def complete(
    session: AsyncSession,
    account: Account,
    check_in: CheckIn,
    answers: dict[str, Any],
    *,
    judge: Judge,
    cause: str,
    at: datetime,
) -> Completed:
    """Store the answers and record what they say; a worrying one opens a consultation.

    `answers`: `platelet` {value: 10⁹/L or None, typed}, `bleeding` {code, typed}.
    """
    person = await session.get_one(Person, check_in.person_id)
    check_in.keep_answers(session, person, answers)
    platelet, bleeding = answers.get("platelet") or {}, answers.get("bleeding") or {}
    source = f"checkin:{check_in.key}"
    await keep_count(session, person, platelet, cause=cause, source=source)
    if bleeding.get("code"):
        await records.record_bleeding(
            session, person, code=bleeding["code"], typed=bleeding["typed"], cause=f"{cause}:bleeding", source=source
        )
    told = _as_sentence(platelet, bleeding)
    level, reason, flags = judge(told)
    check_in.become(State.ANSWERED)
    check_in.answered_at = check_in.ended_at = at
    check_in.next_at = None
    check_in.level = level.value if level is not None else None
    receipt = None
    if level is not None:
        receipt = await ask(
            session,
            account,
            person,
            [Told(f"（随访回答）{told}", at)],
            level=level,
            reason=f"随访：{reason}",
            cause=f"checkin:{check_in.id}:worrying",
            flags=flags,
        )
    return Completed(check_in, level, receipt)


def _as_sentence(platelet: dict[str, Any], bleeding: dict[str, Any]) -> str:
    parts = []
    if platelet.get("typed"):
        parts.append(f"血小板{platelet['typed']}" if platelet.get("value") is not None else str(platelet["typed"]))
    if bleeding.get("typed"):
        parts.append(str(bleeding["typed"]))
    return "，".join(parts)
