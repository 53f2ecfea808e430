"""What a doctor does on a question's page. Each act is one form; a refusal shows the page again with what was typed."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import date, timedelta

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.answering import Refused
from bot.care.consultations.rows import Consultation
from bot.care.consultations.sight import Depth
from bot.care.consultations.states import NotPossible, Outcome
from bot.care.followups.course import NotStarted, start_plan
from bot.care.records import Forbidden, open_record
from bot.care.roster import ANSWERING_ROLES, CLINICAL_ROLES, Role
from bot.web.doctor.consultation import found, page_after_refusal, wanted_id
from bot.web.guard import ACTOR, FORM, Actor, Page, require
from bot.web.keys import DATABASE
from bot.web.protection import field

_PLANNED_BACK, _PLANNED_AHEAD = timedelta(days=10 * 366), timedelta(days=366)
_MOST_NOTE = 2000

Act = Callable[[AsyncSession, web.Request, Actor, Consultation, Depth], Awaitable[str]]


def _act(*roles: Role) -> Callable[[Act], Page]:
    """An act on the consultation in the address: visible first, then the act, in one transaction, then back to the page.

    The act returns the word for what was done (`consultation.SAID`), or raises why not.
    """

    def around(act: Act) -> Page:
        @require(*roles)
        async def page(request: web.Request) -> web.StreamResponse:
            actor, consultation_id = request[ACTOR], wanted_id(request)
            done = refusal = ""
            try:
                async with request.app[DATABASE].transaction() as session:
                    consultation, depth = await found(session, actor, consultation_id)
                    try:
                        done = await act(session, request, actor, consultation, depth)
                    except Forbidden as forbidden:
                        # The audit row of the refused look is committed.
                        refusal = str(forbidden)
            except (Refused, NotStarted) as refused:
                refusal = str(refused)
            except NotPossible:
                refusal = "现在不能这样做：这个咨询的状态刚刚变了，请看最新情况。"
            if not refusal:
                raise web.HTTPSeeOther(f"/doctor/consultations/{consultation_id}?said={done}")
            return await page_after_refusal(
                request,
                consultation_id,
                refusal,
                typed=field(request[FORM], "text"),
                form=_form(request),
                seen=_seen(request),
            )

        return page

    return around


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _form(request: web.Request) -> str:
    return str(_uuid(field(request[FORM], "form")) or uuid.uuid4())


def _seen(request: web.Request) -> uuid.UUID | None:
    return _uuid(field(request[FORM], "seen"))


def _key(request: web.Request, actor: Actor, consultation: Consultation) -> str:
    """The form's identity. Bound to who sends it and where, so that nobody's form can stand for another's."""
    form = _uuid(field(request[FORM], "form"))
    if form is None:
        raise Refused("页面已经过期，这一步没有完成。您写的内容还在下面，请再发一次。")
    return f"{consultation.id}:{actor.staff.id}:{form}"


def _full(depth: Depth) -> None:
    if depth is not Depth.FULL:
        raise Refused("请先认领，再处理。")


@_act(*ANSWERING_ROLES)
async def claim(
    session: AsyncSession, _request: web.Request, actor: Actor, consultation: Consultation, _depth: Depth
) -> str:
    """Take the question."""
    await answering.claim(session, consultation_id=consultation.id, doctor=actor.staff)
    return "claimed"


@_act(*ANSWERING_ROLES)
async def answer(
    session: AsyncSession, request: web.Request, actor: Actor, consultation: Consultation, depth: Depth
) -> str:
    """Answer the patient."""
    key = _key(request, actor, consultation)
    if depth is not Depth.FULL and consultation.holder_id is None:
        raise Refused("请先认领，再回复。您写的内容还在下面。")
    await answering.answer(
        session,
        consultation_id=consultation.id,
        doctor=actor.staff,
        text=field(request[FORM], "text"),
        key=key,
        seen_entry=_seen(request),
    )
    return "answered"


@_act(*CLINICAL_ROLES)
async def note(
    session: AsyncSession, request: web.Request, actor: Actor, consultation: Consultation, depth: Depth
) -> str:
    """Note something for colleagues."""
    _full(depth)
    text = field(request[FORM], "text")
    if not text.strip():
        raise Refused("请先写下备注。")
    if len(text) > _MOST_NOTE:
        raise Refused(f"备注请不超过{_MOST_NOTE}字，现在是{len(text)}字。")
    key = _key(request, actor, consultation)
    await answering.note(session, consultation_id=consultation.id, doctor=actor.staff, text=text, key=key)
    return "noted"


@_act(*ANSWERING_ROLES)
async def release(
    session: AsyncSession, _request: web.Request, actor: Actor, consultation: Consultation, _depth: Depth
) -> str:
    """Give the question back."""
    await answering.release(session, consultation_id=consultation.id, doctor=actor.staff)
    return "released"


@_act(*ANSWERING_ROLES)
async def close(
    session: AsyncSession, request: web.Request, actor: Actor, consultation: Consultation, depth: Depth
) -> str:
    """End the question, with how it ended."""
    _full(depth)
    if consultation.holder_id is None:
        raise Refused("请先认领，再结束。")
    try:
        outcome = Outcome(field(request[FORM], "outcome"))
    except ValueError:
        raise Refused("请先选择结果。") from None
    await answering.close(session, consultation_id=consultation.id, doctor=actor.staff, outcome=outcome)
    return "closed"


@_act(*ANSWERING_ROLES)
async def follow(
    session: AsyncSession, request: web.Request, actor: Actor, consultation: Consultation, depth: Depth
) -> str:
    """Start a follow-up plan for the patient."""
    _full(depth)
    if consultation.person_id is None:
        raise NotStarted("患者还没有登记，不能开始随访。")
    today = clock.today()
    try:
        anchor = date.fromisoformat(field(request[FORM], "anchor"))
    except ValueError:
        raise NotStarted("请填写开始日期。") from None
    if not today - _PLANNED_BACK <= anchor <= today + _PLANNED_AHEAD:
        raise NotStarted("开始日期太早或太晚了，请检查年份。")
    record = await open_record(
        session,
        actor=actor.staff,
        person_id=consultation.person_id,
        why="followup",
        consultation=str(consultation.id),
    )
    plan_key = field(request[FORM], "plan")
    await start_plan(session, person=record.person, plan_key=plan_key, anchor_on=anchor, doctor=actor.staff)
    return "followed"
