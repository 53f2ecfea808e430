"""After an emergency somebody looks again: at a quarter of an hour and at two hours, while the alarm lasts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import rechecks
from bot.care.consultations import answering
from bot.care.consultations.asking import alarm
from bot.care.consultations.states import Level, Outcome
from bot.care.rechecks import Recheck
from bot.care.roster import Part
from bot.outbox.rows import Kind
from bot.store.accounts import Holder

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def clinic(ward: Ward, session: AsyncSession, now: datetime) -> SimpleNamespace:
    hospital = await ward.hospital("江南一院")
    account, person = await ward.patient(hospital)
    doctor = await ward.staff("李慧", hospital, part=Part.DUTY)
    question = (await ward.asks(account, person, "吐血了", level=Level.EMERGENCY)).consultation
    alarm(account, question, clock.now())
    await rechecks.plan(session, account, question.id, clock.now())
    return SimpleNamespace(account=account, doctor=doctor, question=question)


async def outcomes(session: AsyncSession) -> list[str | None]:
    return [row.outcome for row in await session.scalars(select(Recheck).order_by(Recheck.due_at))]


async def test_the_patient_is_asked_at_fifteen_minutes_and_at_two_hours(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    began = clock.now()
    for minutes, asked in ((14, 0), (16, 1), (119, 1), (121, 2), (600, 2)):
        at(began + minutes * MINUTE)
        await rechecks.tick(session, clock.now())
        assert len(await ward.owed(clinic.account, Kind.NOTICE)) == asked, minutes
    assert await outcomes(session) == ["asked", "asked"]
    question = (await ward.owed(clinic.account, Kind.NOTICE))[0]
    for choice in ("已联系120", "已到医院", "不是我现在的情况"):
        assert choice in question
    assert (await ward.words(clinic.question, "event")).count("再次提醒患者就医") == 2


async def test_planning_twice_asks_once(session: AsyncSession, clinic: SimpleNamespace) -> None:
    [first, *_] = await session.scalars(select(Recheck).order_by(Recheck.due_at))
    await rechecks.plan(session, clinic.account, clinic.question.id, first.due_at - rechecks.AFTER[0])
    assert len(await outcomes(session)) == 2


async def test_nobody_is_asked_once_a_doctor_has_the_conversation(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await answering.claim(session, consultation_id=clinic.question.id, doctor=clinic.doctor)
    before = len(await ward.owed(clinic.account, Kind.NOTICE))
    at(clock.now() + 16 * MINUTE)
    await rechecks.tick(session, clock.now())
    assert len(await ward.owed(clinic.account, Kind.NOTICE)) == before
    assert await outcomes(session) == ["no_longer_alarm", None]


async def test_nobody_is_asked_once_the_alarm_is_over(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    clinic.account.holder, clinic.account.holder_consultation_id = Holder.ASSISTANT, None
    await session.flush()
    at(clock.now() + 3 * 60 * MINUTE)
    assert await rechecks.tick(session, clock.now()) == 2
    assert await ward.owed(clinic.account, Kind.NOTICE) == []
    assert await outcomes(session) == ["no_longer_alarm"] * 2


async def test_a_closed_emergency_is_not_asked_about(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await answering.close(
        session, consultation_id=clinic.question.id, doctor=clinic.doctor, outcome=Outcome.SENT_TO_EMERGENCY
    )
    before = len(await ward.owed(clinic.account, Kind.NOTICE))
    at(clock.now() + 16 * MINUTE)
    await rechecks.tick(session, clock.now())
    assert len(await ward.owed(clinic.account, Kind.NOTICE)) == before
