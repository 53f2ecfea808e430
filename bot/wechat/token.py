"""The access token: one for the whole deployment, fetched by one task at a time.

It lives in Redis until five minutes before WeChat lets it end; Redis counts in real time, whatever the service's clock
says. `stable_token` returns the same token to whoever asks, so that when Redis is away a process may ask by itself: an
alert to a doctor must not wait for Redis.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import LockError, RedisError

from bot import clock
from bot.wechat.errors import MaybeSent, Misconfigured, TokenRejected, Unavailable, WeChatError
from bot.wechat.transport import Call, Transport, strange

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CALL = "cgi-bin/stable_token"
_EARLY_SECONDS = 300
_LOCK_SECONDS = 40.0
_REDIS_SECONDS = 2.0
_FORCE_EVERY_SECONDS = 30

log = structlog.get_logger(__name__)


class AccessToken:
    """Holds the token of one official account.

    Args:
        redis: shared by all processes of the deployment.
        transport: to WeChat's API host.
        app_id, secret: the account's.
        patience: seconds to wait for whoever holds the lock; a process that died with it must not silence the others.
    """

    def __init__(
        self, redis: "Redis", transport: Transport, app_id: str, secret: str, *, patience: float = 10.0
    ) -> None:
        self._redis = redis
        self._transport = transport
        self._app_id = app_id
        self._secret = secret
        self._key = f"wechat:{app_id}:token"
        self._patience = patience
        self._mine: tuple[str, datetime] | None = None
        self._in_process = asyncio.Lock()

    async def get(self) -> str:
        """The token, fetched only when nobody in the deployment holds one.

        Raises:
            Misconfigured: app id, secret or the server's address are not accepted.
            Unavailable: WeChat cannot be reached or is busy.
        """
        return await self._stored() or await self._renew(None)

    async def refresh(self, rejected: str) -> str:
        """A token other than `rejected`, which WeChat just refused. Whoever comes second gets what the first fetched.

        Raises:
            Misconfigured, Unavailable: as `get`; also when WeChat has no other token for now.
        """
        return await self._renew(rejected)

    async def _renew(self, rejected: str | None) -> str:
        async with self._in_process, self._alone():
            held = await self._stored()
            if held is not None and held != rejected:
                return held
            token, lasts = await self._fetch(force=False)
            if token == rejected and await self._may_force():
                token, lasts = await self._fetch(force=True)
            await self._keep(token, lasts)
            return token

    async def _stored(self) -> str | None:
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                held = await self._redis.get(self._key)
        except (RedisError, TimeoutError):
            return self._mine[0] if self._mine and clock.real_now() < self._mine[1] else None
        if held is None:
            return None
        return held.decode() if isinstance(held, bytes) else str(held)

    async def _keep(self, token: str, lasts: int) -> None:
        seconds = lasts - _EARLY_SECONDS if lasts > 2 * _EARLY_SECONDS else max(1, lasts // 2)
        self._mine = token, clock.real_now() + timedelta(seconds=seconds)
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(_REDIS_SECONDS):
                await self._redis.set(self._key, token, ex=seconds)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the deployment's lock. Without Redis, or when its holder is stuck, a process goes on alone: to ask twice
        for a stable token does no harm."""
        lock = self._redis.lock(f"{self._key}:lock", timeout=_LOCK_SECONDS, sleep=0.05)
        held = False
        try:
            async with asyncio.timeout(self._patience + _REDIS_SECONDS):
                held = await lock.acquire(blocking_timeout=self._patience)
        except (RedisError, TimeoutError) as error:
            log.warning("token.without_redis", error=type(error).__name__)
        try:
            yield
        finally:
            if held:
                with contextlib.suppress(LockError, RedisError, TimeoutError):
                    async with asyncio.timeout(_REDIS_SECONDS):
                        await lock.release()

    async def _may_force(self) -> bool:
        """WeChat forces a new token 20 times a day, 30 seconds apart; more often nobody here asks."""
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                return bool(await self._redis.set(f"{self._key}:forced", "1", nx=True, ex=_FORCE_EVERY_SECONDS))
        except (RedisError, TimeoutError):
            return True

    async def _fetch(self, *, force: bool) -> tuple[str, int]:
        payload = {
            "grant_type": "client_credential",
            "appid": self._app_id,
            "secret": self._secret,
            "force_refresh": force,
        }
        call = Call(_CALL, payload=payload, repeatable=not force, needs=("access_token", "expires_in"))
        wrong: WeChatError | None = None
        try:
            answer = await self._transport.ask(call)
        except TokenRejected as error:
            # From this call 40001 says that the secret is wrong, not a token.
            wrong = Misconfigured(_CALL, error.code, error.detail)
        except MaybeSent as error:
            # Of a token nothing is sent to anybody; the message that waits for it has not left.
            wrong = Unavailable(_CALL, detail=error.detail)
        if wrong is not None:
            raise wrong
        token, lasts = answer.fields["access_token"], answer.fields["expires_in"]
        if not isinstance(token, str) or not token or not isinstance(lasts, int) or lasts <= 0:
            raise strange(_CALL, "a token that is none")
        log.info("token.fetched", seconds=lasts, forced=force)
        return token, lasts
