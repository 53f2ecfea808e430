"""What doctors do: claim, answer, give back, note, close.

Every act is refused, with what is the case, when a colleague was first; nothing typed is lost by that.
"""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock, killpoints
from bot.care import roster
from bot.care.consultations.ladder import ask_from, within
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind, add_entry, locked
from bot.care.consultations.states import Act, Level, Outcome, Stage
from bot.care.roster import ANSWERING_ROLES, Hospital, Staff
from bot.outbox.rows import Content, Kind, owe
from bot.store import audit
from bot.store.accounts import Account, Holder

IDLE_RETURNS_AFTER = timedelta(hours=24)
MAX_ANSWER = 2000


class Refused(Exception):
    """The act is refused; the text says why, in Chinese, to the doctor."""


class AlreadyClaimed(Refused):
    """A colleague holds it. Names who, and since when."""


class AnsweredMeanwhile(Refused):
    """Somebody wrote to the patient after this doctor last looked; what was typed is kept on the page."""


async def claim(session: AsyncSession, *, consultation_id: uuid.UUID, doctor: Staff) -> Consultation:
    """Put the consultation into this doctor's hands, unless a colleague was first. From now on the assistant is silent.

    Raises:
        AlreadyClaimed: names who holds it and since when.
        Refused: not a doctor, or closed.
    """
    now = clock.now()
    _may_answer(doctor)
    consultation = await locked(session, consultation_id)
    if consultation.holder_id == doctor.id and consultation.stage in (Stage.CLAIMED, Stage.ANSWERED):
        return consultation
    if consultation.stage is Stage.CLOSED:
        raise Refused("这个咨询已经结束。")
    if consultation.stage is not Stage.QUEUED:
        holder = await session.get_one(Staff, consultation.holder_id)
        since = clock.local(consultation.claimed_at or now)
        raise AlreadyClaimed(f"{holder.name}医生已在{since:%H:%M}认领。")
    consultation.become(Act.CLAIM)
    consultation.holder_id, consultation.claimed_at, consultation.moves_at = doctor.id, now, None
    account = await _account(session, consultation)
    _hold(account, consultation, now)
    cause = f"consultation:{consultation.id}:claimed:{doctor.id}:{now.isoformat()}"
    await add_entry(session, consultation, account, EntryKind.EVENT, f"{doctor.name}医生认领", cause=cause, at=now)
    text = f"{await _signature(session, doctor)}正在看您的问题。这段时间您发的话都会直接给医生，智能助手先不插话。"
    await owe(session, account, Kind.NOTICE, Content(text), cause=cause, consultation_id=consultation.id)
    _audited(session, doctor, "consultation_claimed", consultation)
    return consultation


async def answer(
    session: AsyncSession,
    *,
    consultation_id: uuid.UUID,
    doctor: Staff,
    text: str,
    key: str,
    seen_entry: uuid.UUID | None = None,
) -> ConsultationEntry:
    """Send the doctor's words to the patient. `key` is the form's own id: the same form sent twice answers once.

    `seen_entry` is the last entry the doctor's page showed; when a colleague has written after it, the answer is refused.

    Raises:
        AlreadyClaimed: a colleague holds it.
        AnsweredMeanwhile: a colleague answered in between.
        Refused: empty, too long, or closed.
    """
    now = clock.now()
    text = text.strip()
    if not text:
        raise Refused("请先写下要回复的内容。")
    if len(text) > MAX_ANSWER:
        raise Refused(f"回复请不超过{MAX_ANSWER}字，现在是{len(text)}字。")
    cause = f"answer:{key}"
    # Locked before looking, or the same form sent from two windows at once would answer in both.
    consultation = await locked(session, consultation_id)
    repeated = await session.scalar(select(ConsultationEntry).where(ConsultationEntry.cause == cause))
    if repeated is not None:
        return repeated
    if consultation.stage is Stage.QUEUED:
        consultation = await claim(session, consultation_id=consultation_id, doctor=doctor)
    elif consultation.stage is Stage.CLOSED:
        raise Refused("这个咨询已经结束，回复没有发出。")
    elif consultation.holder_id != doctor.id:
        holder = await session.get_one(Staff, consultation.holder_id)
        raise AlreadyClaimed(f"{holder.name}医生正在处理，您的回复没有发出。")
    if seen_entry is not None and await _colleague_wrote_after(session, consultation, doctor, seen_entry):
        raise AnsweredMeanwhile("您写的时候，同事已经回复了患者。您的内容还在下面，请看过后再决定。")
    consultation.become(Act.ANSWER)
    consultation.answered_at = now
    account = await _account(session, consultation)
    row_id = await owe(
        session,
        account,
        Kind.DOCTOR_ANSWER,
        Content(
            f"【{await _signature(session, doctor)}】\n{text}",
            {"doctor": doctor.name, "number": str(consultation.number), "time": f"{clock.local(now):%m-%d %H:%M}"},
        ),
        cause=cause,
        link=f"/p/answers/{consultation.id}",
        consultation_id=consultation.id,
        person_id=consultation.person_id,
        staff_id=doctor.id,
    )
    entry = await add_entry(
        session,
        consultation,
        account,
        EntryKind.DOCTOR,
        text,
        cause=cause,
        at=now,
        staff_id=doctor.id,
        outbox_id=row_id,
    )
    assert entry is not None
    _audited(session, doctor, "consultation_answered", consultation)
    killpoints.reached("doctor.answered")
    return entry


