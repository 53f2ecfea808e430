"""The power goes between every two steps of a patient's message; nothing is lost, done twice or out of order."""

import asyncio
import random

import pytest
from kill.conftest import Theatre

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]

QUESTIONS = ("血小板低能不能打篮球", "血小板低可以拔牙吗", "得了ITP能怀孕吗", "ITP会传染吗")
POINTS = (
    "message.stored",
    "triage.judged",
    "message.triaged",
    "lane.taken",
    "engine.asked",
    "action.written",
    "action.committed",
    "engine.answered",
    "answer.owed",
    "reply.claimed",
    "reply.flushed",
)


@pytest.mark.parametrize("point", POINTS)
async def test_messages_in_flight_survive_a_power_cut(theatre: Theatre, point: str, kill_round: int) -> None:
    dice = random.Random(f"{point} {kill_round}")
    asker, reporter = await theatre.patient(), await theatre.patient()
    count = dice.randrange(31, 95)
    report = f"今天血小板 {count}，艾曲泊帕要不要加量"
    if (POINTS.index(point) + kill_round) % 2:
        # WeChat delivers once and does not come again: only the inbox knows of it.
        theatre.wechat_tries(1)
        await theatre.power_cut_at(point)
        reporter.says(report)
    else:
        await theatre.power_cut_at(point, at=dice.randint(1, 2))
        speaking = [(asker, dice.choice(QUESTIONS)), (reporter, report)]
        dice.shuffle(speaking)
        for patient, words in speaking:
            patient.says(words)
            await asyncio.sleep(dice.uniform(0, 0.05))
        asker.says("谢谢")
    await theatre.dies()
    await theatre.power_is_back()
    await asyncio.gather(*asker.outcomes, *reporter.outcomes)
    theatre.wechat_tries(3)
    await theatre.at_rest()
    for patient in (asker, reporter):
        await patient.heard_each_once(twice=point == "reply.flushed")
    stored = "select count(*) from observation where person_id = :person and value = :count"
    assert await reporter.one(stored, count=count) == 1
    assert await reporter.one("select count(*) from consultation where account_id = :account") == 1
    entries = "select count(*) from consultation_entry e join consultation c on c.id = e.consultation_id"
    assert await reporter.one(f"{entries} where c.account_id = :account and e.kind = 'patient'") == 1
