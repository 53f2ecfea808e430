"""Two processes of the service behind one account: whoever gets a message, a patient's are answered in order, each once."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from kill.conftest import Patient, Theatre

from bot.demo.stage import App
from bot.simulator.history import Channel

pytestmark = [pytest.mark.kill, pytest.mark.asyncio(loop_scope="session")]

BURST = 15


@pytest_asyncio.fixture(loop_scope="session")
async def other(theatre: Theatre) -> AsyncIterator[App]:
    """A second process. WeChat's pushes go to the first again afterwards."""
    app = theatre.on.another_app()
    await app.start()
    await app.alive(theatre.on.http)
    yield app
    push_to(theatre, theatre.on.app)
    stopped = app.process is not None and app.process.returncode is None
    await app.stop()
    if stopped:
        # In good order: no row is left in the middle, in doubt for ever.
        await theatre.at_rest()
    theatre.on.apps.remove(app)


def push_to(theatre: Theatre, app: App) -> None:
    """Where the load balancer sends what comes from now on."""
    theatre.on.world.config = replace(theatre.on.world.config, callback_url=f"{app.url}/wechat")


async def says_to(theatre: Theatre, app: App, patient: Patient, words: str) -> None:
    """Until it is stored (or its process died of it): the order is that of arrival."""
    stored = "select count(*) from message where account_id = :account and kind = 'text'"
    push_to(theatre, app)
    patient.says(words)
    async with asyncio.timeout(10):
        while await patient.one(stored) < len(patient.said):
            await asyncio.sleep(0.005)


async def turns_of(theatre: Theatre, app: App) -> int:
    """How many turns this process has worked on."""
    async with theatre.on.http.get(app.internal_url + "/metrics") as response:
        found = re.search(r"^itp_message_lane_seconds_count (\S+)", await response.text(), re.M)
    return int(float(found[1])) if found else 0


async def test_thirty_messages_through_two_processes_are_answered_in_order(
    theatre: Theatre, other: App, kill_round: int
) -> None:
    dice = random.Random(f"thirty {kill_round}")
    patient = await theatre.patient()
    # Growing, because a count that fell by half is something for a doctor and has another answer.
    counts = sorted(dice.sample(range(31, 300), 2 * BURST))
    for burst in (counts[:BURST], counts[BURST:]):
        for number, count in enumerate(burst):
            app = (theatre.on.app, other)[(number + kill_round) % 2]
            await says_to(theatre, app, patient, f"今天血小板 {count}")
            await asyncio.sleep(dice.uniform(0, 0.05))
        await asyncio.gather(*patient.outcomes)
        await theatre.at_rest()
        # More than twenty in five minutes would be a flood, which is answered together.
        await theatre.on.passes(minutes=6)
    await patient.heard_each_once()
    answers = [re.search(r"血小板 (\d+) ×10⁹/L", m.words()) for m in patient.phone.hears()]
    assert [int(found[1]) for found in answers if found] == counts
    assert await patient.one("select count(*) from observation where person_id = :person") == 2 * BURST


async def test_a_request_gets_the_reply_that_the_other_process_worked_out(
    theatre: Theatre, other: App, kill_round: int
) -> None:
    patient = await theatre.patient()
    await theatre.at_rest()
    for number in range(8):
        await says_to(theatre, theatre.on.app, patient, f"今天血小板 {40 + number}")
    before = await turns_of(theatre, other)
    await says_to(theatre, other, patient, "今天血小板 77")
    outcome = await patient.outcomes[-1]
    assert await turns_of(theatre, other) == before, "the first process held the lane and did the work"
    assert "77 ×10⁹/L" in outcome, "the open request of the second carried the answer"
    await theatre.at_rest()
    await patient.heard_each_once()


@pytest.mark.parametrize("point", ["lane.taken", "engine.answered"])
async def test_a_lane_whose_process_dies_in_a_turn_is_taken_over_at_once(
    theatre: Theatre, other: App, point: str, kill_round: int
) -> None:
    dice = random.Random(f"takeover {point} {kill_round}")
    patient = await theatre.patient()
    await theatre.at_rest()
    counts = sorted(dice.sample(range(31, 300), 8))
    counts.reverse()
    said = []
    await theatre.power_cut_at(point, app=other)
    dead = asyncio.create_task(theatre.dies(other))
    while not dead.done():
        # The first process may happen to sweep the lane up before the second has it.
        said.append(counts.pop())
        await says_to(theatre, other, patient, f"今天血小板 {said[-1]}")
        await asyncio.wait([dead, patient.outcomes[-1]], return_when=asyncio.FIRST_COMPLETED)
    await dead
    for _ in range(2):
        said.append(counts.pop())
        await says_to(theatre, theatre.on.app, patient, f"今天血小板 {said[-1]}")
    outcomes = await asyncio.gather(*patient.outcomes)
    assert all(outcome.reply is not None and outcome.reply.channel is Channel.PASSIVE for outcome in outcomes)
    await theatre.at_rest()
    await patient.heard_each_once()
    answers = [re.search(r"血小板 (\d+) ×10⁹/L", m.words()) for m in patient.phone.hears()]
    assert [int(found[1]) for found in answers if found] == said
