"""Who is asked, and when a question moves on.

Rungs: the hospital's duty (its patient's own doctor first, when on duty), its backup, its lead, the platform's duty. A
rung with nobody on it is passed over at once. At the end, or with nobody anywhere, leads and administrators are told and
the patient hears where to go. Times: settings of the service, for the reviewer to sign.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import roster
from bot.care.consultations.rows import Consultation, EntryKind, add_entry
from bot.care.consultations.states import Act, Level, Stage
from bot.care.patients import Person
from bot.care.roster import Part, Staff
from bot.outbox.rows import Content, Kind, owe
from bot.store.accounts import Account, Holder

EMERGENCY_MOVES = (timedelta(minutes=3), timedelta(minutes=6), timedelta(minutes=10))
EMERGENCY_RINGS_EVERY = timedelta(minutes=5)
URGENT_MOVES = timedelta(minutes=30)
ROUTINE_MOVES = timedelta(hours=24)
LAST_RUNG = 3
_DAY_BEGINS, _DAY_ENDS = time(8), time(18)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked on which rung."""

    rung: int
    staff: tuple[Staff, ...]


def moves_at(level: Level, rung: int, opened_at: datetime, now: datetime) -> datetime | None:
    """When an unclaimed question goes to the next rung. Emergencies go on ringing after the last one."""
    if level is Level.EMERGENCY:
        if rung < len(EMERGENCY_MOVES):
            return max(opened_at + EMERGENCY_MOVES[rung], now + timedelta(minutes=1))
        return now + EMERGENCY_RINGS_EVERY
    if rung >= LAST_RUNG:
        return None
    return now + (URGENT_MOVES if level is Level.URGENT else ROUTINE_MOVES)


def answer_by(level: Level, now: datetime) -> datetime:
    """By when the patient is promised an answer."""
    local = clock.local(now)
    match level:
        case Level.EMERGENCY:
            return now + EMERGENCY_MOVES[-1]
        case Level.URGENT:
            in_duty_hours = local.weekday() < 5 and _DAY_BEGINS <= local.time() < _DAY_ENDS
            return now + timedelta(hours=2 if in_duty_hours else 4)
        case Level.ROUTINE:
            days, day = 0, local
            while days < 2:
                day += timedelta(days=1)
                days += day.weekday() < 5
            return day.replace(hour=_DAY_ENDS.hour, minute=0, second=0, microsecond=0).astimezone(now.tzinfo)


def within(level: Level, now: datetime) -> str:
    """The promise in words, as it stands in a sentence: 「2小时内」."""
    match level:
        case Level.EMERGENCY:
            return "几分钟内"
        case Level.URGENT:
            return f"{round((answer_by(level, now) - now) / timedelta(hours=1))}小时内"
        case Level.ROUTINE:
            by = clock.local(answer_by(level, now))
            return f"两个工作日内（{by.month}月{by.day}日前）"


async def _staff_of(session: AsyncSession, consultation: Consultation, rung: int, now: datetime) -> list[Staff]:
    hospital_id = consultation.hospital_id
    if rung == LAST_RUNG or hospital_id is None:
        platform = await roster.platform(session)
        return await roster.on_duty(session, platform.id, now) if platform is not None else []
    if rung == 0:
        duty = await roster.on_duty(session, hospital_id, now)
        person = await session.get(Person, consultation.person_id) if consultation.person_id else None
        own = [member for member in duty if person is not None and member.id == person.doctor_id]
        return own or duty
    if rung == 1:
        return await roster.on_duty(session, hospital_id, now, Part.BACKUP)
    return await roster.leads_of(session, hospital_id)


async def ask_from(session: AsyncSession, consultation: Consultation, rung: int, now: datetime) -> Asked:
    """Put the question to the first rung, from this one on, that has somebody; alert them.

    With nobody anywhere the leads and administrators are alerted and the consultation says so.
    """
    while rung <= LAST_RUNG:
        staff = await _staff_of(session, consultation, rung, now)
        if staff:
            break
        rung += 1
    else:
        staff = []
    consultation.rung = min(rung, LAST_RUNG)
    consultation.nobody_on_duty = not staff
    consultation.moves_at = moves_at(consultation.level, rung, consultation.level_at, now)
    told = staff
    if not staff:
        told = [*await roster.leads_of(session, consultation.hospital_id), *await roster.administrators(session)]
    for member in told:
        await alert(session, consultation, member, now)
    return Asked(consultation.rung, tuple(staff))


async def alert(session: AsyncSession, consultation: Consultation, member: Staff, now: datetime) -> None:
    """Alert one member of staff once per rung, level and ring. Emergencies also go through the SMS or voice gateway."""
    ring = int((now - consultation.level_at) / timedelta(minutes=1))
    cause = f"consultation:{consultation.id}:{consultation.level}:{consultation.rung}:{ring}:{member.id}"
    urgent = consultation.level is Level.EMERGENCY
    link = f"/doctor/consultations/{consultation.id}"
    fields = {
        "level": consultation.level.label,
        "number": str(consultation.number),
        "reason": consultation.reason,
        "time": f"{clock.local(consultation.opened_at):%m-%d %H:%M}",
    }
    content = Content(
        f"【{consultation.level.label}】有患者在等您：{consultation.reason}。编号 {consultation.number}，请点开处理。",
        fields,
    )
    account = await roster.account_of(session, member)
    if account is not None:
        await owe(
            session,
            account,
            Kind.ALERT,
            content,
            cause=cause,
            link=link,
            urgent=urgent,
            consultation_id=consultation.id,
            staff_id=member.id,
        )
    if urgent or account is None:
        await owe(
            session,
            None,
            Kind.GATEWAY,
            Content(content.text, {**fields, "staff": str(member.id), "login": member.login}),
            cause=cause,
            link=link,
            urgent=urgent,
            consultation_id=consultation.id,
            staff_id=member.id,
        )


async def move_on_due(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """The tick: questions that nobody took in time go to the next rung, and the patient hears of it."""
    statement = (
        select(Consultation)
        .where(Consultation.moves_at <= now, Consultation.stage == Stage.QUEUED)
        .order_by(Consultation.moves_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = list(await session.scalars(statement))
    for consultation in due:
        await _move_on(session, consultation, now)
    return len(due)


async def _move_on(session: AsyncSession, consultation: Consultation, now: datetime) -> None:
    consultation.become(Act.MOVE_ON)
    before = consultation.rung
    asked = await ask_from(session, consultation, min(before + 1, LAST_RUNG), now)
    account = await session.get_one(Account, consultation.account_id)
    who = roster.names(asked.staff)
    cause = f"consultation:{consultation.id}:moved:{consultation.level}:{asked.rung}"
    event = f"无人认领，转给{who}" if who else "无人值班，已通知负责人"
    await add_entry(session, consultation, account, EntryKind.EVENT, event, cause=f"{cause}:{now.isoformat()}", at=now)
    # An emergency rings on for the staff; the patient has been told to call 120 and must not be soothed by a new name.
    if asked.rung == before or consultation.level is Level.EMERGENCY or account.holder is Holder.DOCTOR:
        return
    text = (
        f"您的问题已转给{who}，预计{within(consultation.level, now)}答复。"
        if who
        else "现在没有值班医生，我们已经通知负责人。不舒服请直接去医院或拨打120。"
    )
    await owe(session, account, Kind.NOTICE, Content(text), cause=cause, consultation_id=consultation.id)


def who_is_asked(asked: Asked) -> str:
    """Who will see the question, as the patient reads it."""
    return f"值班的{roster.names(asked.staff)}" if asked.staff else "负责人"
