"""Starting plans, and what the clock does with check-ins.

A check-in that is due is either asked (the patient wrote within the last two days, so the assistant may write) or the
patient is invited by a notice; the form opens only when they write. What is not answered is reminded of after a day,
then becomes a nurse's task, then a doctor's.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.states import Level
from bot.care.followup_plans import Plan, plans
from bot.care.followups.rows import CheckIn, FollowupPlan
from bot.care.followups.states import WAITING_FOR_PATIENT, State
from bot.care.patients import Person, accounts_of
from bot.care.roster import Staff
from bot.outbox.rows import Content, Kind, Outbox, owe
from bot.outbox.rows import State as Owed
from bot.store import audit
from bot.store.accounts import Account, Holder

ASKED_AT = time(10)
POSTPONED_BY = timedelta(minutes=30)
NUDGE_AFTER = timedelta(days=1)
NURSE_AFTER = timedelta(days=2)
DOCTOR_AFTER = timedelta(days=3)
LOST_AFTER = timedelta(days=30)
LEFT = "left_by_patient"
ASKABLE = frozenset({"platelet", "bleeding"})


MayWrite = Callable[[AsyncSession, Account], Awaitable[bool]]


class NotStarted(Exception):
    """The plan cannot be started; the text says why, in Chinese, to the doctor."""


@dataclass(frozen=True, slots=True)
class ToAsk:
    """A check-in to be asked now, in the lane of its account. `attempt` tells one asking from a later one."""

    checkin_id: uuid.UUID
    account_id: uuid.UUID
    attempt: int


def due_at(anchor: date, offset_days: int) -> datetime:
    """Ten in the morning, Chinese time, so many days after the anchor."""
    day = anchor + timedelta(days=offset_days)
    return datetime.combine(day, ASKED_AT, clock.SHANGHAI).astimezone(UTC)


def startable() -> dict[str, Plan]:
    """The plans whose every question the check-in form can ask."""
    return {key: plan for key, plan in plans().items() if plan.questions <= ASKABLE}


async def start_plan(
    session: AsyncSession, *, person: Person, plan_key: str, anchor_on: date, doctor: Staff
) -> FollowupPlan:
    """Start a named plan for a person; each check-in still to come gets its row.

    Raises:
        NotStarted: no such plan, it is running already, or no account acts for the person.
    """
    template = startable().get(plan_key)
    if template is None:
        raise NotStarted("没有这个随访方案。")
    running = select(FollowupPlan.id).where(
        FollowupPlan.person_id == person.id, FollowupPlan.plan_key == plan_key, FollowupPlan.ended_at.is_(None)
    )
    if await session.scalar(running.limit(1)) is not None:
        raise NotStarted("这位患者已经在这个随访方案里了。")
    accounts = await accounts_of(session, person.id)
    if not accounts:
        raise NotStarted("这位患者没有绑定微信，无法随访。")
    now = clock.now()
    plan = FollowupPlan(
        person_id=person.id,
        account_id=accounts[0].id,
        plan_key=plan_key,
        title=template.title,
        anchor_on=anchor_on,
        started_by=doctor.id,
        started_at=now,
    )
    session.add(plan)
    await session.flush()
    for check_in in template.check_ins:
        due = due_at(anchor_on, check_in.offset_days)
        past = due < now
        session.add(
            CheckIn(
                plan_id=plan.id,
                person_id=person.id,
                account_id=plan.account_id,
                key=check_in.key,
                questions=list(check_in.questions),
                due_at=due,
                state=State.SKIPPED if past else State.SCHEDULED,
                reason="past_when_started" if past else None,
                next_at=None if past else due,
                ended_at=now if past else None,
            )
        )
    audit.record(
        session,
        "followup_started",
        actor_kind="staff",
        actor_id=doctor.id,
        subject_kind="person",
        subject_id=person.id,
        plan=plan_key,
    )
    return plan


async def end_plan(session: AsyncSession, *, plan: FollowupPlan, doctor: Staff) -> None:
    """End a plan: what is still to come is cancelled."""
    plan.ended_at = clock.now()
    for check_in in await session.scalars(select(CheckIn).where(CheckIn.plan_id == plan.id)):
        if check_in.state in (State.SCHEDULED, State.DUE, *WAITING_FOR_PATIENT):
            check_in.become(State.CANCELLED)
            check_in.reason, check_in.next_at, check_in.ended_at = "plan_ended", None, plan.ended_at
    audit.record(
        session,
        "followup_ended",
        actor_kind="staff",
        actor_id=doctor.id,
        subject_kind="person",
        subject_id=plan.person_id,
        plan=plan.plan_key,
    )


async def tick(session: AsyncSession, now: datetime, *, may_write: MayWrite, limit: int = 100) -> list[ToAsk]:
    """Do with each check-in what its time has come for. Any number of processes may tick.

    `may_write` tells whether an account may be written to now; who may not is invited by a notice.

    Returns those to be asked now: the caller puts each into its account's lane, in this transaction.
    """
    statement = (
        select(CheckIn)
        .where(CheckIn.next_at <= now)
        .order_by(CheckIn.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    to_ask = []
    for check_in in list(await session.scalars(statement)):
        account = await session.get_one(Account, check_in.account_id)
        if check_in.state is State.SCHEDULED:
            if (asking := await _come_due(session, check_in, account, now, may_write)) is not None:
                to_ask.append(asking)
        else:
            await _remind(session, check_in, account, now)
    return to_ask


async def _come_due(
    session: AsyncSession, check_in: CheckIn, account: Account, now: datetime, may_write: MayWrite
) -> ToAsk | None:
    newer = select(CheckIn.id).where(
        CheckIn.person_id == check_in.person_id,
        CheckIn.id != check_in.id,
        CheckIn.state == State.SCHEDULED,
        CheckIn.due_at <= now,
        CheckIn.due_at > check_in.due_at,
    )
    if await session.scalar(newer.limit(1)) is not None:
        # The service was away: the newest of those that piled up is asked, the others are part of it.
        _end(check_in, State.MERGED, "asked_with_a_later_one", now)
        return None
    others = select(CheckIn.id).where(
        CheckIn.account_id == account.id, CheckIn.state.in_((State.DUE, State.ASKED, State.NUDGED))
    )
    if account.holder is not Holder.ASSISTANT or await session.scalar(others.limit(1)) is not None:
        check_in.postponed += 1
        check_in.next_at = now + POSTPONED_BY
        return None
    if await may_write(session, account):
        check_in.become(State.DUE)
        check_in.next_at = None
        return ToAsk(check_in.id, account.id, check_in.postponed)
    check_in.become(State.INVITED)
    check_in.invited_at, check_in.next_at = now, now + NUDGE_AFTER
    await _invite(session, check_in, account, "invited")
    return None


def _end(check_in: CheckIn, state: State, reason: str, now: datetime) -> None:
    check_in.become(state)
    check_in.reason, check_in.next_at, check_in.ended_at = reason, None, now


async def _invite(session: AsyncSession, check_in: CheckIn, account: Account, occasion: str) -> None:
    plan = await session.get_one(FollowupPlan, check_in.plan_id)
    await owe(
        session,
        account,
        Kind.INVITATION,
        Content(
            "医生请您做一次随访，只有几个小问题。方便时请在这里回复「开始」。",
            {"plan": plan.title, "time": f"{clock.local(check_in.due_at):%m-%d %H:%M}"},
        ),
        cause=f"checkin:{check_in.id}:{occasion}",
        link="/p/checkins",
        person_id=check_in.person_id,
    )


async def _remind(session: AsyncSession, check_in: CheckIn, account: Account, now: datetime) -> None:
    began = check_in.invited_at or check_in.asked_at or check_in.due_at
    if check_in.state in (State.INVITED, State.ASKED):
        check_in.become(State.NUDGED)
        check_in.next_at = began + NURSE_AFTER
        await _invite(session, check_in, account, "nudged")
    elif check_in.state is State.NUDGED and not await _was_worrying(session, check_in):
        check_in.become(State.NURSE_TASK)
        check_in.next_at = began + DOCTOR_AFTER
    elif check_in.state in (State.NUDGED, State.NURSE_TASK):
        check_in.become(State.DOCTOR_TASK)
        check_in.next_at = began + LOST_AFTER
        person = await session.get_one(Person, check_in.person_id)
        await ask(
            session,
            account,
            person,
            [Told("（系统）随访问题发出后一直没有回答，请联系患者。", now)],
            level=Level.ROUTINE,
            reason="随访未回答",
            cause=f"checkin:{check_in.id}:unanswered",
        )
    elif check_in.state is State.DOCTOR_TASK:
        _end(check_in, State.LOST, "never_answered", now)
    else:
        check_in.next_at = None


async def _was_worrying(session: AsyncSession, check_in: CheckIn) -> bool:
    statement = (
        select(CheckIn.level)
        .where(CheckIn.person_id == check_in.person_id, CheckIn.answered_at.is_not(None))
        .order_by(CheckIn.answered_at.desc())
        .limit(1)
    )
    return await session.scalar(statement) in (Level.EMERGENCY, Level.URGENT)


async def asked(session: AsyncSession, check_in: CheckIn) -> None:
    """The engine has put the first question; the row that carries it is owed in this transaction."""
    now = clock.now()
    if check_in.state is not State.ASKED:
        check_in.become(State.ASKED)
    check_in.reason = None
    check_in.asked_at, check_in.next_at = now, now + NUDGE_AFTER


async def postpone(session: AsyncSession, check_in: CheckIn, now: datetime) -> None:
    """It could not be asked now: a doctor or a form has the conversation, or the engine failed."""
    # Counted for who was invited too, so that the next 「开始」 is an asking of its own.
    check_in.postponed += 1
    if check_in.state is State.DUE:
        check_in.become(State.SCHEDULED)
        check_in.next_at = now + POSTPONED_BY


def left(check_in: CheckIn) -> None:
    """The patient wants no more of it now: it is reminded of as any other, and asked again when they say so."""
    check_in.asked_at, check_in.reason = None, LEFT
    check_in.postponed += 1


async def waiting_invitation(session: AsyncSession, account_id: uuid.UUID, *, begins: bool) -> ToAsk | None:
    """A check-in the account was invited to and has not begun: it may start now that they wrote.

    One that they left in the middle starts again only when they say so (`begins`).
    The notices that still wait for this are superseded.
    """
    statement = (
        select(CheckIn)
        .where(CheckIn.account_id == account_id, CheckIn.asked_at.is_(None), CheckIn.state.in_(WAITING_FOR_PATIENT))
        .where(true() if begins else CheckIn.reason.is_(None))
        .order_by(CheckIn.due_at.desc())
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    check_in = await session.scalar(statement)
    if check_in is None:
        return None
    notices = select(Outbox).where(
        Outbox.account_id == account_id, Outbox.kind == Kind.INVITATION, Outbox.state.in_((Owed.PENDING, Owed.PARKED))
    )
    for notice in await session.scalars(notices):
        notice.state, notice.reason = Owed.SUPERSEDED, "the_patient_wrote"
    return ToAsk(check_in.id, account_id, check_in.postponed)
