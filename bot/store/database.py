"""The database as the application holds it: one engine, sessions, and the vault that opens what is sealed in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bot.store.vault import Vault


def async_url(address: str) -> str:
    """A libpq-style address (`postgresql://…`, socket in `?host=` allowed) as the asynchronous driver wants it."""
    return make_url(address).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


class Database:
    """Engine, sessions and vault of one process."""

    def __init__(self, address: str, vault: Vault, *, pool_size: int = 10) -> None:
        self.address = address
        self.vault = vault
        self.engine: AsyncEngine = create_async_engine(
            async_url(address), pool_size=pool_size, max_overflow=10, pool_pre_ping=False, pool_recycle=1800
        )
        # Each statement is its own transaction here, which spares the ways to the database that open and close one.
        self._alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._readers = async_sessionmaker(self._alone, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        async with self._sessions() as session, session.begin():
            session.info["vault"] = self.vault
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for reading only; nothing that is changed in it is kept. Each statement sees its own moment."""
        async with self._readers() as session:
            session.info["vault"] = self.vault
            yield session

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one statement that needs no mapping: it is committed when it has run."""
        async with self._alone.connect() as connection:
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, for statements that need no mapping."""
        async with self.engine.begin() as connection:
            yield connection

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        """Return all connections."""
        await self.engine.dispose()


def vault_of(session: AsyncSession) -> Vault:
    """The vault that goes with a session."""
    vault = session.info["vault"]
    assert isinstance(vault, Vault)
    return vault
