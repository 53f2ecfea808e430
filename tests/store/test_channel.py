"""Lanes and notifications on one connection: a lane is one process's, and free the moment that process is gone."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from bot.store.channel import Channel

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import asyncio, sys, uuid
from bot.store.channel import Channel

async def main():
    channel = Channel(sys.argv[1])
    await channel.open()
    print("taken" if await channel.take(uuid.UUID(sys.argv[2])) else "refused", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def opened(address: str) -> AsyncIterator[Channel]:
    channel = Channel(address)
    await channel.open()
    yield channel
    await channel.close()


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Channel]:
    async for channel in opened(database_url):
        yield channel


@pytest.fixture
async def there(database_url: str) -> AsyncIterator[Channel]:
    async for channel in opened(database_url):
        yield channel


async def until(happened: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await happened.wait()


def break_connections(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid()"
        )


async def test_a_lane_is_taken_by_one_only(here: Channel, there: Channel) -> None:
    lane = uuid.uuid4()
    assert await here.take(lane)
    assert not await there.take(lane)
    assert here.holds(lane)
    assert not there.holds(lane)


async def test_a_lane_is_not_taken_twice_by_the_same_process(here: Channel) -> None:
    lane = uuid.uuid4()
    assert await here.take(lane)
    assert not await here.take(lane)


async def test_a_lane_given_back_is_anybodys(here: Channel, there: Channel) -> None:
    lane = uuid.uuid4()
    await here.take(lane)
    await here.give_back(lane)
    assert not here.holds(lane)
    assert await there.take(lane)


async def test_giving_back_what_another_holds_frees_nothing(here: Channel, there: Channel) -> None:
    lane = uuid.uuid4()
    await here.take(lane)
    await there.give_back(lane)
    assert here.holds(lane)
    assert not await there.take(lane)


async def test_other_lanes_are_not_touched(here: Channel, there: Channel) -> None:
    assert await here.take(uuid.uuid4())
    assert await there.take(uuid.uuid4())


async def test_many_reaching_for_one_lane_at_once_get_it_once(here: Channel, there: Channel) -> None:
    for _ in range(20):
        lane = uuid.uuid4()
        taken = await asyncio.gather(*(channel.take(lane) for channel in (here, there, here, there)))
        assert taken.count(True) == 1


@pytest.mark.kill
async def test_a_lane_is_free_the_moment_its_process_is_killed(
    here: Channel, database_url: str, kill_round: int
) -> None:
    lane = uuid.uuid4()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, database_url, str(lane), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"taken\n"
        assert not await here.take(lane)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    async with asyncio.timeout(5):
        while not await here.take(lane):
            await asyncio.sleep(0.01)


async def test_lanes_are_lost_with_the_connection_and_can_be_taken_again(
    here: Channel, there: Channel, database_url: str
) -> None:
    lane = uuid.uuid4()
    await here.take(lane)
    break_connections(database_url)
    async with asyncio.timeout(5):
        while here.holds(lane):
            await asyncio.sleep(0.01)
    assert await there.take(lane)
    assert not await here.take(lane)


async def test_what_is_notified_is_heard_by_every_process(here: Channel, there: Channel) -> None:
    heard: list[str] = []
    both = asyncio.Event()

    def hear(payload: str) -> None:
        heard.append(payload)
        if len(heard) == 2:
            both.set()

    await here.listen("answered", hear)
    await there.listen("answered", hear)
    await here.notify("answered", "消息 7")
    await until(both)
    assert heard == ["消息 7", "消息 7"]


async def test_who_stopped_listening_hears_nothing_more(here: Channel, there: Channel) -> None:
    heard: list[str] = []
    last = asyncio.Event()
    await here.listen("answered", heard.append)
    here.unlisten("answered", heard.append)
    await here.listen("answered", lambda _payload: last.set())
    await there.notify("answered", "1")
    await until(last)
    assert heard == []


async def test_listening_goes_on_after_the_connection_broke(here: Channel, database_url: str) -> None:
    heard = asyncio.Event()
    await here.listen("answered", lambda _payload: heard.set())
    break_connections(database_url)
    tending = asyncio.create_task(here.tend(every=0.02))
    try:
        async with asyncio.timeout(30):
            while not heard.is_set():
                assert not tending.done(), tending.exception()
                with psycopg.connect(database_url, autocommit=True) as connection:
                    connection.execute("select pg_notify('answered', '1')")
                await asyncio.sleep(0.05)
    finally:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
