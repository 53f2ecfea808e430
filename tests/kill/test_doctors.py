"""The power goes while a doctor answers, and while questions that nobody took move on."""

import asyncio
import random

import pytest
from kill.conftest import Patient, Theatre
from sqlalchemy import text

from bot.demo.browser import StaffBrowser
from bot.demo.world import PASSWORD
from bot.simulator.browser import Browser

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]


async def asks_a_doctor(theatre: Theatre, dice: random.Random) -> Patient:
    patient = await theatre.patient()
    await patient.says(f"我早上血小板 {dice.randrange(31, 95)}，艾曲泊帕要不要加量")
    await theatre.at_rest()
    return patient


@pytest.mark.parametrize("point", ["doctor.answered", "row.claimed", "row.sent"])
async def test_a_doctors_answer_is_sent_once_or_is_in_doubt_never_twice(
    theatre: Theatre, point: str, kill_round: int
) -> None:
    dice = random.Random(f"{point} {kill_round}")
    patient = await asks_a_doctor(theatre, dice)
    words = f"先不要自己加量，{dice.randrange(2, 9)}天后来门诊复查。"
    staff = StaffBrowser(Browser(theatre.on.phone("周医生")))
    await staff.log_in(theatre.on.app.url, "zhou", PASSWORD)
    consultation = await patient.one("select id from consultation where account_id = :account")
    url = f"{theatre.on.app.url}/doctor/consultations/{consultation}"
    await staff.open(url)
    await staff.send("/claim")
    await staff.open(url)
    await theatre.at_rest()
    form = staff.page
    await theatre.power_cut_at(point)
    sending = asyncio.create_task(staff.send("/answer", text=words))
    await theatre.dies()
    await asyncio.gather(sending, return_exceptions=True)
    await theatre.power_is_back()
    # The doctor does not know whether it went, and sends the same form again.
    staff.page = form
    await staff.send("/answer", text=words)
    await theatre.at_rest()
    await patient.heard_each_once()
    heard = [m for m in patient.phone.hears() if words in m.words()]
    state = await patient.one("select state from outbox where account_id = :account and kind = 'doctor_answer'")
    assert (len(heard), state) == {
        "doctor.answered": (1, "sent_active"),
        "row.claimed": (0, "maybe_sent"),
        "row.sent": (1, "maybe_sent"),
    }[point]
    assert (
        await patient.one(
            "select count(*) from consultation_entry where kind = 'doctor' and consultation_id = :c", c=consultation
        )
        == 1
    )


@pytest.mark.parametrize("point", ["ladder.moved", "ladder.committed"])
async def test_a_question_that_nobody_took_moves_on_once(theatre: Theatre, point: str, kill_round: int) -> None:
    dice = random.Random(f"{point} {kill_round}")
    patient = await asks_a_doctor(theatre, dice)
    since = theatre.on.world.last_message_id
    async with theatre.database.connection() as connection:
        await connection.execute(
            text("update consultation set rung = 1, moves_at = now() where account_id = :account"),
            {"account": (await patient.account()).id},
        )
    await theatre.power_cut_at(point)
    ticking = asyncio.create_task(theatre.tick())
    await theatre.dies()
    await asyncio.gather(ticking, return_exceptions=True)
    await theatre.power_is_back()
    await theatre.tick()
    await theatre.at_rest()
    await patient.heard_each_once()
    # The sender may have had the notice on its way already when the power went: then it is in doubt, and not sent again.
    told = "select count(*) from outbox where account_id = :account and cause like '%:moved:%'"
    assert await patient.one(told) == 1
    moved = """select count(*) from consultation_entry e join consultation c on c.id = e.consultation_id
               where c.account_id = :account and e.kind = 'event'"""
    assert await patient.one(moved) == 1
    number = await patient.one("select number from consultation where account_id = :account")
    alerts = [m for m in theatre.on.phone("周医生").hears(since=since) if str(number) in m.words()]
    assert len(alerts) == 1
