"""Lanes: one message of an account at a time, in order, across processes; none lost, none for ever in the way."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import psycopg
import pytest
from sqlalchemy import select

from bot import clock
from bot.inbox.lanes import Lanes
from bot.inbox.messages import Message, Stage, held
from bot.store.accounts import Account, find_or_create
from bot.store.base import new_id
from bot.store.channel import Channel
from bot.store.database import Database


class Steps:
    """Outside of the lanes: notes what they ask for, in their order, and finishes it as the real steps do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.did: list[tuple[str, ...]] = []
        self.failing: set[str] = set()
        self.during: dict[str, Callable[[], Awaitable[None]]] = {}

    async def triage(self, message: Message) -> None:
        self.did.append(("triaged", message.trace_id))
        async with self._database.transaction() as session:
            current = await held(session, message)
            assert current is not None
            current.stage = Stage.QUEUED

    async def converse(self, messages: Sequence[Message]) -> None:
        names = tuple(message.trace_id for message in messages)
        self.did.append(("tried", *names))
        for name in names:
            if name in self.during:
                await self.during[name]()
        if self.failing.intersection(names):
            raise RuntimeError("does not work")
        if await self._finish(messages, "answered", Stage.DONE):
            self.did.append(("answered", *names))

    async def hand_to_human(self, messages: Sequence[Message], *, why: str) -> None:
        self.did.append((why, *(message.trace_id for message in messages)))
        await self._finish(messages, why, Stage.HANDED_TO_HUMAN)

    async def _finish(self, messages: Sequence[Message], outcome: str, stage: Stage) -> bool:
        async with self._database.transaction() as session:
            current = [row for row in [await held(session, message) for message in messages] if row is not None]
            for row in current:
                row.finish(outcome, stage=stage)
        return bool(current)

    def of(self, what: str) -> list[list[str]]:
        return [names for did, *names in self.did if did == what]


class Process:
    """One app process's lanes, on a connection of its own."""

    def __init__(self, database: Database, steps: Steps) -> None:
        self.channel = Channel(database.address)
        self.steps = steps
        self.lanes = Lanes(database, self.channel, steps)

    async def rests(self) -> None:
        """Until none of its lanes is worked on."""
        async with asyncio.timeout(20):
            while self.lanes._running:
                await asyncio.wait(list(self.lanes._running.values()))
                await asyncio.sleep(0)

    async def sweeps(self) -> None:
        await self.lanes.sweep()
        await self.rests()


@pytest.fixture
def steps(database: Database) -> Steps:
    return Steps(database)


@pytest.fixture
async def process(database: Database, steps: Steps, now: datetime) -> AsyncIterator[Process]:
    process = Process(database, steps)
    await process.channel.open()
    yield process
    await process.lanes.drain()
    await process.channel.close()


@pytest.fixture
async def other_process(database: Database, steps: Steps, now: datetime) -> AsyncIterator[Process]:
    process = Process(database, steps)
    await process.channel.open()
    yield process
    await process.lanes.drain()
    await process.channel.close()


@pytest.fixture
async def lin(database: Database) -> Account:
    return await account(database, "o-lin")


async def account(database: Database, openid: str) -> Account:
    async with database.transaction() as session:
        return await find_or_create(session, openid, now=clock.now())


async def arrives(
    database: Database,
    account: Account,
    *names: str,
    ago: timedelta = timedelta(),
    stage: Stage = Stage.QUEUED,
    kind: str = "text",
    event: str | None = None,
) -> None:
    """Messages of this account, stored as intake stores them, some time ago."""
    async with database.transaction() as session:
        for name in names:
            at = clock.now() - ago
            session.add(
                Message(
                    id=new_id(),
                    received_at=at,
                    account_id=account.id,
                    kind=kind,
                    event=event,
                    trace_id=name,
                    stage=stage,
                    flags=[],
                )
            )
            await session.flush()


async def stages(database: Database) -> dict[str, Stage]:
    async with database.reading() as session:
        return {row.trace_id: row.stage for row in await session.scalars(select(Message))}


