"""What patients open from a message: the doctor's full answer, their check-ins, their counts; and what anybody may read."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind, entry_text, thread
from bot.care.consultations.states import Stage
from bot.care.followups.rows import CheckIn, FollowupPlan
from bot.care.followups.states import WAITING_FOR_PATIENT, State
from bot.care.patients import has_consented, person_of
from bot.care.roster import Hospital, Staff
from bot.knowledge.baseline import load_sources
from bot.knowledge.faq import published
from bot.store.accounts import Account
from bot.store.vault import Unreadable
from bot.web import words
from bot.web.chart import chart
from bot.web.keys import DATABASE
from bot.web.patient.login import ACCOUNT, patient_only
from bot.web.patient.welcome import welcome
from bot.web.prose import prose
from bot.web.render import page

_TOPIC = re.compile(r"^[a-z][a-z0-9_]{0,79}$")
_GONE = "（内容已按要求删除）"


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was said in a consultation, as the patient sees it."""

    mine: bool
    who: str
    text: str
    at: datetime


@patient_only
async def answers(request: web.Request) -> web.StreamResponse:
    """The doctors' answers of one's own consultation, in full, with what one had asked."""
    account = request[ACCOUNT]
    try:
        consultation_id = uuid.UUID(request.match_info["id"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.app[DATABASE].reading() as session:
        consultation = await session.get(Consultation, consultation_id)
        if consultation is None or consultation.account_id != account.id:
            raise web.HTTPNotFound
        said = await _said(session, consultation, account)
    answered = [one for one in said if not one.mine]
    return page("patient/answers.html", said=said, answers=answered, over=consultation.stage is Stage.CLOSED)


async def _said(session: AsyncSession, consultation: Consultation, account: Account) -> list[Said]:
    entries = [e for e in await thread(session, consultation) if e.kind in (EntryKind.PATIENT, EntryKind.DOCTOR)]
    ids = {entry.staff_id for entry in entries if entry.staff_id is not None}
    statement = select(Staff, Hospital).outerjoin(Hospital, Hospital.id == Staff.hospital_id).where(Staff.id.in_(ids))
    names = {
        staff.id: f"{staff.name}医生" + (f"·{hospital.name}" if hospital is not None else "")
        for staff, hospital in await session.execute(statement)
    }

    def one(entry: ConsultationEntry) -> Said:
        try:
            text = entry_text(entry, account, session)
        except Unreadable:
            text = _GONE
        mine = entry.kind is EntryKind.PATIENT
        return Said(
            mine, "我" if mine else names.get(entry.staff_id, "医生") if entry.staff_id else "医生", text, entry.at
        )

    return [one(entry) for entry in entries]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A follow-up plan's check-in: what it is and when."""

    plan: str
    due: datetime
    begun: bool


@patient_only
async def checkins(request: web.Request) -> web.StreamResponse:
    """Which check-ins wait, and how to begin one."""
    account = request[ACCOUNT]
    async with request.app[DATABASE].reading() as session:
        waiting = await _checkins(session, account, (*WAITING_FOR_PATIENT, State.DUE))
        coming = await _checkins(session, account, (State.SCHEDULED,))
    return page("patient/checkins.html", waiting=waiting, coming=coming[:3], local=clock.local)


async def _checkins(session: AsyncSession, account: Account, states: Sequence[State]) -> list[Waiting]:
    statement = (
        select(CheckIn, FollowupPlan)
        .join(FollowupPlan, FollowupPlan.id == CheckIn.plan_id)
        .where(CheckIn.account_id == account.id, CheckIn.state.in_(states))
        .order_by(CheckIn.due_at)
    )
    found = await session.execute(statement)
    return [Waiting(plan.title, check_in.due_at, check_in.asked_at is not None) for check_in, plan in found]


@patient_only
async def record(request: web.Request) -> web.StreamResponse:
    """One's own counts, as a picture and as a list."""
    account = request[ACCOUNT]
    async with request.app[DATABASE].reading() as session:
        consented = await has_consented(session, account.id)
        person = await person_of(session, account.id) if consented else None
        counts = await records.counts(session, person.id) if person is not None else []
    shown = [(words.day(one.taken_on), words.count(one)) for one in reversed(counts)]
    return page("patient/record.html", consented=consented, drawn=chart(counts), counts=shown)


async def faq(request: web.Request) -> web.StreamResponse:
    """The full text of a published answer, with its sources. Anybody may read it."""
    topic_id = request.match_info["topic"]
    if not _TOPIC.match(topic_id):
        raise web.HTTPNotFound
    async with request.app[DATABASE].reading() as session:
        found = await published(session, topic_id)
    if found is None:
        raise web.HTTPNotFound
    topic, revision = found
    known = load_sources()
    sources = [known[code].citation for code in map(str, revision.sources) if code in known]
    return page(
        "patient/faq.html",
        topic=topic,
        revision=revision,
        text=prose(revision.full),
        sources=sources,
        draft=is_draft(revision.approved_by),
        old=revision.valid_until is not None and revision.valid_until < clock.today(),
    )


def is_draft(approved_by: str | None) -> bool:
    """Whether nobody clinical has approved a text: the demo publishes its own drafts.

    >>> is_draft("demo"), is_draft(None), is_draft("reviewer")
    (True, True, False)
    """
    return approved_by is None or approved_by.split(":")[0].lower() == "demo"


async def consent(_request: web.Request) -> web.StreamResponse:
    """What one agrees to. Anybody may read it."""
    return page("patient/consent.html", told=welcome(), prose=prose)