async def note(session: AsyncSession, *, consultation_id: uuid.UUID, doctor: Staff, text: str, key: str) -> None:
    """A note among staff, which the patient never sees."""
    consultation = await locked(session, consultation_id)
    account = await _account(session, consultation)
    cause, at = f"note:{key}", clock.now()
    if text.strip():
        await add_entry(
            session, consultation, account, EntryKind.NOTE, text.strip(), cause=cause, at=at, staff_id=doctor.id
        )
        _audited(session, doctor, "consultation_noted", consultation)


async def release(session: AsyncSession, *, consultation_id: uuid.UUID, doctor: Staff) -> Consultation:
    """Give a claimed consultation back to the queue, one rung higher.

    Raises:
        Refused: this doctor does not hold it.
    """
    now = clock.now()
    consultation = await locked(session, consultation_id)
    if consultation.holder_id != doctor.id or consultation.stage not in (Stage.CLAIMED, Stage.ANSWERED):
        raise Refused("这个咨询不在您手里。")
    consultation.become(Act.RELEASE)
    consultation.holder_id = consultation.claimed_at = None
    account = await _account(session, consultation)
    cause = f"consultation:{consultation.id}:released:{now.isoformat()}"
    await add_entry(session, consultation, account, EntryKind.EVENT, f"{doctor.name}医生放回", cause=cause, at=now)
    asked = await ask_from(session, consultation, consultation.rung + 1, now)
    if consultation.level is not Level.EMERGENCY:
        who, soon = roster.names(asked.staff), within(consultation.level, now)
        text = (
            f"{doctor.name}医生已把您的问题转给{who}，预计{soon}答复。您再发的话，会一起给医生看。"
            if who
            else "现在没有值班医生，我们已经通知负责人。不舒服请直接去医院或拨打120。"
        )
        await owe(session, account, Kind.NOTICE, Content(text), cause=cause, consultation_id=consultation.id)
    _audited(session, doctor, "consultation_released", consultation)
    return consultation


async def close(
    session: AsyncSession, *, consultation_id: uuid.UUID, doctor: Staff | None, outcome: Outcome
) -> Consultation:
    """End the consultation and return the conversation to the assistant; the patient is told.

    `doctor` is None when the idle rule closes it.

    Raises:
        Refused: a colleague holds it.
        NotPossible: it is closed.
    """
    now = clock.now()
    consultation = await locked(session, consultation_id)
    if doctor is not None and consultation.holder_id not in (None, doctor.id):
        holder = await session.get_one(Staff, consultation.holder_id)
        raise AlreadyClaimed(f"{holder.name}医生正在处理。")
    consultation.become(Act.CLOSE)
    consultation.closed_at, consultation.outcome, consultation.moves_at = now, outcome, None
    account = await _account(session, consultation)
    cause = f"consultation:{consultation.id}:closed:{now.isoformat()}"
    who = f"{doctor.name}医生" if doctor is not None else "系统（长时间没有新消息）"
    await add_entry(session, consultation, account, EntryKind.EVENT, f"{who}结束：{outcome.label}", cause=cause, at=now)
    if account.holder_consultation_id == consultation.id:
        account.holder, account.holder_consultation_id, account.holder_since = Holder.ASSISTANT, None, now
        text = "这次咨询先到这里，接下来由智能助手继续陪您。还有问题直接发给我；72小时内再问，会接着这次的记录。"
        await owe(session, account, Kind.NOTICE, Content(text), cause=cause, consultation_id=consultation.id)
    _audited(session, doctor, "consultation_closed", consultation, outcome=outcome.value)
    return consultation


async def return_idle(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """The tick: answered consultations in which nobody wrote for a day go back to the assistant."""
    statement = (
        select(Consultation.id)
        .where(Consultation.stage == Stage.ANSWERED, Consultation.answered_at < now - IDLE_RETURNS_AFTER)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    idle = list(await session.scalars(statement))
    for consultation_id in idle:
        await close(session, consultation_id=consultation_id, doctor=None, outcome=Outcome.ADVISED)
    return len(idle)


def _may_answer(doctor: Staff) -> None:
    if doctor.role not in ANSWERING_ROLES:
        raise Refused("只有医生可以认领和回复。")


def _hold(account: Account, consultation: Consultation, now: datetime) -> None:
    account.holder, account.holder_consultation_id, account.holder_since = Holder.DOCTOR, consultation.id, now


async def _account(session: AsyncSession, consultation: Consultation) -> Account:
    return await session.get_one(Account, consultation.account_id)


async def _signature(session: AsyncSession, doctor: Staff) -> str:
    hospital = await session.get(Hospital, doctor.hospital_id) if doctor.hospital_id is not None else None
    return f"{doctor.name}医生·{hospital.name}" if hospital is not None else f"{doctor.name}医生"


async def _colleague_wrote_after(
    session: AsyncSession, consultation: Consultation, doctor: Staff, seen_entry: uuid.UUID
) -> bool:
    seen = await session.get(ConsultationEntry, seen_entry)
    if seen is None or seen.consultation_id != consultation.id:
        return False
    statement = select(ConsultationEntry.id).where(
        ConsultationEntry.consultation_id == consultation.id,
        ConsultationEntry.kind == EntryKind.DOCTOR,
        ConsultationEntry.staff_id != doctor.id,
        ConsultationEntry.at > seen.at,
    )
    return await session.scalar(statement.limit(1)) is not None


def _audited(session: AsyncSession, doctor: Staff | None, act: str, consultation: Consultation, **details: str) -> None:
    audit.record(
        session,
        act,
        actor_kind="staff" if doctor is not None else "system",
        actor_id=doctor.id if doctor is not None else None,
        subject_kind="consultation",
        subject_id=consultation.id,
        person_id=str(consultation.person_id) if consultation.person_id else None,
        **details,
    )