def passes(**span: float) -> None:
    clock.set_offset(clock.offset() + timedelta(**span))


async def test_messages_of_an_account_are_answered_in_their_order(
    database: Database, process: Process, lin: Account
) -> None:
    names = [f"m{n}" for n in range(15)]
    await arrives(database, lin, *names)
    process.lanes.wake(lin.id)
    await process.rests()
    assert process.steps.of("answered") == [[name] for name in names]


async def test_two_processes_keep_the_order_and_answer_each_message_once(
    database: Database, process: Process, other_process: Process, lin: Account
) -> None:
    names = [f"m{n}" for n in range(20)]
    for number, name in enumerate(names):
        await arrives(database, lin, name)
        (process, other_process)[number % 2].lanes.wake(lin.id)
        await asyncio.sleep(0.002)
    for each in (process, other_process):
        await each.rests()
    await process.sweeps()
    assert process.steps.of("answered") == [[name] for name in names]


async def test_a_slow_account_does_not_hold_up_another(database: Database, process: Process, lin: Account) -> None:
    other = await account(database, "o-other")
    await arrives(database, lin, "slow")
    await arrives(database, other, "quick")
    answered = asyncio.Event()

    async def waits_for_the_other() -> None:
        async with asyncio.timeout(10):
            await answered.wait()

    async def tells() -> None:
        answered.set()

    process.steps.during = {"slow": waits_for_the_other, "quick": tells}
    process.lanes.wake(lin.id)
    process.lanes.wake(other.id)
    await process.rests()
    assert sorted(process.steps.of("answered")) == [["quick"], ["slow"]]


async def test_what_is_untriaged_is_triaged_before_anything_is_answered(
    database: Database, process: Process, lin: Account
) -> None:
    await arrives(database, lin, "queued")
    await arrives(database, lin, "new", "newer", stage=Stage.UNTRIAGED)
    await process.sweeps()
    assert process.steps.did[:2] == [("triaged", "new"), ("triaged", "newer")]
    assert process.steps.of("answered") == [["queued"], ["new"], ["newer"]]


async def test_a_message_is_tried_three_times_and_then_goes_to_a_human(
    database: Database, process: Process, lin: Account
) -> None:
    process.steps.failing = {"bad"}
    await arrives(database, lin, "bad", "next")
    began = clock.now()
    tries = []
    while not process.steps.of("tried_in_vain"):
        before = len(process.steps.of("tried"))
        await process.sweeps()
        tries += [clock.now() - began] * (process.steps.of("tried")[before:].count(["bad"]))
        passes(seconds=1)
        assert clock.now() - began < timedelta(minutes=3)
    assert len(tries) == 3
    assert clock.now() - began < timedelta(minutes=2)
    assert tries[1] < timedelta(seconds=4), "the second try may still make the open request"
    assert tries[2] > timedelta(seconds=25), "an engine that starts anew is given the time it needs"
    assert await stages(database) == {"bad": Stage.HANDED_TO_HUMAN, "next": Stage.DONE}


async def test_nothing_overtakes_a_message_that_waits_for_its_next_try(
    database: Database, process: Process, lin: Account
) -> None:
    process.steps.failing = {"bad"}
    await arrives(database, lin, "bad")
    await process.sweeps()
    await arrives(database, lin, "next")
    process.lanes.wake(lin.id)
    await process.rests()
    assert process.steps.did == [("tried", "bad")]
    process.steps.failing = set()
    passes(seconds=2)
    await process.sweeps()
    assert process.steps.of("answered") == [["bad"], ["next"]]


async def test_messages_that_waited_for_the_engine_are_tried_at_once_when_it_is_ready(
    database: Database, process: Process, lin: Account
) -> None:
    process.steps.failing = {"early"}
    await arrives(database, lin, "early")
    await process.sweeps()
    passes(seconds=2)
    await process.sweeps()
    process.steps.failing = set()
    await process.lanes.resume()
    await process.rests()
    assert process.steps.of("answered") == [["early"]]


