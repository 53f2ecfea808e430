"""The actions' route over one database for all of them; each test brings its own hospital and patients."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from actions_stage import SECRET, Engine
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from care.ward import Ward
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from bot.care.roster import Part
from bot.dialogue.executor import routes
from bot.dialogue.turn import Turns
from bot.knowledge import faq
from bot.store.database import Database
from bot.store.vault import Vault


@pytest.fixture(scope="package")
def actions_database_url(template: str, servers: Any, vault: Vault) -> Iterator[str]:
    """A migrated database with the FAQ published."""
    name = f"test_{os.getpid()}_actions"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("create database {} template {}").format(Identifier(name), Identifier(template)))
    address = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)

    async def publish() -> None:
        database = Database(address, vault)
        async with database.transaction() as session:
            await faq.import_baseline(session, approve_as="tests")
        await database.close()

    asyncio.run(publish())
    yield address
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


@pytest.fixture
async def engine(actions_database_url: str, vault: Vault, now: datetime) -> AsyncIterator[Engine]:
    """A service with a doctor on duty, a patient who agreed and a stranger."""
    database = Database(actions_database_url, vault, pool_size=3)
    async with database.transaction() as session:
        ward = Ward(session)
        hospital = await ward.hospital("江南一院")
        doctor = await ward.staff("李慧", hospital, part=Part.DUTY)
        account, person = await ward.patient(hospital)
        stranger = await ward.account()
    application = web.Application()
    application.add_routes(routes("actions", secret=SECRET, around=Turns(database).around))
    async with TestClient(TestServer(application)) as client:
        yield Engine(client, database, account, person, stranger, doctor.id)
    await database.close()
