"""The conversation lock: fair, atomic, shared by all replicas of the engine.

Rasa's own Redis lock reads, changes and writes its queue in three steps, so that two replicas let two turns of one
conversation in at once and the tracker lost turns; it also polls once a second. Here a waiter's place in the queue, its
heartbeat and the decision who is next are one script in Redis. A holder whose process died is skipped as soon as its
heartbeat runs out.

That two turns can never both be saved does not rest on this lock: the tracker store refuses the second by its key.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import redis.asyncio
from rasa.core.lock import TicketLock
from rasa.core.lock_store import LockError, LockStore
from rasa.utils.endpoints import EndpointConfig
from redis.exceptions import RedisError

# KEYS: queue, prefix of heartbeats. ARGV: ticket, heartbeat's life in ms, "1" to join the queue.
# Gives 1: it is your turn; 0: wait; -1: the queue is gone (Redis was emptied), join again.
_ACQUIRE = """
local queue, alive, ticket, life = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
if ARGV[3] == '1' then redis.call('RPUSH', queue, ticket) end
redis.call('SET', alive .. ticket, '1', 'PX', life)
redis.call('PEXPIRE', queue, life * 10)
while true do
  local head = redis.call('LINDEX', queue, 0)
  if not head then return -1 end
  if head == ticket then return 1 end
  if redis.call('EXISTS', alive .. head) == 1 then return 0 end
  redis.call('LPOP', queue)
end
"""
_RELEASE = """
redis.call('LREM', KEYS[1], 0, ARGV[1])
redis.call('DEL', KEYS[2] .. ARGV[1])
return 1
"""

HEARTBEAT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.02


class FairRedisLockStore(LockStore):
    """`lock_store: {type: bot.engine.locks.FairRedisLockStore, url: redis://...}` in endpoints.yml.

    Redis being away is a `LockError`, which the channel answers with 409: the app tries again.
    """

    def __init__(self, endpoint_config: EndpointConfig | None = None, url: str | None = None) -> None:
        address = url or (endpoint_config.url if endpoint_config else None)
        if not address:
            raise ValueError("lock_store: expected url, an address like redis://127.0.0.1:6379/0")
        self._heartbeat = HEARTBEAT_SECONDS
        self._longest_wait = LONGEST_WAIT_SECONDS
        self._redis = redis.asyncio.Redis.from_url(
            address,
            socket_connect_timeout=2,
            socket_timeout=5,
            health_check_interval=15,
        )
        self._acquire = self._redis.register_script(_ACQUIRE)
        self._release = self._redis.register_script(_RELEASE)

    @asynccontextmanager
    async def lock(
        self,
        conversation_id: str,
        lock_lifetime: float = 0,
        wait_time_in_seconds: float = 0,
    ) -> AsyncGenerator[TicketLock, None]:
        """Hold the conversation alone, in the order of arrival; both times are ours, not the caller's.

        Raises:
            LockError: no turn within 20 s, or Redis does not answer.
        """
        queue, alive = (
            f"engine:lock:{{{conversation_id}}}:queue",
            f"engine:lock:{{{conversation_id}}}:alive:",
        )
        ticket = uuid4().hex
        beat: asyncio.Task[None] | None = None
        try:
            await self._wait_for_turn(queue, alive, ticket)
            beat = asyncio.ensure_future(self._keep_alive(queue, alive, ticket))
            yield TicketLock(conversation_id)
        finally:
            if beat is not None:
                beat.cancel()
            # Shielded: a cancelled request must not leave its ticket at the head for the life of a heartbeat.
            with suppress(RedisError, OSError):
                await asyncio.shield(self._release(keys=[queue, alive], args=[ticket]))

    async def _wait_for_turn(self, queue: str, alive: str, ticket: str) -> None:
        end = asyncio.get_event_loop().time() + self._longest_wait
        join = "1"
        while True:
            try:
                answer = int(await self._acquire(keys=[queue, alive], args=[ticket, self._life, join]))
            except (RedisError, OSError, asyncio.TimeoutError) as error:
                raise LockError("the lock store does not answer") from error
            if answer == 1:
                return
            join = "1" if answer == -1 else "0"
            if asyncio.get_event_loop().time() > end:
                raise LockError("the conversation stayed busy")
            await asyncio.sleep(_POLL_SECONDS)

    async def _keep_alive(self, queue: str, alive: str, ticket: str) -> None:
        while True:
            await asyncio.sleep(self._heartbeat / 3)
            with suppress(RedisError, OSError, asyncio.TimeoutError):
                await self._acquire(keys=[queue, alive], args=[ticket, self._life, "0"])

    @property
    def _life(self) -> int:
        return int(self._heartbeat * 1000)

    def get_lock(self, conversation_id: str) -> TicketLock | None:
        """Rasa's own ticket arithmetic is not used."""
        return None

    def save_lock(self, lock: Any) -> None:
        """Rasa's own ticket arithmetic is not used."""

    def delete_lock(self, conversation_id: str) -> None:
        """Rasa's own ticket arithmetic is not used."""