async def test_a_message_tried_for_two_minutes_goes_to_a_human_whatever_its_tries(
    database: Database, process: Process, lin: Account
) -> None:
    process.steps.failing = {"bad"}
    await arrives(database, lin, "bad")
    await process.sweeps()
    passes(minutes=2, seconds=1)
    await process.sweeps()
    assert process.steps.did == [("tried", "bad"), ("tried_in_vain", "bad")]


async def test_a_try_that_ends_with_its_process_counts(database: Database, process: Process, lin: Account) -> None:
    began = asyncio.Event()

    async def never_ends() -> None:
        began.set()
        await asyncio.Event().wait()

    process.steps.during = {"deadly": never_ends}
    await arrives(database, lin, "deadly")
    for _ in range(3):
        began.clear()
        process.lanes.wake(lin.id)
        async with asyncio.timeout(10):
            await began.wait()
        process.lanes._running[lin.id].cancel()
        await asyncio.sleep(0.05)
        passes(seconds=31)
    await process.sweeps()
    assert process.steps.of("tried_in_vain") == [["deadly"]]


async def test_a_backlog_goes_to_a_human_together_and_what_is_new_is_answered(
    database: Database, process: Process, lin: Account
) -> None:
    await arrives(database, lin, "old", "older", ago=timedelta(minutes=11))
    await arrives(database, lin, "new")
    await process.sweeps()
    assert process.steps.did == [("backlog", "old", "older"), ("tried", "new"), ("answered", "new")]


async def test_photos_and_check_ins_of_a_backlog_go_their_own_way_in_their_place(
    database: Database, process: Process, lin: Account
) -> None:
    long_ago = timedelta(minutes=30)
    await arrives(database, lin, "old", ago=long_ago)
    await arrives(database, lin, "photo", ago=long_ago, kind="image")
    await arrives(database, lin, "check-in", ago=long_ago, kind="event", event="checkin_due")
    await arrives(database, lin, "older", "oldest", ago=long_ago)
    await process.sweeps()
    assert [did for did in process.steps.did if did[0] != "tried"] == [
        ("backlog", "old"),
        ("answered", "photo"),
        ("answered", "check-in"),
        ("backlog", "older", "oldest"),
    ]


async def test_a_flood_is_answered_together_once_a_minute(database: Database, process: Process, lin: Account) -> None:
    flood = [f"m{n}" for n in range(25)]
    await arrives(database, lin, *flood)
    await process.sweeps()
    assert process.steps.did == []
    passes(seconds=50)
    await arrives(database, lin, "one-more")
    await process.sweeps()
    assert process.steps.did == []
    passes(seconds=11)
    await process.sweeps()
    assert process.steps.of("answered") == [[*flood, "one-more"]]


async def test_a_flood_that_comes_one_by_one_is_answered_together_too(
    database: Database, process: Process, lin: Account
) -> None:
    for number in range(30):
        await arrives(database, lin, f"m{number}")
        process.lanes.wake(lin.id)
        await process.rests()
        passes(seconds=2)
    assert process.steps.of("answered") == [[f"m{n}"] for n in range(20)]
    passes(minutes=1)
    await process.sweeps()
    assert process.steps.of("answered")[20:] == [[f"m{n}" for n in range(20, 30)]]


async def test_a_photo_in_a_flood_is_not_taken_for_words(database: Database, process: Process, lin: Account) -> None:
    flood = [f"m{n}" for n in range(25)]
    await arrives(database, lin, *flood)
    await arrives(database, lin, "photo", kind="image")
    await arrives(database, lin, "after")
    passes(minutes=1, seconds=1)
    await process.sweeps()
    assert process.steps.of("answered") == [flood, ["photo"], ["after"]]


async def test_a_turn_of_a_flood_is_tried_again_as_it_was_though_more_came(
    database: Database, process: Process, lin: Account
) -> None:
    flood = [f"m{n}" for n in range(25)]
    process.steps.failing = {"m0"}
    await arrives(database, lin, *flood)
    passes(minutes=1, seconds=1)
    await process.sweeps()
    await arrives(database, lin, "more")
    passes(seconds=2)
    await process.sweeps()
    assert process.steps.of("tried") == [flood, flood]
    for _ in range(70):
        passes(seconds=1)
        await process.sweeps()
    assert process.steps.of("tried_in_vain") == [flood]
    assert process.steps.of("answered") == [["more"]]


