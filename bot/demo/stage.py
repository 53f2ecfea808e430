"""A stage for whole stories: the simulated WeChat in this process, the service as a process of its own that can be killed.

`make smoke`, the end-to-end tests and the kill tests play on it.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot import demo
from bot.demo.simulator import TEMPLATE_LIST
from bot.keys import random_aes_key
from bot.ports import free_port
from bot.settings import ROOT
from bot.simulator.app import WORLD, create
from bot.simulator.config import Person, Role, SimulatorConfig, Template
from bot.simulator.phone import Phone
from bot.simulator.world import World


class NotUp(Exception):
    """The service did not come up; carries the last lines it printed."""


@dataclass
class App:
    """One service process."""

    environment: Mapping[str, str]
    port: int
    internal_port: int
    log_path: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its public address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        """Its internal address."""
        return f"http://127.0.0.1:{self.internal_port}"

    async def start(self) -> None:
        """Start it; `alive` tells when it receives."""
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "server.py",
                cwd=ROOT,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def alive(self, http: aiohttp.ClientSession, *, path: str = "/healthz", within: float = 60) -> None:
        """Until it answers.

        Raises:
            NotUp: it ended, or did not answer in time.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with http.get(self.url + path) as response:
                            if response.status == 200:
                                return
                    if self.process is None or self.process.returncode is not None:
                        raise NotUp(self.last_lines())
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotUp(f"{path} not there after {within} s\n{self.last_lines()}") from None

    async def kill(self) -> None:
        """As a power cut would: SIGKILL, nothing is finished."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """End it in good order."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(30):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()

    def last_lines(self, number: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-number:])


@dataclass
class Stage:
    """The simulated WeChat, the service, and a browser session for staff."""

    world: World
    wechat_url: str
    http: aiohttp.ClientSession
    app: App
    apps: list[App] = field(default_factory=list)

    def phone(self, name: str) -> Phone:
        """The phone of this name, added when it is not there."""
        with contextlib.suppress(KeyError):
            return self.world.phone(name)
        return self.world.add_phone(name)

    def another_app(self) -> App:
        """A second process of the same service, on the same database; not started."""
        port, internal = free_port(), free_port()
        environment = {**self.app.environment, "PORT": str(port), "INTERNAL_PORT": str(internal)}
        app = App(environment, port, internal, self.app.log_path.with_name(f"app-{len(self.apps)}.log"))
        self.apps.append(app)
        return app

    async def passes(self, **span: float) -> None:
        """Move everybody's clock: `passes(days=1, hours=2)`."""
        await self.world.advance(timedelta(**span).total_seconds())


@asynccontextmanager
async def stage(var_dir: Path | None = None, extra: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Build the stage; the service is not started yet (`await stage.app.start()`)."""
    with tempfile.TemporaryDirectory(prefix="itp-stage-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        port, internal, wechat_port = free_port(), free_port(), free_port()
        app_id, token, aes_key = "wx" + secrets.token_hex(8), secrets.token_hex(8), random_aes_key()
        app_secret = secrets.token_hex(16)
        config = SimulatorConfig(
            callback_url=f"http://127.0.0.1:{port}/wechat",
            app_id=app_id,
            app_secret=app_secret,
            token=token,
            aes_key=aes_key,
            people=tuple(_person(one) for one in demo.people(app_id)),
            templates=tuple(Template(**one) for one in TEMPLATE_LIST),
            clock_url=f"http://127.0.0.1:{internal}/demo/clock",
            base_url=f"http://127.0.0.1:{wechat_port}",
            handshake_on_start=False,
        )
        simulator = create(config)
        runner = web.AppRunner(simulator, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", wechat_port).start()
        kept = ("PATH", "HOME", "LANG", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "DATABASE_URL", "REDIS_URL")
        environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "ENV": "demo",
            "PORT": str(port),
            "INTERNAL_PORT": str(internal),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "VAR_DIR": str(var_dir or folder / "var"),
            "WECHAT_APP_ID": app_id,
            "WECHAT_APP_SECRET": app_secret,
            "WECHAT_TOKEN": token,
            "WECHAT_AES_KEY": aes_key,
            "WECHAT_API_URL": f"http://127.0.0.1:{wechat_port}",
            "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{wechat_port}/gateway/alert",
            "WECHAT_TEMPLATE_ALERT": "demo-alert",
            "WECHAT_TEMPLATE_ANSWER": "demo-answer",
            "WECHAT_TEMPLATE_CHECKIN": "demo-invitation",
            **(extra or {}),
        }
        app = App(environment, port, internal, folder / "app.log")
        async with aiohttp.ClientSession() as http:
            built = Stage(simulator[WORLD], f"http://127.0.0.1:{wechat_port}", http, app, [app])
            try:
                yield built
            finally:
                for one in built.apps:
                    await one.stop()
                await runner.cleanup()


def _person(given: Mapping[str, Any]) -> Person:
    return Person(**{**given, "role": Role(str(given["role"]))})
