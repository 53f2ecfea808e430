"""What is unknown is asked; silence for five minutes is taken for the worst (settled with the reviewer's signature)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import awaited
from bot.care.consultations import answering
from bot.care.consultations.states import Level
from bot.care.roster import Part
from bot.outbox.rows import Kind
from bot.store.accounts import Holder

JUST_UNDER, JUST_OVER = timedelta(minutes=4, seconds=58), timedelta(minutes=5, seconds=2)


@pytest.mark.parametrize(
    ("needs", "part"),
    [
        (("platelet_count",), "血小板是多少"),
        (("platelet_count", "is_it_now"), "现在正在发生"),
        (("medicines", "count_unit"), "带上单位"),
        (("where_are_you",), None),
        ((), None),
    ],
)
def test_one_question_is_put_the_one_that_matters_most(needs: tuple[awaited.Need, ...], part: str | None) -> None:
    asked = awaited.question(needs)
    assert asked is None if part is None else asked is not None and part in asked


async def test_silence_for_five_minutes_makes_it_an_emergency(
    ward: Ward, session: AsyncSession, now: datetime, at: Callable[[datetime], datetime]
) -> None:
    hospital = await ward.hospital("江南一院")
    duty = await ward.staff("李慧", hospital, part=Part.DUTY)
    account, person = await ward.patient(hospital)
    receipt = await ward.asks(account, person, "牙龈一直渗血", level=Level.URGENT)
    await awaited.wait_for(session, account, person, ("platelet_count",), clock.now())

    at(now + JUST_UNDER)
    assert await awaited.raise_silent(session, clock.now()) == 0

    at(now + JUST_OVER)
    assert await awaited.raise_silent(session, clock.now()) == 1
    await session.refresh(receipt.consultation)
    assert receipt.consultation.level is Level.EMERGENCY
    assert account.holder is Holder.ALARM
    assert len(await ward.alerts(duty)) == 2
    advice = await ward.owed(account, Kind.ADVICE)
    assert len(advice) == 1 and "120" in advice[0]

    assert await awaited.raise_silent(session, clock.now()) == 0


async def test_any_word_ends_the_waiting(
    ward: Ward, session: AsyncSession, now: datetime, at: Callable[[datetime], datetime]
) -> None:
    account, person = await ward.patient(await ward.hospital("江南一院"))
    await awaited.wait_for(session, account, person, ("is_it_now",), clock.now())
    await awaited.answered(session, account.id, clock.now())
    at(now + JUST_OVER)
    assert await awaited.raise_silent(session, clock.now()) == 0
    assert account.holder is Holder.ASSISTANT


async def test_a_doctor_who_has_the_conversation_is_not_overruled(
    ward: Ward, session: AsyncSession, now: datetime, at: Callable[[datetime], datetime]
) -> None:
    hospital = await ward.hospital("江南一院")
    duty = await ward.staff("李慧", hospital, part=Part.DUTY)
    account, person = await ward.patient(hospital)
    receipt = await ward.asks(account, person, "牙龈一直渗血", level=Level.URGENT)
    await awaited.wait_for(session, account, person, ("platelet_count",), clock.now())
    await answering.claim(session, consultation_id=receipt.consultation.id, doctor=duty)
    at(now + JUST_OVER)
    await awaited.raise_silent(session, clock.now())
    assert account.holder is Holder.DOCTOR
    assert receipt.consultation.level is Level.URGENT
