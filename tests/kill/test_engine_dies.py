"""The engine dies in the middle of turns, the service lives on: patients hear that their words are kept, then the answer."""

import asyncio
import os
import random
import signal

import pytest
from kill.conftest import Theatre

from bot.dialogue.engine_process import State

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]


async def test_turns_survive_the_death_of_the_engine(theatre: Theatre, kill_round: int) -> None:
    dice = random.Random(f"engine {kill_round}")
    asker, reporter, alarmed = [await theatre.patient() for _ in range(3)]
    await theatre.at_rest()
    count = dice.randrange(31, 95)
    asker.says("血小板低能不能打篮球")
    reporter.says(f"今天血小板 {count}，艾曲泊帕要不要加量")
    await asyncio.sleep(dice.uniform(0, 0.15))
    assert theatre.engine.pid is not None
    os.kill(theatre.engine.pid, signal.SIGKILL)
    while theatre.engine.state is State.READY:
        await asyncio.sleep(0.02)
    # While it is down, red flags work as ever, and whoever else writes is told that it is kept.
    advice = await alarmed.says("头疼得厉害，吐了两次")
    assert "120" in advice
    assert advice.seconds < 2
    reporter.says("谢谢")
    await reporter.phone.waits_for("已经收到并保存", within=15, since=0)
    await theatre.engine.wait_ready()
    await theatre.on.passes(seconds=31)
    await asyncio.gather(*asker.outcomes, *reporter.outcomes)
    await theatre.at_rest()
    for patient in (asker, reporter, alarmed):
        await patient.heard_each_once()
    handed = "select count(*) from message where account_id = :account and stage = 'handed_to_human'"
    for patient in (asker, reporter):
        assert await patient.one(handed) == 0
    stored = "select count(*) from observation where person_id = :person and value = :count"
    assert await reporter.one(stored, count=count) == 1
    assert await reporter.one("select count(*) from consultation where account_id = :account") == 1
