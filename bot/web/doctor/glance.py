"""The patient at a glance, beside a question: through the one guarded door to a record."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.followup_plans import Plan
from bot.care.followups.course import startable
from bot.care.followups.rows import CheckIn, FollowupPlan
from bot.care.records import Record, open_record
from bot.care.roster import Staff
from bot.store.vault import Unreadable
from bot.web import words
from bot.web.chart import chart

_COUNTS = 6
_BLEEDING = {"none": "没有出血", "skin": "皮肤出血点或瘀斑", "mucosa": "鼻、口腔等黏膜出血", "organ": "内脏出血"}
_ANCHORS = {
    "diagnosis": "确诊日",
    "first_dose": "第一次用药日",
    "last_dose": "最后一次用药日",
    "infusion": "输注日",
    "operation": "手术日",
    "procedure": "操作日",
    "vaccination": "接种日",
    "last_period": "末次月经第一天",
    "birth": "出生日",
    "day_90_of_disease": "病程第90天",
    "off_treatment": "停药日",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A check-in the patient answered, in their words."""

    on: date
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a doctor needs to know of the patient before reading the question."""

    record: Record
    phase: str
    days: int | None
    chart: Markup
    recent: Sequence[tuple[str, str]]
    last_count: str
    course: str
    medicines: str
    bleeding: str
    plans: Sequence[FollowupPlan]
    answered: Answered | None


async def glance_at(session: AsyncSession, *, actor: Staff, person_id: uuid.UUID, consultation_id: uuid.UUID) -> Glance:
    """Open the record (guarded, audited) and draw it small.

    Raises:
        bot.care.records.Forbidden: the record is not theirs to see.
    """
    record = await open_record(
        session, actor=actor, person_id=person_id, why="consultation", consultation=str(consultation_id)
    )
    today, counts = clock.today(), record.counts
    diagnosed = record.person.diagnosed_on
    running = select(FollowupPlan).where(FollowupPlan.person_id == person_id, FollowupPlan.ended_at.is_(None))
    last = counts[-1] if counts else None
    bleeding = record.bleeding[-1] if record.bleeding else None
    return Glance(
        record,
        words.phase(diagnosed, today),
        (today - diagnosed).days if diagnosed is not None and diagnosed <= today else None,
        chart(counts),
        [(words.day(one.taken_on), words.count(one)) for one in reversed(counts[-_COUNTS:])],
        words.count(last) if last is not None else "",
        f"{words.day(last.taken_on)} {words.course(counts)}".strip() if last is not None else "",
        "、".join(medicine.name for medicine in record.medicines),
        f"{words.day(bleeding.taken_on)}：{_BLEEDING.get(bleeding.code or '', '有出血')}"
        if bleeding is not None
        else "",
        list(await session.scalars(running.order_by(FollowupPlan.started_at))),
        await _last_answered(session, record),
    )


async def _last_answered(session: AsyncSession, record: Record) -> Answered | None:
    statement = (
        select(CheckIn)
        .where(CheckIn.person_id == record.person.id, CheckIn.answered_at.is_not(None))
        .order_by(CheckIn.answered_at.desc())
        .limit(1)
    )
    check_in = await session.scalar(statement)
    if check_in is None or check_in.answered_at is None:
        return None
    try:
        answers: dict[str, Any] = check_in.answers(session, record.person)
    except Unreadable:
        return None
    said = []
    if platelet := answers.get("platelet"):
        said.append(f"血小板：{platelet.get('typed', '')}")
    if bleeding := answers.get("bleeding"):
        said.append(f"出血：{bleeding.get('typed', '')}")
    return Answered(clock.local(check_in.answered_at).date(), said)


def plan_choices() -> list[tuple[str, str]]:
    """The plans a doctor may start: (key, what it is and what will follow)."""
    return [(key, _effect(plan)) for key, plan in sorted(startable().items(), key=lambda one: one[1].title)]


def _effect(plan: Plan) -> str:
    days = [check_in.offset_days for check_in in plan.check_ins]
    first = "、".join(str(day) for day in days[:4]) + ("……" if len(days) > 4 else "")
    return f"{plan.title}（从{_ANCHORS[plan.anchor]}起第{first}天，共{len(days)}次）"
