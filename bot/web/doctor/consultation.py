"""One question's page: the thread, the patient at a glance beside it, and what may be done."""

import uuid
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.attachments import Attachment, data_of
from bot.care.consultations.rows import Consultation, ConsultationEntry
from bot.care.consultations.sight import Depth, sight_of
from bot.care.consultations.states import Outcome, Stage
from bot.care.records import Forbidden
from bot.care.roster import ANSWERING_ROLES, CLINICAL_ROLES, Hospital, Staff
from bot.store import audit
from bot.store.accounts import Account
from bot.store.vault import Unreadable
from bot.web.doctor.glance import Glance, glance_at, plan_choices
from bot.web.doctor.queue import SEES_QUEUE
from bot.web.doctor.quick_replies import QUICK_REPLIES
from bot.web.doctor.thread import Line, flag_name, thread_of
from bot.web.guard import ACTOR, LIVE, Actor, require
from bot.web.keys import DATABASE
from bot.web.render import page

SAID = {
    "claimed": "已认领，患者已知道您在看。",
    "answered": "已回复，送达情况见下方。",
    "noted": "备注已保存，只有同事能看到。",
    "released": "已放回，由下一位值班医生接着看。",
    "closed": "已结束，智能助手接着陪患者。",
    "followed": "随访已开始，到时会自动询问患者。",
}
# What a browser may show by itself; everything else is offered as a file.
_INLINE = ("image/jpeg", "image/png", "image/gif", "image/webp", "audio/mpeg", "audio/ogg", "audio/wav", "audio/aac")


def wanted_id(request: web.Request, name: str = "id") -> uuid.UUID:
    """The id in the address.

    Raises:
        web.HTTPNotFound: it is none.
    """
    try:
        return uuid.UUID(request.match_info[name])
    except ValueError:
        raise web.HTTPNotFound from None


async def found(session: AsyncSession, actor: Actor, consultation_id: uuid.UUID) -> tuple[Consultation, Depth]:
    """The consultation and how much of it this actor sees.

    Raises:
        web.HTTPNotFound: there is none, or none of theirs: they need not know which.
    """
    consultation = await session.get(Consultation, consultation_id)
    depth = None
    if consultation is not None:
        depth = (await sight_of(session, actor.staff, clock.now())).depth(consultation)
    if consultation is None or depth is None:
        raise web.HTTPNotFound
    return consultation, depth


@require(*SEES_QUEUE)
async def consultation_page(request: web.Request) -> web.StreamResponse:
    """The page, or only the parts that change by themselves."""
    live, actor, consultation_id = LIVE in request.headers, request[ACTOR], wanted_id(request)
    whole = request.query.get("whole") == "1"
    async with request.app[DATABASE].transaction() as session:
        context = await _context(session, actor, consultation_id, whole=whole, live=live)
    if live:
        return page("doctor/_live.html", **context)
    said = SAID.get(request.query.get("said", ""), "")
    return page("doctor/consultation.html", **context, said=said, refusal="", typed="", form="", theirs=())


async def page_after_refusal(
    request: web.Request, consultation_id: uuid.UUID, refusal: str, *, typed: str, form: str, seen: uuid.UUID | None
) -> web.StreamResponse:
    """The page again, with why the act was refused; what was typed is still there, beside what colleagues wrote."""
    actor = request[ACTOR]
    async with request.app[DATABASE].transaction() as session:
        context = await _context(session, actor, consultation_id, whole=False, live=False)
        theirs: list[Line] = []
        if seen is not None and context["thread"] is not None and typed:
            theirs = await _colleagues_after(session, actor, consultation_id, context["thread"].lines, seen)
    return page(
        "doctor/consultation.html",
        status=409,
        **context,
        said="",
        refusal=refusal,
        typed=typed,
        form=form,
        theirs=theirs,
    )


