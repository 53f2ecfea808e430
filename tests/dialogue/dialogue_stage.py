"""What tests of the engine share: addresses, an action server that can go away, a conversation."""

import asyncio
import base64
import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web

from bot.dialogue import executor
from bot.dialogue.engine_client import EngineClient

ROOT = Path(__file__).resolve().parents[2]
ENGINE_PYTHON = Path(os.environ.get("ENGINE_PYTHON") or ROOT / ".venv-engine" / "bin" / "python")
FIXTURE = ROOT / "tests" / "engine" / "fixtures" / "faq.yml"
ACTION_SECRET = "actions-of-the-tests"
DATA_KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass
class Servers:
    """Addresses of this session's own PostgreSQL database and Valkey."""

    postgres: str
    redis: str


class Around:
    """Stands where the app's idempotency stands, and remembers the turns it saw."""

    def __init__(self) -> None:
        self.turns: list[executor.ActionTurn] = []
        self.instead: executor.ActionResult | None = None

    async def __call__(self, turn: executor.ActionTurn, run: executor.Run) -> executor.ActionResult:
        self.turns.append(turn)
        return await run() if self.instead is None else self.instead


@dataclass
class ActionServer:
    """The internal listener with the action route; can be closed and opened again on its port."""

    port: int
    around: Around
    _runner: web.AppRunner | None = None
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}{executor.PATH}"

    async def open(self) -> None:
        app = web.Application(client_max_size=executor.LARGEST_BODY)
        app.add_routes(executor.routes("acting", secret=ACTION_SECRET, around=self.around, domain=ROOT / "domain.yml"))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


_numbers = itertools.count(1)


class Chat:
    """One conversation, with message ids of its own."""

    def __init__(self, client: EngineClient, servers: Servers) -> None:
        self.client, self.servers = client, servers
        self.id = f"conversation-{os.getpid()}-{next(_numbers)}"
        self._count = 0

    def next_id(self) -> str:
        self._count += 1
        return f"{self.id}-m{self._count}"

    async def say(self, text: str, message_id: str | None = None) -> list[str]:
        answer = await self.client.say(self.id, text, message_id or self.next_id(), "trace-1", {"person": "p1"})
        return [message.get("text", "") for message in answer.messages]

    async def checkin(self, checkin_id: str = "c1") -> list[str]:
        slots = {"checkin_id": checkin_id, "checkin_platelet": None, "checkin_bleeding": None}
        answer = await self.client.trigger(self.id, "EXTERNAL_checkin", self.next_id(), "trace-2", slots=slots)
        return [message.get("text", "") for message in answer.messages]

    def rows(self, columns: str = "type_name") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.servers.postgres) as connection:
            query = f"SELECT {columns} FROM engine.events WHERE sender_id = %s ORDER BY position"
            return connection.execute(query, (self.id,)).fetchall()  # type: ignore[call-overload,no-any-return]


class MovedClock:
    """Moves the demo's clock row and waits until the engine has read it."""

    def __init__(self, servers: Servers) -> None:
        self._dsn = servers.postgres

    async def ahead(self, hours: float) -> None:
        with psycopg.connect(self._dsn) as connection:
            connection.execute("UPDATE public.demo_clock SET offset_seconds = %s WHERE id = 1", (hours * 3600,))
        await asyncio.sleep(1.2)


def make_project() -> Path:
    """The project as the engine trains it, with a few topics of the tests where the product's are not there."""
    copy = ROOT / "var" / "test-project"
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("config.yml", "domain.yml", "endpoints.yml", "credentials.yml"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("data/nlu", "data/rules", "data/lexicon", "bot/engine", "bot/language"):
        shutil.rmtree(copy / name, ignore_errors=True)
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "bot" / "__init__.py", copy / "bot" / "__init__.py")
    if not list((copy / "data" / "nlu").glob("faq*.yml")):
        shutil.copy(FIXTURE, copy / "data" / "nlu" / "faq_fixture.yml")
    return copy
