"""A PostgreSQL of the bench's own, with the application's tables, in a directory that goes away with the run."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

import bot.tables
from bot import clock
from bot.care.patients import give_consent
from bot.store import embedded, migrate
from bot.store.accounts import find_or_create
from bot.store.database import Database
from bot.store.vault import Vault

assert bot.tables


@dataclass(frozen=True)
class Servers:
    """Where the database is, and the key to what is sealed in it."""

    database_url: str
    data_key: str

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return int(await connection.fetchval(f"select count(*) from {table}"))
        finally:
            await connection.close()


@asynccontextmanager
async def migrated(scratch: Path) -> AsyncIterator[Servers]:
    """PostgreSQL as the product starts it (durable commits), migrated; stopped at the end."""
    server, address, _ = await asyncio.to_thread(embedded.start_postgres, scratch)
    try:
        await migrate.upgrade(address)
        yield Servers(address, base64.b64encode(secrets.token_bytes(32)).decode())
    finally:
        await asyncio.to_thread(server.cleanup)


async def some_consent(servers: Servers, openids: Sequence[str]) -> None:
    """Accounts for these patients; every second one has agreed and has a record."""
    database = Database(servers.database_url, Vault.of(servers.data_key))
    async with database.transaction() as session:
        for number, openid in enumerate(openids):
            account = await find_or_create(session, openid, now=clock.now())
            if number % 2:
                await give_consent(session, account)
    await database.close()