async def _colleagues_after(
    session: AsyncSession, actor: Actor, consultation_id: uuid.UUID, lines: Any, seen: uuid.UUID
) -> list[Line]:
    entry = await session.get(ConsultationEntry, seen)
    if entry is None or entry.consultation_id != consultation_id:
        return []
    return [
        line
        for line in lines
        if line.entry.kind == "doctor" and line.entry.staff_id != actor.staff.id and line.entry.at >= entry.at
    ]


async def _context(
    session: AsyncSession, actor: Actor, consultation_id: uuid.UUID, *, whole: bool, live: bool
) -> dict[str, Any]:
    consultation, depth = await found(session, actor, consultation_id)
    staff = actor.staff
    holder = await session.get(Staff, consultation.holder_id) if consultation.holder_id else None
    hospital = await session.get(Hospital, consultation.hospital_id) if consultation.hospital_id else None
    full = depth is Depth.FULL
    answers = staff.role in ANSWERING_ROLES
    held_by_me = consultation.holder_id == staff.id and consultation.stage in (Stage.CLAIMED, Stage.ANSWERED)
    thread, glance, closed_record = None, None, ""
    if full:
        account = await session.get_one(Account, consultation.account_id)
        thread = await thread_of(session, consultation, account, whole=whole)
        if not live:
            glance, closed_record = await _glance(session, actor, consultation)
    elif not live:
        _audited(session, staff, consultation, "consultation_seen_in_brief")
    return {
        "actor": actor,
        "now": clock.now(),
        "one": consultation,
        "full": full,
        "thread": thread,
        "glance": glance,
        "closed_record": closed_record,
        "holder": holder,
        "hospital": hospital,
        "flags": [name for flag in consultation.flags if (name := flag_name(str(flag)))],
        "unregistered": consultation.person_id is None,
        "held_by_me": held_by_me,
        "may_claim": answers and consultation.stage is Stage.QUEUED,
        "may_answer": answers and full and held_by_me,
        "may_note": full and staff.role in CLINICAL_ROLES,
        "may_follow": answers and full and glance is not None,
        "plan_choices": plan_choices() if answers and full and glance is not None else (),
        "outcomes": list(Outcome),
        "quick_replies": QUICK_REPLIES,
        "new_form": uuid.uuid4,
        "today": clock.today(),
    }


async def _glance(session: AsyncSession, actor: Actor, consultation: Consultation) -> tuple[Glance | None, str]:
    if consultation.person_id is None:
        _audited(session, actor.staff, consultation, "consultation_opened")
        return None, ""
    try:
        glance = await glance_at(
            session, actor=actor.staff, person_id=consultation.person_id, consultation_id=consultation.id
        )
    except Forbidden as refused:
        return None, str(refused)
    except Unreadable:
        return None, "这位患者的病历已按要求删除。"
    return glance, ""


def _audited(session: AsyncSession, staff: Staff, consultation: Consultation, act: str) -> None:
    audit.record(
        session, act, actor_kind="staff", actor_id=staff.id, subject_kind="consultation", subject_id=consultation.id
    )


@require(*CLINICAL_ROLES)
async def attachment(request: web.Request) -> web.StreamResponse:
    """A photo or voice message of a thread, for who may see the thread."""
    actor, consultation_id, file_id = request[ACTOR], wanted_id(request), wanted_id(request, "file")
    async with request.app[DATABASE].transaction() as session:
        consultation, depth = await found(session, actor, consultation_id)
        if depth is not Depth.FULL:
            raise web.HTTPNotFound
        statement = select(ConsultationEntry.id).where(
            ConsultationEntry.consultation_id == consultation.id, ConsultationEntry.attachment_id == file_id
        )
        if await session.scalar(statement.limit(1)) is None:
            raise web.HTTPNotFound
        row = await session.get_one(Attachment, file_id)
        data = await data_of(session, row)
        _audited(session, actor.staff, consultation, "attachment_opened")
    if data is None:
        raise web.HTTPNotFound
    shown = row.content_type in _INLINE
    headers = {"Content-Disposition": "inline" if shown else "attachment", "Cache-Control": "no-store"}
    kind = row.content_type if shown and row.content_type else "application/octet-stream"
    return web.Response(body=data, content_type=kind, headers=headers)
