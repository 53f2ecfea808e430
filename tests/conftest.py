"""What all tests share: real servers, a database of one's own, a clock that can be moved, and no way out of the machine.

Nothing is started before a test asks for it: tests of pure modules run without servers.
"""

import asyncio
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import redis
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from bot import clock
from bot.setup import browser
from bot.store import embedded, migrate
from bot.store.database import Database, async_url
from bot.store.vault import Vault

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "bot" / "store" / "migrations"
KEPT_TEMPLATES = 5
_ONE_AT_A_TIME = 0x7E57
_LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")

# Two shared cores say nothing about how long one example should take.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], max_examples=60
)
hypothesis.settings.load_profile("shared")

_reached_outside: list[str] = []


class ReachedOutside(AssertionError):
    """A test tried to reach something that is not on this machine."""


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if isinstance(host, str) and host and host != "0.0.0.0" and not host.startswith(_LOOPBACK):
        _reached_outside.append(f"{event} {host}")
        raise ReachedOutside(f"a test reached for {host}")


# An audit hook sees every socket of this process, whichever library opens it; it cannot be taken out again, nor need be.
sys.addaudithook(_only_loopback)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=1, help="how often each test that takes `kill_round` runs")
    parser.addoption("--results", type=Path, help="where to write what became of each test, as JSON")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that kills asks for `kill_round`: once in `make test`, N times in `make test-kill N=50`."""
    if "kill_round" in metafunc.fixturenames:
        metafunc.parametrize("kill_round", range(metafunc.config.getoption("rounds")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a Chromium the browser tests cannot run; the summary says so loudly.

    With two workers each folder stays together, because its tests share a service, an engine or a page.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT / "tests").parts[0]))
    browser_tests = [item for item in items if item.get_closest_marker("browser")]
    if browser_tests and browser.find() is None:
        config.hook.pytest_deselected(items=browser_tests)
        items[:] = [item for item in items if item not in browser_tests]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if browser.find() is None:
        terminalreporter.section("NO CHROMIUM: NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line("tests marked `browser` (make browser, or set BROWSER_PATH)", red=True)
    if (results := config.getoption("results")) is not None:
        _write_results(terminalreporter.stats, results)


def _write_results(stats: dict[str, list[Any]], path: Path) -> None:
    """A list of {test, rounds, passed, failed}: one entry a test, however many its rounds."""
    entries: dict[str, dict[str, Any]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in stats.get(outcome, []):
            name = report.nodeid.partition("[")[0]
            entry = entries.setdefault(name, {"test": name, "rounds": 0, "passed": 0, "failed": 0})
            entry["rounds"] += 1
            entry["passed" if outcome == "passed" else "failed"] += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(entries.values()), indent=1))


@pytest.fixture(autouse=True)
def _nothing_outside() -> Iterator[None]:
    """Fail a test that reached outside, even where the code under test swallowed the refusal."""
    _reached_outside.clear()
    yield
    assert not _reached_outside, f"reached outside: {', '.join(_reached_outside)}"


@pytest.fixture(autouse=True)
def _clock_put_back() -> Iterator[None]:
    yield
    clock.set_offset(timedelta())


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of the session's PostgreSQL (an administrator's, any database) and Valkey."""

    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Valkey: those of `TEST_DATABASE_URL` and `TEST_REDIS_URL`, else our own.

    PostgreSQL's data stay under the system's temporary directory from run to run (a start then takes 0.2 s, and the
    template is there); runs at the same time join one server, which stops with the last of them.
    """
    postgres = valkey = None
    database_url, redis_url = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    private = Path(tempfile.mkdtemp(prefix="itp-test-"))
    if not database_url:
        name = hashlib.sha256(f"{ROOT} {os.getuid()}".encode()).hexdigest()[:12]
        place = Path(tempfile.gettempdir()) / f"itp-tests-{name}"
        place.mkdir(mode=0o755, exist_ok=True)
        assert place.stat().st_uid == os.getuid(), f"{place} belongs to somebody else; remove it"
        postgres, database_url, _ = embedded.start_postgres(place)
        _careless(database_url)
    if not redis_url:
        valkey, redis_url = embedded.start_valkey(private)
    yield Servers(database_url, redis_url)
    if valkey is not None:
        valkey.stop()
    if postgres is not None:
        postgres.cleanup()
    shutil.rmtree(private, ignore_errors=True)


def _careless(address: str) -> None:
    """Tests never pull the plug of the machine: no waiting for the disk."""
    with psycopg.connect(address, autocommit=True) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(SQL("alter system set {} = off").format(Identifier(name)))
        connection.execute("alter system set max_connections = 300")
        connection.execute("select pg_reload_conf()")


def _at(address: str, database: str) -> str:
    return make_url(address).set(database=database).render_as_string(hide_password=False)


@contextmanager
def _administering(address: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(MIGRATIONS.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated, empty database to copy, made once for one state of the migrations."""
    name = f"tpl_{_fingerprint()}"
    with _administering(servers.database_url) as connection:
        connection.execute("select pg_advisory_lock(%s)", [_ONE_AT_A_TIME])
        if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            making = f"making_{name}"
            connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(making)))
            connection.execute(SQL("create database {}").format(Identifier(making)))
            asyncio.run(migrate.upgrade(_at(servers.database_url, making)))
            connection.execute(SQL("alter database {} rename to {}").format(Identifier(making), Identifier(name)))
        _drop_what_dead_runs_left(connection)
        connection.execute("select pg_advisory_unlock(%s)", [_ONE_AT_A_TIME])
    return name


