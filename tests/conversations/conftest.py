"""One clinic for the session: the service as its own process, on a database of its own. Each test brings a fresh phone."""

import base64
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from conversations.clinic import Clinic
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from bot.demo.stage import stage
from bot.settings import ROOT
from bot.store.database import Database
from bot.store.vault import Vault

KEPT_LOG = ROOT / "var" / "conversations.log"
DATA_KEY = base64.b64encode(hashlib.sha256(b"conversations").digest()).decode()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever moves the clock or stops the engine comes last, or the others would live through it too."""
    here = [item for item in items if "clinic" in getattr(item, "fixturenames", ()) and "conversations" in item.nodeid]
    places = [index for index, item in enumerate(items) if item in here]
    ordered = sorted(here, key=lambda item: ("later" in item.fixturenames) + 2 * ("no_engine" in item.fixturenames))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="package")
def clinic_database_url(template: str, servers: Any) -> Iterator[str]:
    """A migrated database for all conversations."""
    name = f"test_{os.getpid()}_clinic"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("create database {} template {}").format(Identifier(name), Identifier(template)))
    yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def clinic(clinic_database_url: str, servers: Any) -> AsyncIterator[Clinic]:
    """Service and engine up, the demo's doctors on duty."""
    extra = {"DATABASE_URL": clinic_database_url, "REDIS_URL": servers.redis_url, "DATA_KEY": DATA_KEY}
    async with stage(extra=extra) as on:
        database = Database(clinic_database_url, Vault.of(DATA_KEY), pool_size=3)
        try:
            await on.app.start()
            await on.app.alive(on.http, path="/readyz", within=240)
            yield Clinic(on, database)
        finally:
            await database.close()
            KEPT_LOG.parent.mkdir(exist_ok=True)
            shutil.copy(on.app.log_path, KEPT_LOG)


@pytest.fixture
def later(clinic: Clinic) -> Clinic:
    """The clinic, for tests in which time passes."""
    return clinic


@pytest.fixture
def no_engine(clinic: Clinic) -> Clinic:
    """The clinic, for tests in which the engine fails."""
    return clinic
