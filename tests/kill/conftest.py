"""A theatre for power cuts: the service as a real process that dies at a named point, beside an engine that survives it.

One engine, one database, one simulated WeChat for all kill tests; the service is killed and started again by each.
"""

import asyncio
import base64
import hashlib
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url, select, text

from bot.demo.stage import App as StageApp
from bot.demo.stage import Stage, stage
from bot.dialogue.engine_process import EngineOptions, EngineProcess
from bot.dialogue.training import ensure_model
from bot.inbox.messages import Message, open_body
from bot.outbox.rows import Outbox, State, content_of
from bot.settings import ROOT
from bot.simulator.history import Channel
from bot.simulator.phone import Phone
from bot.simulator.push import Outcome
from bot.store.accounts import Account, blind_openid
from bot.store.database import Database
from bot.store.vault import Vault

ENGINE_PYTHON = Path(os.environ.get("ENGINE_PYTHON") or ROOT / ".venv-engine" / "bin" / "python")
DATA_KEY = base64.b64encode(hashlib.sha256(b"kill tests").digest()).decode()
ACTION_SECRET = "actions-of-the-kill-tests"
# WeChat gives five seconds; less, so that its next attempt comes sooner after the power is back.
DEADLINE_SECONDS = 2.0
FINAL = {s for s in State if s not in (State.PENDING, State.PASSIVE_CLAIMED, State.SENDING)}
LEFT = (State.SENT_PASSIVE, State.SENT_ACTIVE, State.SENT_TEMPLATE)

_names = itertools.count(1)
_SPARE = "import sys, server; sys.exit(server.main() if sys.stdin.readline() else 0)"


