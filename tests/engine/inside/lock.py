"""The conversation lock against a real Valkey: fair, exclusive, surviving a dead holder, honest when Redis is away."""

import asyncio
import os
import time
from typing import Any

from rasa.core.lock_store import LockError

from bot.engine import locks
from bot.engine.locks import FairRedisLockStore


def store(heartbeat: float = 10.0, longest_wait: float = 20.0, url: str = "") -> FairRedisLockStore:
    made = FairRedisLockStore(url=url or os.environ["TEST_REDIS"])
    made._heartbeat, made._longest_wait = heartbeat, longest_wait
    return made


async def check_turns_of_one_conversation_never_overlap_and_keep_their_order() -> None:
    replicas = [store(), store()]
    inside, most, order = 0, 0, []

    async def turn(number: int) -> None:
        nonlocal inside, most
        async with replicas[number % 2].lock("c1"):
            inside += 1
            most = max(most, inside)
            order.append(number)
            await asyncio.sleep(0.02)
            inside -= 1

    tasks = []
    for number in range(8):
        tasks.append(asyncio.ensure_future(turn(number)))
        await asyncio.sleep(0.01)
    started = time.monotonic()
    await asyncio.gather(*tasks)
    assert most == 1
    assert order == list(range(8))
    # Rasa's own store polls once a second.
    assert time.monotonic() - started < 3


async def check_other_conversations_do_not_wait() -> None:
    kept = store()
    async with kept.lock("c2"):
        started = time.monotonic()
        async with kept.lock("c3"):
            assert time.monotonic() - started < 0.5


async def check_a_dead_holder_is_skipped_when_its_heartbeat_ends() -> None:
    dead, living = store(heartbeat=0.4), store()
    await dead._wait_for_turn("engine:lock:{c4}:queue", "engine:lock:{c4}:alive:", "ticket-of-the-dead")
    started = time.monotonic()
    async with living.lock("c4"):
        assert 0.1 < time.monotonic() - started < 2


async def check_a_slow_holder_keeps_the_lock_by_its_heartbeat() -> None:
    slow, other = store(heartbeat=0.3), store(longest_wait=0.2)
    async with slow.lock("c5"):
        await asyncio.sleep(0.9)
        try:
            async with other.lock("c5"):
                raise AssertionError("let in")
        except LockError:
            pass


async def check_a_cancelled_waiter_leaves_the_queue() -> None:
    kept = store()
    async with kept.lock("c6"):

        async def wait() -> None:
            async with kept.lock("c6"):
                pass

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await kept._redis.llen("engine:lock:{c6}:queue") == 1
    assert await kept._redis.llen("engine:lock:{c6}:queue") == 0


async def check_the_lock_is_free_after_an_error_inside() -> None:
    kept = store()
    try:
        async with kept.lock("c7"):
            raise RuntimeError
    except RuntimeError:
        pass
    async with kept.lock("c7"):
        pass


async def check_an_emptied_redis_lets_waiters_queue_again() -> None:
    kept = store()
    waited = asyncio.Event()

    async def wait() -> None:
        async with kept.lock("c8"):
            waited.set()

    async with kept.lock("c8"):
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.05)
        await kept._redis.flushdb()
        await asyncio.sleep(0.1)
    await asyncio.wait_for(waited.wait(), 3)
    await waiting


async def check_redis_away_is_a_lock_error() -> None:
    try:
        async with store(url="redis://127.0.0.1:1/0").lock("c9"):
            raise AssertionError("let in")
    except LockError as error:
        assert "127.0.0.1" not in str(error)


def check_the_times_leave_the_client_room() -> None:
    assert locks.LONGEST_WAIT_SECONDS < 25
    kept: Any = FairRedisLockStore(url="redis://127.0.0.1:1/0")
    assert kept._heartbeat * 1000 == kept._life
