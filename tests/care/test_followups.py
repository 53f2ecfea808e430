"""Follow-up plans: started, asked at their time, reminded of, ended; nobody vanishes."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from care.ward import Ward
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import records
from bot.care.consultations.states import Level
from bot.care.followup_plans import plans
from bot.care.followups import answers, course
from bot.care.followups.course import NotStarted, due_at
from bot.care.followups.reading import read_bleeding, read_platelet
from bot.care.followups.rows import CheckIn, FollowupPlan
from bot.care.followups.states import State
from bot.care.judging import judge_sentence
from bot.care.patients import Person
from bot.outbox.rows import Kind, Outbox
from bot.outbox.rows import State as Owed
from bot.store.accounts import Account, Holder
from bot.store.base import new_id

TODAY = date(2026, 3, 4)


async def always(_session: AsyncSession, _account: Account) -> bool:
    return True


async def never(_session: AsyncSession, _account: Account) -> bool:
    return False


@pytest.fixture
async def clinic(ward: Ward, now: datetime) -> SimpleNamespace:
    hospital = await ward.hospital("江南一院")
    account, lin = await ward.patient(hospital)
    doctor = await ward.staff("李慧", hospital)
    await ward.shift(doctor, hospital, hours=24 * 60)
    return SimpleNamespace(hospital=hospital, account=account, lin=lin, doctor=doctor)


async def started(session: AsyncSession, clinic: SimpleNamespace, anchor: date = TODAY) -> FollowupPlan:
    return await course.start_plan(
        session, person=clinic.lin, plan_key="new_treatment", anchor_on=anchor, doctor=clinic.doctor
    )


async def rows(session: AsyncSession, plan: FollowupPlan) -> list[CheckIn]:
    await session.flush()
    statement = select(CheckIn).where(CheckIn.plan_id == plan.id).order_by(CheckIn.due_at)
    return list(await session.scalars(statement))


async def tick(session: AsyncSession, moment: datetime, may_write: Any = always) -> list[course.ToAsk]:
    return await course.tick(session, moment, may_write=may_write)


async def asked(session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]) -> CheckIn:
    """The plan's first check-in, put to the patient on its day."""
    first = (await rows(session, await started(session, clinic)))[0]
    await tick(session, at(first.due_at))
    await course.asked(session, first)
    return first


# -- when ---------------------------------------------------------------------------------------------------------


@given(st.dates(date(2020, 1, 1), date(2035, 12, 31)), st.integers(-30, 400))
def test_a_checkin_is_due_at_ten_in_the_morning_in_china_so_many_days_after_its_anchor(anchor: date, days: int) -> None:
    local = clock.local(due_at(anchor, days))
    assert (local.hour, local.minute) == (10, 0)
    assert local.date() - anchor == timedelta(days=days)
    assert due_at(anchor, days).tzinfo is UTC


@given(st.dates(date(2020, 1, 1), date(2035, 12, 31)), st.integers(0, 60), st.integers(1, 400))
def test_a_moved_anchor_moves_what_is_due_by_as_much(anchor: date, moved: int, days: int) -> None:
    assert due_at(anchor + timedelta(days=moved), days) - due_at(anchor, days) == timedelta(days=moved)


@pytest.mark.parametrize(
    ("anchor", "days", "due"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 1)),
        (date(2026, 1, 31), 28, date(2026, 2, 28)),
        (date(2028, 2, 28), 1, date(2028, 2, 29)),
        (date(2025, 12, 31), 1, date(2026, 1, 1)),
        (date(2026, 3, 1), -1, date(2026, 2, 28)),
    ],
)
def test_ends_of_months_are_days_like_others(anchor: date, days: int, due: date) -> None:
    assert clock.local(due_at(anchor, days)).date() == due


# -- starting and ending ------------------------------------------------------------------------------------------


