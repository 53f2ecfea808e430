"""Who is on duty: a pure rule over shifts, and who of them may be asked."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from care.ward import Ward
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import roster
from bot.care.roster import OnDuty, Part, Role, next_on_duty, who_is_on_duty

START = datetime(2026, 3, 1, tzinfo=UTC)
STAFF = [uuid.UUID(int=number) for number in range(1, 6)]

moments = st.integers(0, 3 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


@st.composite
def shifts(draw: st.DrawFn) -> OnDuty:
    begins = draw(moments)
    lasts = timedelta(minutes=draw(st.integers(1, 36 * 60)))
    return OnDuty(draw(st.sampled_from(STAFF)), draw(st.sampled_from(Part)), begins, begins + lasts)


@given(st.lists(shifts(), max_size=12), moments, st.sampled_from(Part))
def test_on_duty_is_who_has_a_shift_running_each_once(plan: list[OnDuty], at: datetime, part: Part) -> None:
    found = who_is_on_duty(plan, at, part)
    assert len(set(found)) == len(found)
    assert set(found) == {s.staff_id for s in plan if s.part is part and s.starts_at <= at and at < s.ends_at}


@given(st.lists(shifts(), max_size=12), moments, st.randoms())
def test_the_order_of_rows_decides_nothing(plan: list[OnDuty], at: datetime, dice: object) -> None:
    mixed = list(plan)
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    assert who_is_on_duty(mixed, at) == who_is_on_duty(plan, at)


@given(st.lists(shifts(), max_size=12), moments)
def test_the_longest_on_duty_comes_first(plan: list[OnDuty], at: datetime) -> None:
    began = [
        min(s.starts_at for s in plan if s.staff_id == who and s.part is Part.DUTY and s.starts_at <= at < s.ends_at)
        for who in who_is_on_duty(plan, at)
    ]
    assert began == sorted(began)


@given(st.lists(shifts(), max_size=12), moments)
def test_the_next_duty_begins_later_and_none_between(plan: list[OnDuty], after: datetime) -> None:
    coming = [s for s in plan if s.part is Part.DUTY and s.starts_at > after]
    found = next_on_duty(plan, after)
    assert (found is None) == (not coming)
    if found is not None:
        assert found[0] == min(s.starts_at for s in coming)
        assert OnDuty(found[1], Part.DUTY, found[0], found[0]).staff_id in {s.staff_id for s in coming}


def test_a_night_shift_runs_over_midnight_in_china() -> None:
    night = datetime(2026, 3, 4, 20, tzinfo=clock.SHANGHAI)
    shift = OnDuty(STAFF[0], Part.DUTY, night.astimezone(UTC), (night + timedelta(hours=12)).astimezone(UTC))
    after_midnight = datetime(2026, 3, 5, 0, 1, tzinfo=clock.SHANGHAI)
    assert who_is_on_duty([shift], after_midnight) == (STAFF[0],)


def test_at_the_change_of_shifts_exactly_one_is_on_duty() -> None:
    eight = START + timedelta(hours=8)
    day, night = (
        OnDuty(STAFF[0], Part.DUTY, START, eight),
        OnDuty(STAFF[1], Part.DUTY, eight, eight + timedelta(hours=8)),
    )
    assert who_is_on_duty([day, night], eight - timedelta(microseconds=1)) == (STAFF[0],)
    assert who_is_on_duty([day, night], eight) == (STAFF[1],)


def test_in_a_gap_nobody_is_on_duty_and_the_next_is_known() -> None:
    later = START + timedelta(hours=10)
    plan = [
        OnDuty(STAFF[0], Part.DUTY, START, START + timedelta(hours=8)),
        OnDuty(STAFF[1], Part.DUTY, later, later + timedelta(hours=8)),
    ]
    at = START + timedelta(hours=9)
    assert who_is_on_duty(plan, at) == ()
    assert next_on_duty(plan, at) == (later, STAFF[1])


async def test_a_paused_doctor_is_not_asked_until_the_pause_ends(
    ward: Ward, session: AsyncSession, now: datetime
) -> None:
    hospital = await ward.hospital("江南一院")
    doctor = await ward.staff("李慧", hospital, part=Part.DUTY, paused_until=now + timedelta(hours=1))
    assert await roster.on_duty(session, hospital.id, now) == []
    assert await roster.on_duty(session, hospital.id, now + timedelta(hours=1)) == [doctor]


@pytest.mark.parametrize("facts", [{"active": False}, {"role": Role.NURSE}, {"role": Role.CDC_EDITOR}])
async def test_who_left_or_may_not_answer_is_not_asked(
    ward: Ward, session: AsyncSession, now: datetime, facts: dict[str, object]
) -> None:
    hospital = await ward.hospital("江南一院")
    await ward.staff("李慧", hospital, part=Part.DUTY, **facts)
    assert await roster.on_duty(session, hospital.id, now) == []


async def test_one_hospitals_duty_is_not_anothers(
    ward: Ward, session: AsyncSession, at: Callable[[datetime], datetime]
) -> None:
    now = at(datetime(2026, 3, 4, 2, tzinfo=UTC))
    one, two = await ward.hospital("江南一院"), await ward.hospital("市二院")
    mine = await ward.staff("李慧", one, part=Part.DUTY)
    backup = await ward.staff("王强", one, part=Part.BACKUP)
    theirs = await ward.staff("赵敏", two, part=Part.DUTY)
    assert await roster.on_duty(session, one.id, now) == [mine]
    assert await roster.on_duty(session, one.id, now, Part.BACKUP) == [backup]
    assert await roster.on_duty(session, two.id, now) == [theirs]


async def test_staff_are_known_by_their_phone_while_they_work_here(ward: Ward, session: AsyncSession) -> None:
    doctor = await ward.staff("李慧", await ward.hospital("江南一院"))
    assert doctor.account_id is not None
    assert await roster.staff_with_account(session, doctor.account_id) is doctor
    doctor.active = False
    await session.flush()
    assert await roster.staff_with_account(session, doctor.account_id) is None


async def test_patients_read_names_as_people_say_them(ward: Ward) -> None:
    hospital = await ward.hospital("江南一院")
    staff = [await ward.staff("李慧", hospital), await ward.staff("王强", hospital)]
    assert roster.names(staff) == "李医生、王医生"
