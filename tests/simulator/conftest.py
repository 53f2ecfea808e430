"""A simulator and an account's server, each on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.simulator.app import create
from bot.simulator.config import Mode, SimulatorConfig
from bot.simulator.phone import Phone
from bot.simulator.world import World

from .account import AES_KEY, APP_ID, APP_SECRET, TOKEN, Callback, Start, WeChat


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a simulator, with a callback of its own; keyword arguments go into its configuration."""
    closing: list[Callable[[], Any]] = []

    async def listen(app: web.Application) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        closing.append(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def begin(callback: Callback | None = None, **changes: Any) -> WeChat:
        callback = callback or Callback(mode=changes.get("mode", Mode.SAFE))
        if not callback.url:
            callback.url = await listen(callback.app())
        config = SimulatorConfig(
            callback_url=f"{callback.url}/wechat",
            app_id=APP_ID,
            app_secret=APP_SECRET,
            token=TOKEN,
            aes_key=AES_KEY,
            deadline_seconds=0.4,
            handshake_on_start=False,
        )
        config = replace(config, **changes)
        world = World(config)
        url = await listen(create(config, world))
        http = aiohttp.ClientSession()
        closing.append(http.close)
        wechat = WeChat(world, url, http, callback)
        wechat.token = (
            await wechat.call(
                "/cgi-bin/stable_token",
                {"grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET},
            )
        )["access_token"]
        return wechat

    yield begin
    for close in reversed(closing):
        await close()


@pytest.fixture
async def wechat(start: Start) -> WeChat:
    """A simulator in safe mode."""
    return await start()  # type: ignore[no-any-return]


@pytest.fixture
async def lin(wechat: WeChat) -> Phone:
    """A patient who follows; her follow event has been answered."""
    phone = wechat.world.add_phone("林女士")
    await phone.follows()
    return phone
