"""The demo as `make run` starts it when no account is configured, and a Chromium to look at it with.

One demo serves all tests of this folder.
"""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from bot.demo.stage import App
from bot.ports import free_port
from bot.setup.browser import find

from .seeing import PATIENCE_MS, PICTURES, Screens

# A model that is not there yet is trained first.
READY_SECONDS = 300.0
_QUIET = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_KEPT = ("PATH", "HOME", "LANG", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ENGINE_PYTHON")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo() -> AsyncIterator[App]:
    """The service without credentials: it starts databases, simulator and engine of its own."""
    with tempfile.TemporaryDirectory(prefix="itp-browser-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        port, internal = free_port(), free_port()
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PORT": str(port),
            "INTERNAL_PORT": str(internal),
            "VAR_DIR": str(folder / "var"),
        }
        app = App(environment, port, internal, folder / "app.log")
        await app.start()
        try:
            async with aiohttp.ClientSession() as http:
                await app.alive(http, path="/readyz", within=READY_SECONDS)
            yield app
        finally:
            await app.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium that talks to nobody by itself."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find(), args=list(_QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def screens(browser: Browser) -> AsyncIterator[Screens]:
    """Pages of one test; a script that fails, or a thing a page may not load, fails the test."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    screens = Screens(browser, [])
    yield screens
    for context in browser.contexts:
        await context.close()
    assert screens.complaints == []
