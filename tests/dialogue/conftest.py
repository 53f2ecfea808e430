"""A real engine, PostgreSQL and Valkey for one session, with an action server whose actions tests can disturb."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import acting.all as acting
import psycopg
import pytest
import pytest_asyncio
from dialogue_stage import (
    ACTION_SECRET,
    DATA_KEY,
    ENGINE_PYTHON,
    ActionServer,
    Around,
    Chat,
    MovedClock,
    Servers,
    make_project,
)

from bot.dialogue import executor, training
from bot.dialogue.engine_client import EngineClient
from bot.dialogue.engine_process import EngineOptions, EngineProcess
from bot.store import embedded


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A private directory that a database may live in (settled point 31)."""
    path = Path(tempfile.mkdtemp(prefix="itp-dialogue-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(place: Path) -> Iterator[Servers]:
    started = embedded.start(var_dir=place / "v", postgres=True, valkey=True)
    assert started.database_url is not None
    assert started.redis_url is not None
    with psycopg.connect(started.database_url) as connection:
        connection.execute(
            "CREATE TABLE public.demo_clock (id int PRIMARY KEY, offset_seconds double precision NOT NULL)"
        )
        connection.execute("INSERT INTO public.demo_clock VALUES (1, 0)")
    yield Servers(started.database_url, started.redis_url)
    started.stop()


@pytest.fixture(scope="session")
def project() -> Path:
    """The project as the engine trains it, with a few topics of the tests where the product's are not there."""
    return make_project()


@pytest.fixture(scope="session")
def model(project: Path) -> Path:
    """Trained once for these inputs, kept under var/."""
    return asyncio.run(training.ensure_model(ENGINE_PYTHON, root=project))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def action_server(unused_port: int) -> AsyncIterator[ActionServer]:
    server = ActionServer(unused_port, Around())
    await server.open()
    yield server
    await server.close()


@pytest.fixture(scope="session")
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def options(project: Path, model: Path, place: Path, servers: Servers, unused_port: int) -> EngineOptions:
    return EngineOptions(
        python=ENGINE_PYTHON,
        root=project,
        model=model,
        private_dir=place / "engine",
        database_url=servers.postgres,
        redis_url=servers.redis,
        action_url=f"http://127.0.0.1:{unused_port}{executor.PATH}",
        action_secret=ACTION_SECRET,
        data_key=DATA_KEY,
        env="demo",
        demo_clock_dsn=servers.postgres,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(options: EngineOptions, action_server: ActionServer) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(options)
    await process.start()
    await process.wait_ready()
    yield process
    await process.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(engine: EngineProcess) -> AsyncIterator[EngineClient]:
    async with EngineClient([engine.url], secret=engine.options.secret, token=engine.options.token) as client:
        yield client


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    acting.behave.clear()
    acting.ran.clear()
    acting.seen.clear()
    acting.draft.clear()
    yield


@pytest.fixture
def chat(client: EngineClient, servers: Servers) -> Chat:
    return Chat(client, servers)


@pytest_asyncio.fixture(loop_scope="session")
async def moved_clock(servers: Servers) -> AsyncIterator[MovedClock]:
    moved = MovedClock(servers)
    yield moved
    await moved.ahead(0)
