"""The power goes while a check-in is asked and in the middle of its form."""

import asyncio
import random

import pytest
from kill.conftest import Patient, Theatre
from sqlalchemy import select, text

from bot import clock
from bot.care.followups import course
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import State
from bot.care.patients import person_of
from bot.care.roster import Staff

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]

FIRST, SECOND = "最近一次血小板是多少", "有没有出血"


async def follow_up(theatre: Theatre) -> Patient:
    """A patient whose first check-in is due now."""
    patient = await theatre.patient()
    await theatre.at_rest()
    account = await patient.account()
    async with theatre.database.transaction() as session:
        person = await person_of(session, account.id)
        assert person is not None
        doctor = (await session.scalars(select(Staff).where(Staff.login == "zhou"))).one()
        plan = await course.start_plan(
            session, person=person, plan_key="new_treatment", anchor_on=clock.today(), doctor=doctor
        )
        due = (
            await session.scalars(
                select(CheckIn)
                .where(CheckIn.plan_id == plan.id, CheckIn.state == State.SCHEDULED)
                .order_by(CheckIn.due_at)
                .limit(1)
            )
        ).one()
        await session.execute(text("update checkin set next_at = null where plan_id = :plan"), {"plan": plan.id})
        await session.execute(
            text("update checkin set next_at = now() where id = :id"),
            {"id": due.id},
        )
    return patient


async def dies_at_its_tick(theatre: Theatre) -> None:
    ticking = asyncio.create_task(theatre.tick())
    await theatre.dies()
    await asyncio.gather(ticking, return_exceptions=True)
    await theatre.power_is_back()
    await theatre.tick()


async def dies_at_an_answer(theatre: Theatre, patient: Patient, words: str) -> None:
    patient.says(words)
    await theatre.dies()
    await theatre.power_is_back()
    await asyncio.gather(*patient.outcomes)
    await theatre.at_rest()


async def asked(patient: Patient) -> None:
    await patient.phone.waits_for(FIRST, within=20, since=0)


async def ended_well(theatre: Theatre, patient: Patient, *, worrying: bool, questions: int = 1) -> None:
    """Answered once, recorded once, and each question heard once."""
    await theatre.at_rest()
    await patient.heard_each_once()
    assert len([m for m in patient.phone.hears() if FIRST in m.words()]) == questions
    assert len([m for m in patient.phone.hears() if SECOND in m.words()]) == 1
    assert await patient.one("select count(*) from checkin where account_id = :account and state = 'answered'") == 1
    observed = "select count(*) from observation where person_id = :person and kind = :kind"
    assert await patient.one(observed, kind="platelet") == 1
    assert await patient.one(observed, kind="bleeding") == 1
    assert await patient.one("select count(*) from consultation where account_id = :account") == worrying
    assert await patient.one("select count(*) from form_draft where account_id = :account") == 0


def answers(dice: random.Random) -> tuple[str, str, bool]:
    """Two answers, and whether they worry."""
    return dice.choice([(f"{dice.randrange(55, 90)}", "没有", False), ("查了，1.8万", "腿上有几个新的出血点", True)])


@pytest.mark.parametrize(
    "point",
    [
        "followups.done",
        "followups.committed",
        "checkin.triggered",
        "action.committed",
        "checkin.answered",
        "row.claimed",
        "row.sent",
    ],
)
async def test_a_check_in_is_asked_once_whenever_the_power_goes(theatre: Theatre, point: str, kill_round: int) -> None:
    first, second, worrying = answers(random.Random(f"{point} {kill_round}"))
    patient = await follow_up(theatre)
    await theatre.power_cut_at(point)
    await dies_at_its_tick(theatre)
    if point == "row.claimed":
        # Whether the question left is not known: it is not sent twice, and the form is open for what the patient says.
        await theatre.at_rest()
        state = await patient.one("select state from outbox where account_id = :account and kind = 'checkin'")
        assert state == "maybe_sent"
    else:
        await asked(patient)
        await theatre.at_rest()
    await patient.says(first)
    await patient.says(second)
    await ended_well(theatre, patient, worrying=worrying, questions=0 if point == "row.claimed" else 1)


@pytest.mark.parametrize(
    ("which", "point"),
    [
        ("first", "engine.asked"),
        ("first", "action.committed"),
        ("first", "engine.answered"),
        ("second", "action.written"),
        ("second", "action.committed"),
        ("second", "engine.answered"),
        ("second", "answer.owed"),
    ],
)
async def test_answers_of_a_check_in_count_once_whenever_the_power_goes(
    theatre: Theatre, which: str, point: str, kill_round: int
) -> None:
    dice = random.Random(f"{which} {point} {kill_round}")
    first, second, worrying = answers(dice)
    patient = await follow_up(theatre)
    await theatre.tick()
    await asked(patient)
    if which == "first":
        await theatre.power_cut_at(point)
        await dies_at_an_answer(theatre, patient, first)
        await patient.says(second)
    else:
        await patient.says(first)
        # The form's validation is an action too; the last one of the turn stores the answers.
        await theatre.power_cut_at(point, at=dice.randint(1, 2) if point.startswith("action.") else 1)
        await dies_at_an_answer(theatre, patient, second)
    await ended_well(theatre, patient, worrying=worrying)