def _drop_what_dead_runs_left(connection: "psycopg.Connection[Any]") -> None:
    rows = connection.execute("select datname from pg_database where datname like 'test\\_%'").fetchall()
    for (name,) in rows:
        if not Path(f"/proc/{name.split('_')[1]}").exists():
            connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))
    old = "select datname from pg_database where datname like 'tpl\\_%%' order by oid desc offset %s"
    for (name,) in connection.execute(old, [KEPT_TEMPLATES]).fetchall():
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


_number = itertools.count()


@contextmanager
def _copy_of(template: str, servers: Servers) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_number)}"
    with _administering(servers.database_url) as connection:
        connection.execute(SQL("create database {} template {}").format(Identifier(name), Identifier(template)))
    yield _at(servers.database_url, name)
    with _administering(servers.database_url) as connection:
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


@pytest.fixture(scope="session")
def shared_database_url(template: str, servers: Servers) -> Iterator[str]:
    """One migrated database for all tests whose changes are rolled back."""
    with _copy_of(template, servers) as address:
        yield address


@pytest.fixture
def database_url(template: str, servers: Servers) -> Iterator[str]:
    """A migrated database of the test's own, dropped after it; several processes may use it."""
    with _copy_of(template, servers) as address:
        yield address


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A database of the test's own without any table, dropped after it."""
    with _copy_of("template1", servers) as address:
        yield address


@pytest.fixture(scope="session")
def vault() -> Vault:
    """A vault whose key only tests know."""
    return Vault([hashlib.sha256(b"tests").digest()])


@pytest.fixture
async def database(database_url: str, vault: Vault) -> AsyncIterator[Database]:
    """The application's database on a database of the test's own."""
    database = Database(database_url, vault, pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def session(shared_database_url: str, vault: Vault) -> AsyncIterator[AsyncSession]:
    """A session whose commits are savepoints of a transaction that is rolled back after the test."""
    engine = create_async_engine(async_url(shared_database_url), poolclass=NullPool)
    async with engine.connect() as connection:
        outermost = await connection.begin()
        async with AsyncSession(
            bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            session.info["vault"] = vault
            yield session
        await outermost.rollback()
    await engine.dispose()


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """The session's Valkey, empty before and after the test."""
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushdb()
        yield servers.redis_url
        client.flushdb()


@pytest.fixture
def at() -> Callable[[datetime], datetime]:
    """Move `clock.now()` to a moment (aware); it runs on from there. Put back after the test."""

    def move(moment: datetime) -> datetime:
        clock.set_offset(moment - clock.real_now())
        return moment

    return move


@pytest.fixture
def now(at: Callable[[datetime], datetime]) -> datetime:
    """A Wednesday morning in duty hours, 4 March 2026, 10:00 in China; `clock.now()` runs on from there."""
    return at(datetime(2026, 3, 4, 10, tzinfo=clock.SHANGHAI).astimezone(UTC))