async def test_a_flood_is_triaged_at_once(database: Database, process: Process, lin: Account) -> None:
    flood = [f"m{n}" for n in range(25)]
    await arrives(database, lin, *flood, stage=Stage.UNTRIAGED)
    await process.sweeps()
    assert process.steps.did == [("triaged", name) for name in flood]


async def test_a_lane_lost_in_the_middle_of_a_turn_is_taken_over_and_the_turn_counts_once(
    database: Database, process: Process, other_process: Process, lin: Account
) -> None:
    reached = asyncio.Event()
    go_on = asyncio.Event()

    async def first_time_slow() -> None:
        if not reached.is_set():
            reached.set()
            await go_on.wait()

    process.steps.during = {"m1": first_time_slow}
    await arrives(database, lin, "m1", "m2")
    process.lanes.wake(lin.id)
    async with asyncio.timeout(10):
        await reached.wait()
    with psycopg.connect(database.address, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid "
            "where l.locktype = 'advisory' and a.datname = current_database()"
        )
    passes(seconds=2)
    await other_process.sweeps()
    assert process.steps.of("answered") == [["m1"], ["m2"]]
    go_on.set()
    await process.rests()
    await process.sweeps()
    assert process.steps.of("answered") == [["m1"], ["m2"]]


async def test_a_message_for_a_lane_that_another_process_holds_is_not_left_lying(
    database: Database, process: Process, other_process: Process, lin: Account
) -> None:
    assert await other_process.channel.take(lin.id)
    await arrives(database, lin, "m1")
    process.lanes.wake(lin.id)
    await process.rests()
    assert process.steps.did == []
    await other_process.channel.give_back(lin.id)
    await process.sweeps()
    assert process.steps.of("answered") == [["m1"]]


async def test_stopping_finishes_the_turn_under_way_and_begins_no_other(
    database: Database, process: Process, lin: Account
) -> None:
    other = await account(database, "o-other")
    began = asyncio.Event()

    async def takes_a_moment() -> None:
        began.set()
        await asyncio.sleep(0.05)

    process.steps.during = {"m1": takes_a_moment}
    await arrives(database, lin, "m1")
    await arrives(database, other, "of-another")
    process.lanes.wake(lin.id)
    async with asyncio.timeout(10):
        await began.wait()
    await process.lanes.drain()
    process.lanes.wake(other.id)
    await process.rests()
    assert process.steps.of("answered") == [["m1"]]


async def test_an_error_of_triage_stops_the_lane_and_loses_nothing(
    database: Database, process: Process, lin: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_message: Message) -> None:
        raise RuntimeError("no database")

    await arrives(database, lin, "m1", stage=Stage.UNTRIAGED)
    with monkeypatch.context() as patched:
        patched.setattr(process.steps, "triage", broken)
        await process.sweeps()
    assert await stages(database) == {"m1": Stage.UNTRIAGED}
    assert not process.channel.holds(lin.id)
    await process.sweeps()
    assert process.steps.of("answered") == [["m1"]]


async def test_a_database_that_went_away_costs_nobody_a_lane(
    database: Database, process: Process, lin: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_lane: uuid.UUID) -> None:
        raise ConnectionError

    await arrives(database, lin, "m1")
    for broken in ("take", "give_back"):
        with monkeypatch.context() as patched:
            patched.setattr(process.channel, broken, gone)
            process.lanes.wake(lin.id)
            tasks = list(process.lanes._running.values())
            await process.rests()
        assert [task.exception() for task in tasks] == [None]
    await process.channel.give_back(lin.id)
    await process.sweeps()
    assert process.steps.of("answered") == [["m1"]]


async def test_lanes_of_unknown_accounts_are_harmless(process: Process) -> None:
    process.lanes.wake(uuid.uuid4())
    await process.rests()
    assert process.steps.did == []
