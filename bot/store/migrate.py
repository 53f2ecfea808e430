"""Migrations: bringing a database to the present tables, and partitions for the months to come."""

from datetime import date
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bot import clock
from bot.store.database import async_url

PARTITIONED = {"message": "received_at", "observation": "recorded_at", "audit": "at"}
_ONE_AT_A_TIME = 0x1797


def _config(connection: Connection, metadata: Any = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    return config


async def upgrade(address: str) -> None:
    """Bring the database to the newest tables; processes starting together wait for each other."""
    engine = create_async_engine(async_url(address))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:n)"), {"n": _ONE_AT_A_TIME})
            await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    finally:
        await engine.dispose()


async def check(address: str, metadata: Any) -> None:
    """Raise when the models say something else than the migrations."""
    engine = create_async_engine(async_url(address))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: command.check(_config(sync, metadata)))
    finally:
        await engine.dispose()


async def propose(address: str, metadata: Any, message: str) -> None:
    """Write a new migration from the difference between models and database."""
    engine = create_async_engine(async_url(address))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(
                lambda sync: command.revision(_config(sync, metadata), message=message, autogenerate=True)
            )
    finally:
        await engine.dispose()


async def make_partitions(connection: AsyncConnection, *, months: int = 3) -> None:
    """Partitions for this month and the next ones. What falls into no month is caught by the default partition."""
    first = clock.today().replace(day=1)
    for table in PARTITIONED:
        start = first
        for _ in range(months):
            end = _next_month(start)
            name = f"{table}_p{start:%Y_%m}"
            if await connection.scalar(text("select to_regclass(:n)"), {"n": name}) is None:
                await _attach(connection, table, name, start, end)
            start = end


async def _attach(connection: AsyncConnection, table: str, name: str, start: date, end: date) -> None:
    """Make one partition, moving rows of its months out of the default partition first."""
    column = PARTITIONED[table]
    between = f"{column} >= '{start} 00:00+00' and {column} < '{end} 00:00+00'"
    await connection.execute(text(f"create table {name} (like {table} including defaults including constraints)"))
    await connection.execute(
        text(
            f"with moved as (delete from {table}_pdefault where {between} returning *) "
            f"insert into {name} select * from moved"
        )
    )
    await connection.execute(
        text(f"alter table {table} attach partition {name} for values from ('{start} 00:00+00') to ('{end} 00:00+00')")
    )


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