async def test_starting_a_plan_writes_every_checkin_to_come(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    plan = await started(session, clinic)
    check_ins = await rows(session, plan)
    template = plans()["new_treatment"].check_ins
    assert [one.key for one in check_ins] == [one.key for one in template]
    assert all(one.state is State.SCHEDULED and one.next_at == one.due_at for one in check_ins)
    assert await ward.acts(clinic.lin.id) == ["followup_started"]


async def test_what_is_past_when_it_starts_is_skipped_with_the_reason(
    session: AsyncSession, clinic: SimpleNamespace
) -> None:
    check_ins = await rows(session, await started(session, clinic, TODAY - timedelta(days=10)))
    past = [one for one in check_ins if one.due_at < clock.now()]
    assert past
    assert all((one.state, one.reason, one.next_at) == (State.SKIPPED, "past_when_started", None) for one in past)
    assert all(one.state is State.SCHEDULED for one in check_ins if one not in past)


@pytest.mark.parametrize("plan_key", ["no_such_plan", "../../etc"])
async def test_an_unknown_plan_is_refused(session: AsyncSession, clinic: SimpleNamespace, plan_key: str) -> None:
    with pytest.raises(NotStarted):
        await course.start_plan(session, person=clinic.lin, plan_key=plan_key, anchor_on=TODAY, doctor=clinic.doctor)


async def test_the_same_plan_does_not_run_twice_for_one_person(session: AsyncSession, clinic: SimpleNamespace) -> None:
    plan = await started(session, clinic)
    with pytest.raises(NotStarted, match="已经"):
        await started(session, clinic)
    await course.end_plan(session, plan=plan, doctor=clinic.doctor)
    await session.flush()
    assert (await started(session, clinic)).id != plan.id


async def test_who_has_no_wechat_cannot_be_followed_up(session: AsyncSession, clinic: SimpleNamespace) -> None:
    alone = Person(id=new_id(), created_at=clock.now())
    session.add(alone)
    await session.flush()
    with pytest.raises(NotStarted, match="没有绑定微信"):
        await course.start_plan(session, person=alone, plan_key="new_treatment", anchor_on=TODAY, doctor=clinic.doctor)


def test_only_plans_whose_every_question_can_be_asked_are_offered() -> None:
    assert course.startable()
    for plan in course.startable().values():
        assert plan.questions <= course.ASKABLE


async def test_ending_a_plan_cancels_what_is_open_and_keeps_what_is_over(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    plan = await started(session, clinic)
    first, second, *_ = await rows(session, plan)
    first.state, second.state = State.ANSWERED, State.NUDGED
    await course.end_plan(session, plan=plan, doctor=clinic.doctor)
    states = [one.state for one in await rows(session, plan)]
    assert states[0] is State.ANSWERED
    assert set(states[1:]) == {State.CANCELLED}
    assert all(one.next_at is None for one in (await rows(session, plan))[1:])
    assert (await ward.acts(clinic.lin.id))[-1] == "followup_ended"
    assert await tick(session, at(clock.now() + timedelta(days=60))) == []


# -- asking -------------------------------------------------------------------------------------------------------


async def test_when_the_assistant_may_write_the_due_checkin_is_asked(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    assert await tick(session, at(first.due_at - timedelta(seconds=1))) == []
    [to_ask] = await tick(session, at(first.due_at))
    assert (to_ask.checkin_id, to_ask.account_id) == (first.id, clinic.account.id)
    assert first.state is State.DUE
    assert await ward.owed(clinic.account) == []
    assert await tick(session, clock.now()) == [], "handed out once"


async def test_when_it_may_not_the_patient_is_invited_and_no_form_opens(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    assert await tick(session, at(first.due_at), never) == []
    assert (first.state, first.asked_at) == (State.INVITED, None)
    [invitation] = await ward.owed(clinic.account, Kind.INVITATION)
    assert "开始" in invitation


async def test_who_was_invited_begins_by_writing_and_the_notices_fall_away(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    await tick(session, at(first.due_at), never)
    row = (await session.scalars(select(Outbox).where(Outbox.kind == Kind.INVITATION))).one()
    row.state = Owed.PARKED
    await session.flush()
    waiting = await course.waiting_invitation(session, clinic.account.id, begins=False)
    assert waiting is not None
    assert waiting.checkin_id == first.id
    assert (row.state, row.reason) == (Owed.SUPERSEDED, "the_patient_wrote")
    await course.asked(session, first)
    assert first.state is State.ASKED
    assert await course.waiting_invitation(session, clinic.account.id, begins=True) is None


async def test_who_left_in_the_middle_is_asked_again_only_when_they_say_so(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    course.left(first)
    await session.flush()
    assert await course.waiting_invitation(session, clinic.account.id, begins=False) is None
    again = await course.waiting_invitation(session, clinic.account.id, begins=True)
    assert again is not None
    assert (again.checkin_id, again.attempt) == (first.id, 1), "another asking than the first, for the lane"
    await course.asked(session, first)
    assert (first.state, first.reason) == (State.ASKED, None)
    at(clock.now() + timedelta(days=1, seconds=5))
    await tick(session, clock.now())
    assert first.state is State.NUDGED


@pytest.mark.parametrize("holder", [Holder.DOCTOR, Holder.ALARM])
async def test_nothing_is_asked_while_somebody_else_has_the_conversation(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime], holder: Holder
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    clinic.account.holder = holder
    assert await tick(session, at(first.due_at)) == []
    assert (first.state, first.postponed) == (State.SCHEDULED, 1)
    clinic.account.holder = Holder.ASSISTANT
    assert await tick(session, at(first.due_at + timedelta(minutes=29))) == []
    [to_ask] = await tick(session, at(first.due_at + timedelta(minutes=30)))
    assert to_ask.attempt == 1, "another asking than the first, for the lane"


async def test_one_question_at_a_time_for_one_account(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    plan = FollowupPlan(
        person_id=clinic.lin.id,
        account_id=clinic.account.id,
        plan_key="other",
        title="另一个",
        anchor_on=TODAY,
        started_by=clinic.doctor.id,
        started_at=clock.now(),
    )
    session.add(plan)
    await session.flush()
    other = CheckIn(
        plan_id=plan.id,
        person_id=clinic.lin.id,
        account_id=clinic.account.id,
        key="day_1",
        questions=["platelet"],
        due_at=clock.now(),
        state=State.SCHEDULED,
        next_at=clock.now(),
    )
    session.add(other)
    await session.flush()
    assert await tick(session, clock.now()) == []
    assert (other.state, other.postponed, first.state) == (State.SCHEDULED, 1, State.ASKED)


async def test_after_days_away_the_newest_is_asked_and_the_others_are_part_of_it(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    check_ins = await rows(session, await started(session, clinic))
    back = at(check_ins[2].due_at + timedelta(hours=1))
    to_ask = await tick(session, back)
    assert [one.checkin_id for one in to_ask] == [check_ins[2].id]
    assert [one.state for one in check_ins[:4]] == [State.MERGED, State.MERGED, State.DUE, State.SCHEDULED]
    assert {one.reason for one in check_ins[:2]} == {"asked_with_a_later_one"}


async def test_two_services_ticking_hand_out_a_checkin_once(
    database: Any, now: datetime, at: Callable[[datetime], datetime]
) -> None:
    import asyncio

    async with database.transaction() as session:
        ward = Ward(session)
        hospital = await ward.hospital("江南一院")
        doctor = await ward.staff("李慧", hospital)
        for _ in range(10):
            _, person = await ward.patient(hospital)
            await course.start_plan(session, person=person, plan_key="new_treatment", anchor_on=TODAY, doctor=doctor)
    moment = at(due_at(TODAY, 1))

    async def ticks() -> list[course.ToAsk]:
        async with database.transaction() as session:
            return await tick(session, moment)

    handed_out = [one.checkin_id for found in await asyncio.gather(*(ticks() for _ in range(4))) for one in found]
    assert len(handed_out) == len(set(handed_out)) == 10


async def test_what_could_not_be_asked_after_all_comes_again_in_half_an_hour(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    await tick(session, at(first.due_at))
    await course.postpone(session, first, clock.now())
    assert first.state is State.SCHEDULED
    await session.flush()
    at(clock.now() + timedelta(minutes=31))
    [again] = await tick(session, clock.now())
    assert (again.checkin_id, again.attempt) == (first.id, 1)


# -- not answered -------------------------------------------------------------------------------------------------


async def test_silence_is_reminded_of_then_a_nurses_then_a_doctors_then_lost(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    began = first.asked_at
    assert began is not None
    for days, state in (
        (1, State.NUDGED),
        (2, State.NURSE_TASK),
        (3, State.DOCTOR_TASK),
        (30, State.LOST),
    ):
        at(began + timedelta(days=days, seconds=-5))
        await tick(session, clock.now())
        assert first.state is not state
        at(began + timedelta(days=days, seconds=5))
        await tick(session, clock.now())
        assert first.state is state
    assert (first.reason, first.next_at) == ("never_answered", None)
    assert len(await ward.owed(clinic.account, Kind.INVITATION)) >= 1
    [question] = await ward.consultations(clinic.account)
    assert (question.level, question.reason) == (Level.ROUTINE, "随访未回答")
    assert len(await ward.alerts(clinic.doctor)) == 1


async def test_after_a_worrying_answer_silence_goes_to_the_doctor_without_a_detour(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first, second, *_ = await rows(session, await started(session, clinic))
    first.state, first.level, first.answered_at = State.ANSWERED, "urgent", clock.now()
    first.next_at = None
    await session.flush()
    await tick(session, at(second.due_at))
    await course.asked(session, second)
    for _ in range(2):
        at(clock.now() + timedelta(days=1, seconds=5))
        await tick(session, clock.now())
    assert second.state is State.DOCTOR_TASK


async def test_an_invited_patient_who_never_writes_is_reminded_and_becomes_a_task_too(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await rows(session, await started(session, clinic)))[0]
    await tick(session, at(first.due_at), never)
    for state in (State.NUDGED, State.NURSE_TASK, State.DOCTOR_TASK):
        at(clock.now() + timedelta(days=1, seconds=5))
        await tick(session, clock.now(), never)
        assert first.state is state


async def test_who_answers_late_is_still_answered(
    session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    for _ in range(3):
        at(clock.now() + timedelta(days=1, seconds=5))
        await tick(session, clock.now())
    assert await answers.running(session, clinic.account.id) is first
    done = await complete(session, clinic, first, platelet="没查", bleeding="没有")
    assert (done.check_in.state, done.level) == (State.ANSWERED, None)


# -- answered -----------------------------------------------------------------------------------------------------


async def complete(
    session: AsyncSession, clinic: SimpleNamespace, check_in: CheckIn, *, platelet: str, bleeding: str
) -> answers.Completed:
    return await answers.complete(
        session,
        clinic.account,
        check_in,
        {"platelet": read_platelet(platelet), "bleeding": read_bleeding(bleeding)},
        judge=judge_sentence,
        cause=f"message:{check_in.id}",
        at=clock.now(),
    )


async def test_answers_are_sealed_recorded_and_end_the_checkin(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    done = await complete(session, clinic, first, platelet="4.8万", bleeding="没有")
    assert (first.state, first.next_at, done.level, done.receipt) == (State.ANSWERED, None, None, None)
    assert first.answers_sealed is not None
    assert b"4.8" not in first.answers_sealed
    assert first.answers(session, clinic.lin)["platelet"]["value"] == 48.0
    observed = {(row.kind.value, row.value, row.code, row.source) for row in await ward.observations(clinic.lin)}
    assert observed == {("platelet", 48.0, None, "checkin:day_1"), ("bleeding", None, "none", "checkin:day_1")}
    assert await ward.consultations(clinic.account) == []


@pytest.mark.parametrize(
    ("platelet", "bleeding", "level"),
    [("18", "没有", Level.URGENT), ("5千", "没有", Level.EMERGENCY), ("没查", "今天一直拉黑便", Level.EMERGENCY)],
)
async def test_a_worrying_answer_opens_a_consultation_at_its_level(
    ward: Ward,
    session: AsyncSession,
    clinic: SimpleNamespace,
    at: Callable[[datetime], datetime],
    platelet: str,
    bleeding: str,
    level: Level,
) -> None:
    first = await asked(session, clinic, at)
    done = await complete(session, clinic, first, platelet=platelet, bleeding=bleeding)
    assert (done.level, first.level) == (level, level.value)
    [question] = await ward.consultations(clinic.account)
    assert question.level is level
    assert question.reason.startswith("随访：")
    assert bleeding in (await ward.words(question, "patient"))[0]


async def test_a_count_that_was_recorded_at_once_because_it_was_urgent_is_not_recorded_again(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = await asked(session, clinic, at)
    await records.record_counts(session, clinic.lin, "血小板18", cause="message:urgent")
    await complete(session, clinic, first, platelet="18", bleeding="没有")
    assert [row.value for row in await ward.observations(clinic.lin) if row.value] == [18.0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48", 48.0),
        ("4.8万", 48.0),
        ("昨天查的 4.8万", 48.0),
        ("３０", 30.0),
        ("没查", None),
        ("还没去抽血", None),
        ("不知道", None),
    ],
)
def test_a_platelet_answer_needs_no_word_for_platelets(now: datetime, text: str, value: float | None) -> None:
    read = read_platelet(text)
    assert read is not None
    assert read["value"] == value
    assert read["typed"] == text


@pytest.mark.parametrize("text", ["你好", "能不能跑步", "20到30", ""])
def test_an_answer_that_is_not_understood_is_asked_again_not_guessed(now: datetime, text: str) -> None:
    assert read_platelet(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("没有", "none"),
        ("都没有。", "none"),
        ("早上流鼻血", "mucosa"),
        ("牙龈有点渗血", "mucosa"),
        ("腿上几个出血点", "skin"),
        ("大便有点黑", "organ"),
        ("鼻血，还有黑便", "organ"),
        ("有一点", "unclear"),
    ],
)
def test_the_gravest_kind_of_bleeding_is_what_is_kept(text: str, code: str) -> None:
    assert read_bleeding(text)["code"] == code


def test_what_says_nothing_of_bleeding_is_no_answer_to_it() -> None:
    assert read_bleeding("能不能打篮球", strict=True) is None