class App(StageApp):
    """The service, with a spare process that has loaded it already and waits for the word, so that a start is quick."""

    _spare: asyncio.subprocess.Process | None = None

    async def get_ready(self) -> None:
        with self.log_path.open("ab") as log:
            self._spare = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _SPARE,
                cwd=ROOT,
                env={**self.environment, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def start(self) -> None:
        if self._spare is None or self._spare.returncode is not None:
            await self.get_ready()
        assert self._spare is not None
        assert self._spare.stdin is not None
        self._spare.stdin.write(b"go\n")
        await self._spare.stdin.drain()
        self.process = self._spare
        await self.get_ready()

    async def stop(self) -> None:
        await super().stop()
        if self._spare is not None and self._spare.stdin is not None:
            self._spare.stdin.close()
            await self._spare.wait()


@dataclass
class Patient:
    """A person with a phone: what they said, and what must have come of it."""

    theatre: "Theatre"
    phone: Phone
    said: list[str] = field(default_factory=list)
    outcomes: list[asyncio.Task[Outcome]] = field(default_factory=list)

    def says(self, words: str) -> "asyncio.Task[Outcome]":
        """Say it; WeChat delivers in the background, three times if need be."""
        self.said.append(words)
        task = asyncio.create_task(self.phone.says(words))
        self.outcomes.append(task)
        return task

    async def account(self) -> Account:
        async with self.theatre.database.reading() as session:
            blind = blind_openid(self.theatre.database.vault, self.phone.openid)
            return (await session.scalars(select(Account).where(Account.openid_blind == blind))).one()

    async def one(self, query: str, **values: object) -> Any:
        """One value; `:account` and `:person` are this patient's."""
        account = await self.account()
        person = "select person_id from acts_for where account_id = :account limit 1"
        async with self.theatre.database.connection() as connection:
            known = await connection.scalar(text(person), {"account": account.id})
            return await connection.scalar(text(query), {"account": account.id, "person": known, **values})

    async def heard_each_once(self, *, twice: bool = False) -> None:
        """Nothing lost, nothing twice, nothing out of order.

        `twice`: the power went between a response's last byte and the note that it left. Nobody can know then, and a
        patient who hears an answer twice is better off than one who never hears it.
        """
        await asyncio.gather(*self.outcomes)
        async with self.theatre.database.reading() as session:
            account = await self.account()
            messages = list(
                await session.scalars(select(Message).where(Message.account_id == account.id).order_by(Message.seq))
            )
            rows = list(
                await session.scalars(select(Outbox).where(Outbox.account_id == account.id).order_by(Outbox.seq))
            )
            texts = [open_body(m, account, session).get("text", "") for m in messages if m.kind == "text"]
            said = {row.id: content_of(row, account, session).text for row in rows}
        assert sorted(texts) == sorted(self.said), "each message is stored once"
        assert {m.stage for m in messages} == {"done"}, [(m.stage, m.outcome) for m in messages]
        assert all(m.outcome for m in messages)
        assert {row.state for row in rows} <= FINAL, [row.state for row in rows]
        answers = [row for row in rows if row.kind in ("answer", "advice") and row.cause.startswith("message:")]
        assert len({row.cause for row in answers}) == len(answers), "no message is answered twice"
        heard = self.phone.hears()
        order = []
        for row in rows:
            if row.state is State.SENT_TEMPLATE:
                continue
            places = [i for i, m in enumerate(heard) if m.text and m.text[:80] == said[row.id][:80]]
            if row.state in LEFT:
                assert 1 <= len(places) <= 1 + twice, (row.kind, row.state, len(places))
            else:
                assert len(places) <= 1, (row.kind, row.state, len(places))
            if places and not row.urgent:
                order.append(places[0])
        assert order == sorted(order), "answers come in the order of what they answer"
        known = {words[:80] for words in said.values()}
        assert all(m.text[:80] in known for m in heard if m.channel in (Channel.PASSIVE, Channel.ACTIVE))


@dataclass
class Theatre:
    """The stage, its engine, and a look into the database."""

    on: Stage
    engine: EngineProcess
    database: Database

    async def patient(self, *, agreed: bool = True) -> Patient:
        """Somebody new who follows the account and, usually, agreed."""
        patient = Patient(self, self.on.phone(f"病人{next(_names)}"))
        await patient.phone.follows()
        if agreed:
            assert "谢谢" in await patient.says("同意")
        return patient

    async def power_cut_at(self, point: str, *, at: int = 1, app: StageApp | None = None) -> None:
        """Let the process die when it reaches this point for the `at`-th time."""
        url = (app or self.on.app).internal_url + "/demo/kill"
        async with self.on.http.post(url, json={"point": point, "at": at}) as response:
            assert response.status == 200

    async def dies(self, app: StageApp | None = None) -> None:
        """The armed point was reached, and the process is no more."""
        process = (app or self.on.app).process
        assert process is not None
        try:
            async with asyncio.timeout(20):
                code = await process.wait()
        except TimeoutError:
            await (app or self.on.app).kill()
            raise AssertionError(f"the point was never reached\n{self.on.app.last_lines(40)}") from None
        assert code == -signal.SIGKILL

    async def power_is_back(self) -> None:
        """Start it again. Its dead predecessor's claims are as old by now as they will look in a minute."""
        async with self.database.connection() as connection:
            await connection.execute(
                text("update outbox set claimed_at = claimed_at - interval '1 minute' where claimed_at is not null")
            )
        await self.on.app.start()
        await self.on.app.alive(self.on.http)

    async def at_rest(self, within: float = 25) -> None:
        """Until nobody waits for anything."""
        waiting = """
            select 'message ' || stage || ' ' || coalesce(event, kind) || ' tried ' || attempts from message
            where stage in ('untriaged', 'queued')
            union all
            select 'outbox ' || state || ' ' || kind || ' tried ' || attempts || coalesce(' ' || reason, '') from outbox
            where state in ('pending', 'passive_claimed', 'sending')"""
        end = asyncio.get_running_loop().time() + within
        while True:
            async with self.database.connection() as connection:
                left = list(await connection.scalars(text(waiting)))
            if not left:
                return
            assert asyncio.get_running_loop().time() < end, f"still waiting: {left}\n{self.on.app.last_lines(40)}"
            await asyncio.sleep(0.05)

    def wechat_tries(self, attempts: int) -> None:
        """How often WeChat delivers what is not answered: three times, or once when the way to us is broken."""
        self.on.world.config = replace(self.on.world.config, attempts=attempts)

    async def tick(self) -> None:
        """Let every tick run now (the process may die of it)."""
        await self.on.world.advance(0)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def everything_stands(theatre: Theatre) -> None:
    """What a failed test left broken is no other test's matter."""
    config = theatre.on.world.config
    theatre.on.world.config = replace(config, attempts=3, callback_url=f"{theatre.on.app.url}/wechat")
    process = theatre.on.app.process
    if process is None or process.returncode is not None:
        await theatre.power_is_back()
    # Nor are the patients of earlier rounds, whose emergencies would ring on for ever.
    async with theatre.database.connection() as connection:
        await connection.execute(
            text("update consultation set stage = 'closed', closed_at = now(), moves_at = null where stage <> 'closed'")
        )
        await connection.execute(text("update checkin set next_at = null where next_at is not null"))
        await connection.execute(text("update recheck set done_at = now(), outcome = 'over' where done_at is null"))


@pytest.fixture(scope="package")
def kill_database_url(template: str, servers: Any) -> Iterator[str]:
    """A migrated database for all kill tests."""
    name = f"test_{os.getpid()}_kill"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("create database {} template {}").format(Identifier(name), Identifier(template)))
    yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def theatre(kill_database_url: str, servers: Any) -> AsyncIterator[Theatre]:
    """Engine and service up, the demo's doctors on duty."""
    model = await ensure_model(ENGINE_PYTHON, say=lambda _: None)
    secret, token = "engine-of-the-kill-tests", "token-of-the-kill-tests"
    extra = {
        "DATABASE_URL": kill_database_url,
        "REDIS_URL": servers.redis_url,
        "DATA_KEY": DATA_KEY,
        "ENGINE_SECRET": secret,
        "ENGINE_TOKEN": token,
        "ACTION_SECRET": ACTION_SECRET,
    }
    with tempfile.TemporaryDirectory(prefix="itp-kill-", ignore_cleanup_errors=True) as scratch:
        async with stage(extra=extra) as on:
            engine = EngineProcess(
                EngineOptions(
                    python=ENGINE_PYTHON,
                    root=ROOT,
                    model=model,
                    private_dir=Path(scratch),
                    database_url=kill_database_url,
                    redis_url=servers.redis_url,
                    action_url=f"{on.app.internal_url}/actions/webhook",
                    action_secret=ACTION_SECRET,
                    data_key=DATA_KEY,
                    secret=secret,
                    token=token,
                    demo_clock_dsn=kill_database_url,
                    dies_with_parent=False,
                )
            )
            environment = {**on.app.environment, "ENGINE_URLS": engine.url}
            on.app = App(environment, on.app.port, on.app.internal_port, on.app.log_path)
            on.apps[:] = [on.app]
            on.world.config = replace(on.world.config, deadline_seconds=DEADLINE_SECONDS)
            database = Database(kill_database_url, Vault.of(DATA_KEY), pool_size=3)
            await engine.start()
            try:
                await on.app.start()
                await on.app.alive(on.http)
                await engine.wait_ready()
                yield Theatre(on, engine, database)
            finally:
                await engine.stop()
                await database.close()
