"""WeChat on the other side, and a Valkey for its token."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from bot.store import embedded
from bot.wechat.client import WeChat

from .other_side import APP_ID, Connect, FakeApi, WeChatSide


@pytest.fixture
def wechat() -> WeChatSide:
    return WeChatSide()


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey of its own; nothing here needs PostgreSQL."""
    server, address = embedded.start_valkey(tmp_path_factory.mktemp("valkey"))
    yield address
    server.stop()


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def connect(api: FakeApi, redis: Redis) -> AsyncIterator[Connect]:
    """Makes clients as different processes would: each with its own connections, all on one Redis."""
    clients: list[WeChat] = []

    def make(**settings: Any) -> WeChat:
        given = {"timeout": 3.0, "pauses": (0.0, 0.0), "redis": redis, **settings}
        clients.append(WeChat(APP_ID, "app-secret-of-the-tests", api.url, given.pop("redis"), **given))
        return clients[-1]

    yield make
    await asyncio.gather(*(client.close() for client in clients))


@pytest.fixture
def client(connect: Connect) -> WeChat:
    return connect()
