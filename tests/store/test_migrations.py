"""Migrations: they agree with the models, may be run by many at once, and make the months' partitions in time."""

import asyncio
import importlib.util
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import Column, Integer, MetaData, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

import bot.tables
from bot.store import migrate
from bot.store.base import new_id
from bot.store.database import Database

ROOT = Path(__file__).resolve().parents[2]
AUDIT = text(
    "insert into audit (id, at, actor_kind, act, subject_kind, details) values (:id, :at, 'system', 'x', 'y', '{}')"
)
SCHEMA = text(
    """
    select table_name, column_name, data_type, is_nullable from information_schema.columns
    where table_schema = 'public' order by 1, 2
    """
)


async def test_the_migrations_make_what_the_models_say(database_url: str) -> None:
    await migrate.check(database_url, bot.tables.metadata)


async def test_a_model_without_its_migration_is_noticed(database_url: str) -> None:
    changed = MetaData()
    for table in bot.tables.metadata.tables.values():
        table.to_metadata(changed)
    Table("forgotten", changed, Column("id", Integer, primary_key=True))
    with pytest.raises(CommandError, match="forgotten"):
        await migrate.check(database_url, changed)


def test_every_module_with_tables_is_named_in_one_place() -> None:
    imported = set(re.findall(r"^import ([\w.]+)$", (ROOT / "bot" / "tables.py").read_text(), re.MULTILINE))
    holding = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "bot").rglob("*.py")
        if re.search(r"^    __tablename__ = ", path.read_text("utf-8"), re.MULTILINE)
    }
    assert imported == holding


async def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(3)))
    await migrate.check(empty_database_url, bot.tables.metadata)


async def test_migrating_again_changes_nothing(database: Database) -> None:
    async with database.connection() as connection:
        before = (await connection.execute(SCHEMA)).all()
    await migrate.upgrade(database.address)
    async with database.connection() as connection:
        assert (await connection.execute(SCHEMA)).all() == before


def test_migrations_form_one_line() -> None:
    versions = {}
    for path in (ROOT / "bot" / "store" / "migrations" / "versions").glob("*.py"):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert path.name.startswith(f"{module.revision}_")
        versions[module.revision] = module.down_revision
    assert len(set(versions.values())) == len(versions)
    assert list(versions.values()).count(None) == 1


async def partition_of(connection: AsyncConnection, moment: datetime) -> str:
    """Where the audit's row of a moment is kept."""
    row_id = new_id()
    await connection.execute(AUDIT, {"id": row_id, "at": moment})
    found = await connection.scalar(text("select tableoid::regclass::text from audit where id = :id"), {"id": row_id})
    return str(found)


async def test_the_months_to_come_have_their_partitions(database: Database, now: datetime) -> None:
    async with database.connection() as connection:
        await migrate.make_partitions(connection)
        assert await partition_of(connection, now) == "audit_p2026_03"
        assert await partition_of(connection, datetime(2026, 5, 31, 23, 59, tzinfo=UTC)) == "audit_p2026_05"
        for table in migrate.PARTITIONED:
            for month in ("2026_03", "2026_04", "2026_05"):
                assert await connection.scalar(text("select to_regclass(:n)"), {"n": f"{table}_p{month}"})


async def test_a_month_nobody_made_a_partition_for_is_kept_all_the_same(database: Database, now: datetime) -> None:
    async with database.connection() as connection:
        await migrate.make_partitions(connection)
        assert await partition_of(connection, now + timedelta(days=400)) == "audit_pdefault"


async def test_a_partition_made_late_takes_the_rows_that_came_early(
    database: Database, at: Callable[[datetime], datetime]
) -> None:
    early = datetime(2026, 8, 15, 12, tzinfo=UTC)
    async with database.connection() as connection:
        assert await partition_of(connection, early) == "audit_pdefault"
    at(datetime(2026, 8, 20, tzinfo=UTC))
    async with database.connection() as connection:
        await migrate.make_partitions(connection, months=1)
        rows = await connection.execute(text("select tableoid::regclass::text, at from audit"))
        assert [tuple(row) for row in rows] == [("audit_p2026_08", early)]


async def test_making_partitions_again_changes_nothing(database: Database, now: datetime) -> None:
    count = text("select count(*) from pg_inherits")
    async with database.connection() as connection:
        await migrate.make_partitions(connection)
        before = await connection.scalar(count)
        await migrate.make_partitions(connection)
        assert await connection.scalar(count) == before


async def test_partitions_go_over_the_turn_of_the_year(database: Database, at: Callable[[datetime], datetime]) -> None:
    at(datetime(2026, 12, 5, tzinfo=UTC))
    async with database.connection() as connection:
        await migrate.make_partitions(connection)
        assert await partition_of(connection, datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == "audit_p2026_12"
        assert await partition_of(connection, datetime(2027, 1, 1, tzinfo=UTC)) == "audit_p2027_01"


async def test_the_models_are_still_right_once_months_have_partitions(database: Database, now: datetime) -> None:
    async with database.connection() as connection:
        await migrate.make_partitions(connection)
    await migrate.check(database.address, bot.tables.metadata)
