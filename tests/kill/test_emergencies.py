"""The power goes while somebody is told to call 120."""

import asyncio
import random

import pytest
from kill.conftest import Theatre

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]

ALARMS = ("头疼得厉害，吐了两次", "刚才摔了头，现在迷糊", "一直吐血，止不住")


POINTS = ("message.stored", "emergency.written", "message.triaged", "reply.claimed")


@pytest.mark.parametrize("point", POINTS)
async def test_the_advice_and_the_alert_survive_a_power_cut(theatre: Theatre, point: str, kill_round: int) -> None:
    dice = random.Random(f"{point} {kill_round}")
    patient = await theatre.patient()
    since = theatre.on.world.last_message_id
    theatre.wechat_tries((1, 3)[(POINTS.index(point) + kill_round) % 2])
    await theatre.power_cut_at(point)
    patient.says(dice.choice(ALARMS))
    await theatre.dies()
    await theatre.power_is_back()
    await asyncio.gather(*patient.outcomes)
    theatre.wechat_tries(3)
    await theatre.at_rest()
    await patient.heard_each_once()
    advice = [m for m in patient.phone.hears() if "120" in [line.strip() for line in m.words().splitlines()]]
    assert len(advice) == 1
    consultation = "select count(*) from consultation where account_id = :account and level = 'emergency'"
    assert await patient.one(consultation) == 1
    number = await patient.one("select number from consultation where account_id = :account")
    alerts = [m for m in theatre.on.phone("周医生").hears(since=since) if str(number) in m.words()]
    assert len(alerts) == 1, "the doctor on duty hears once"
    rechecks = "select count(*) from recheck where account_id = :account"
    assert await patient.one(rechecks) == 2
