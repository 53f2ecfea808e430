"""The doctors' queue: mine, unclaimed, all; emergencies first, then by the time that is left."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind, entry_text
from bot.care.consultations.sight import Depth, Sight, sight_of
from bot.care.consultations.states import Level, Stage
from bot.care.roster import CLINICAL_ROLES, Role, Staff
from bot.store import audit
from bot.store.accounts import Account
from bot.store.vault import Unreadable
from bot.web.guard import ACTOR, LIVE, require
from bot.web.keys import DATABASE
from bot.web.render import page

SEES_QUEUE = (*CLINICAL_ROLES, Role.ADMINISTRATOR)
_MOST = 200
_LAST_WORDS = 80


class Tab(StrEnum):
    """Which part of the queue."""

    MINE = "mine"
    UNCLAIMED = "unclaimed"
    ALL = "all"


LABELS = {Tab.UNCLAIMED: "待认领", Tab.MINE: "我的", Tab.ALL: "全部"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the queue. `words` are the last of the patient, None where they may not be shown yet."""

    consultation: Consultation
    holder: str | None
    words: str | None
    brief: bool


def _part(tab: Tab, staff: Staff) -> ColumnElement[bool]:
    open_ones = Consultation.stage != Stage.CLOSED
    match tab:
        case Tab.MINE:
            return open_ones & (Consultation.holder_id == staff.id)
        case Tab.UNCLAIMED:
            return Consultation.stage == Stage.QUEUED
        case Tab.ALL:
            return open_ones


async def _rows(session: AsyncSession, staff: Staff, sight: Sight, tab: Tab) -> list[Row]:
    # Answered ones wait for the patient, not for a doctor.
    order = (
        case((Consultation.stage == Stage.ANSWERED, 1), else_=0),
        case((Consultation.level == Level.EMERGENCY, 0), else_=1),
        Consultation.answer_by.asc().nulls_last(),
        Consultation.id,
    )
    statement = select(Consultation).where(sight.visible(), _part(tab, staff)).order_by(*order).limit(_MOST)
    consultations = list(await session.scalars(statement))
    full = [one for one in consultations if sight.depth(one) is Depth.FULL]
    words = await _last_words(session, full)
    holders = await _names(session, consultations)
    return [
        Row(one, holders.get(one.holder_id) if one.holder_id else None, words.get(one.id), one not in full)
        for one in consultations
    ]


async def _last_words(session: AsyncSession, consultations: Sequence[Consultation]) -> dict[uuid.UUID, str]:
    ids = [one.id for one in consultations]
    statement = (
        select(ConsultationEntry, Account)
        .join(Consultation, Consultation.id == ConsultationEntry.consultation_id)
        .join(Account, Account.id == Consultation.account_id)
        .where(ConsultationEntry.consultation_id.in_(ids), ConsultationEntry.kind == EntryKind.PATIENT)
        .ext(distinct_on(ConsultationEntry.consultation_id))
        .order_by(ConsultationEntry.consultation_id, ConsultationEntry.at.desc(), ConsultationEntry.id.desc())
    )
    found = {}
    for entry, account in await session.execute(statement):
        try:
            text = entry_text(entry, account, session)
        except Unreadable:
            text = "（内容已按患者要求删除）"
        if not text and entry.attachment_id is not None:
            text = "［图片或语音］"
        found[entry.consultation_id] = text if len(text) <= _LAST_WORDS else text[:_LAST_WORDS] + "……"
    return found


async def _names(session: AsyncSession, consultations: Sequence[Consultation]) -> dict[uuid.UUID, str]:
    ids = {one.holder_id for one in consultations if one.holder_id is not None}
    return {row.id: row.name for row in await session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(ids)))}


async def _numbers(session: AsyncSession, staff: Staff, sight: Sight) -> tuple[dict[Tab, int], int]:
    counted = [func.count().filter(_part(tab, staff)) for tab in Tab]
    unclaimed = (Consultation.stage == Stage.QUEUED) & (Consultation.level == Level.EMERGENCY)
    statement = select(*counted, func.count().filter(unclaimed)).where(
        sight.visible(), Consultation.stage != Stage.CLOSED
    )
    *numbers, emergencies = (await session.execute(statement)).one()
    return dict(zip(Tab, numbers, strict=True)), emergencies


@require(*SEES_QUEUE)
async def queue(request: web.Request) -> web.StreamResponse:
    """The page, or only its list when the page asks for it again by itself."""
    live, staff, now = LIVE in request.headers, request[ACTOR].staff, clock.now()
    async with request.app[DATABASE].transaction() as session:
        sight = await sight_of(session, staff, now)
        numbers, emergencies = await _numbers(session, staff, sight)
        tab = _tab(request.query.get("tab", ""), numbers)
        rows = await _rows(session, staff, sight, tab)
        if not live:
            _audited(session, staff, tab, rows)
    shown: dict[str, Any] = {
        "tab": tab,
        "rows": rows,
        "now": now,
        "numbers": numbers,
        "emergencies": emergencies,
        "labels": LABELS,
    }
    if live:
        return page("doctor/_queue.html", **shown)
    return page("doctor/queue.html", actor=request[ACTOR], clinical=staff.role in CLINICAL_ROLES, **shown)


def _tab(wanted: str, numbers: dict[Tab, int]) -> Tab:
    """The part asked for, else what waits for somebody, else one's own."""
    if wanted in list(Tab):
        return Tab(wanted)
    return Tab.MINE if numbers[Tab.MINE] and not numbers[Tab.UNCLAIMED] else Tab.UNCLAIMED


def _audited(session: AsyncSession, staff: Staff, tab: Tab, rows: Sequence[Row]) -> None:
    read = [row.consultation.number for row in rows if row.words is not None]
    audit.record(
        session,
        "queue_opened",
        actor_kind="staff",
        actor_id=staff.id,
        subject_kind="consultation",
        subject_id=None,
        tab=tab.value,
        numbers=read,
    )
