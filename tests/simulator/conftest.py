"""A simulator and an account's server, each on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.simulator.phone import Phone

from .account import Start, WeChat, staged


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start simulators; see `staged`."""
    async with staged() as begin:
        yield begin


@pytest.fixture
async def hasty(start: Start) -> tuple[WeChat, Phone]:
    """A WeChat that waits 0.6 seconds where the real one waits five, and a patient who follows."""
    wechat: WeChat = await start(deadline_seconds=0.6)
    phone = wechat.world.add_phone("林女士")
    await phone.follows()
    return wechat, phone


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
