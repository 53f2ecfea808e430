"""What WeChat pushed is stored once, in order, before it is acknowledged; nobody pays for somebody else's bad message."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from bot.inbox.intake import Arrival, Intake, Stored
from bot.store.database import Database
from bot.store.vault import Vault

_KEPT = "select m.account_id, r.msg_id from message m join received r on r.message_id = m.id order by m.seq"


def arrival(msg_id: str, *, openid: str = "oLin", event: str | None = None, **body: Any) -> Arrival:
    return Arrival(openid, msg_id, "event" if event else "text", event, body or {"text": "你好"}, "0123456789abcdef")


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database, uuid.uuid4())


@pytest.fixture
def kept(database: Database) -> Callable[[], Any]:
    async def rows() -> list[Any]:
        async with database.connection() as connection:
            return list(await connection.execute(text(_KEPT)))

    return rows


async def account_row(database: Database, stored: Stored) -> Any:
    async with database.connection() as connection:
        found = await connection.execute(text("select * from account where id = :id"), {"id": stored.account_id})
        return found.one()


async def test_a_retry_is_stored_once_and_names_the_first_message(intake, kept):
    first = await intake.store(arrival("1"))
    again = await intake.store(arrival("1"))
    assert first.fresh and not again.fresh
    assert (again.message_id, again.received_at) == (first.message_id, first.received_at)
    assert [row.msg_id for row in await kept()] == ["1"]


async def test_a_retry_that_arrives_together_with_its_original_is_stored_once(intake, kept):
    await intake.store(arrival("0"))
    stored = await asyncio.gather(*(intake.store(arrival(msg_id)) for msg_id in ("1", "2", "2", "2")))
    assert [one.fresh for one in stored].count(True) == 2
    assert len({one.message_id for one in stored[1:]}) == 1
    assert [row.msg_id for row in await kept()] == ["0", "1", "2"]


async def test_the_same_number_from_somebody_else_is_another_message(intake, kept):
    await asyncio.gather(intake.store(arrival("1")), intake.store(arrival("1", openid="oWang")))
    assert len(await kept()) == 2


async def test_messages_that_share_a_commit_keep_the_order_of_their_arrival(intake, kept):
    numbers = [str(number) for number in range(150)]
    await asyncio.gather(*(intake.store(arrival(number, openid=f"o{int(number) % 7}")) for number in numbers))
    assert [row.msg_id for row in await kept()] == numbers


async def test_messages_that_arrive_together_share_a_commit(intake, database):
    await intake.store(arrival("0"))
    await asyncio.gather(*(intake.store(arrival(str(number))) for number in range(1, 40)))
    async with database.connection() as connection:
        commits = await connection.scalar(text("select count(distinct xmin::text) from message"))
    assert commits <= 3


async def test_a_bad_message_does_not_cost_the_others_theirs(intake, kept):
    bad = arrival("3")
    stored = await asyncio.gather(
        intake.store(arrival("1")),
        intake.store(arrival("2")),
        # PostgreSQL takes no zero byte in a text.
        intake.store(Arrival(bad.openid, "3", "te\0xt", None, bad.body, bad.trace_id)),
        intake.store(arrival("4", openid="oWang")),
        return_exceptions=True,
    )
    assert isinstance(stored[2], Exception)
    assert [one.fresh for one in stored if isinstance(one, Stored)] == [True] * 3
    assert [row.msg_id for row in await kept()] == ["1", "2", "4"]


async def test_two_processes_that_meet_the_same_new_account_agree_on_one(database_url, vault, kept, database):
    others = [Database(database_url, vault, pool_size=2) for _ in range(4)]
    processes = [Intake(one, uuid.uuid4()) for one in others]
    people = [f"o{number}" for number in range(6)]
    for _ in range(2):
        stored = await asyncio.gather(
            *(
                process.store(arrival(f"{number}-{openid}", openid=openid))
                for number, process in enumerate(processes)
                for openid in (people if number % 2 else reversed(people))
            )
        )
    assert not any(one.fresh for one in stored)
    async with database.connection() as connection:
        assert await connection.scalar(text("select count(*) from account")) == len(people)
    assert len({row.account_id for row in await kept()}) == len(people)
    assert len(await kept()) == len(people) * len(processes)
    for one in others:
        await one.close()


async def test_nothing_is_acknowledged_while_the_table_cannot_be_written(intake, database, kept):
    await intake.store(arrival("0"))
    async with database.connection() as connection:
        await connection.execute(text("alter table message rename to elsewhere"))
    failed = await asyncio.gather(*(intake.store(arrival(str(n))) for n in range(1, 6)), return_exceptions=True)
    assert all(isinstance(one, Exception) for one in failed)
    async with database.connection() as connection:
        assert await connection.scalar(text("select count(*) from received")) == 1
        await connection.execute(text("alter table elsewhere rename to message"))
    retried = await asyncio.gather(*(intake.store(arrival(str(n))) for n in range(1, 6)))
    assert all(one.fresh for one in retried)
    assert len(await kept()) == 6


async def test_an_account_whose_first_message_failed_is_made_again_with_the_next(intake, database):
    first = arrival("1")
    with pytest.raises(Exception, match=r"null character|0x00|invalid byte"):
        await intake.store(Arrival(first.openid, "1", "te\0xt", None, first.body, first.trace_id))
    async with database.connection() as connection:
        assert await connection.scalar(text("select count(*) from account")) == 0
    assert (await intake.store(arrival("2"))).fresh


async def test_a_restart_of_the_database_costs_no_message_that_comes_after_it(intake, database, kept):
    await asyncio.gather(*(intake.store(arrival(str(n))) for n in range(3)))
    async with database.connection() as connection:
        await connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while len(await kept()) < 4:
            try:
                await intake.store(arrival("3"))
            except Exception:
                continue
    assert (await intake.store(arrival("4"))).fresh


async def test_the_text_is_sealed_under_the_account_s_own_key(intake, database, vault: Vault):
    stored = await intake.store(arrival("1", text="牙龈出血"))
    async with database.connection() as connection:
        sealed = await connection.scalar(text("select body_sealed from message"))
    row = await account_row(database, stored)
    assert "牙龈".encode() not in sealed
    key = vault.unwrap(row.wrapped_key, "account")
    assert "牙龈出血" in key.unseal(sealed, "message", "body", stored.message_id)


@pytest.mark.parametrize(
    ("arrived", "wrote", "tapped", "following"),
    [
        (arrival("1"), True, False, True),
        (arrival("1", event="subscribe"), False, True, True),
        (arrival("1", event="click", event_key="MENU"), False, True, True),
        (arrival("1", event="view", url="https://example.org"), False, False, True),
        (arrival("1", event="unsubscribe"), False, False, False),
    ],
)
async def test_what_opens_a_delivery_window_is_noted(intake, database, arrived, wrote, tapped, following):
    row = await account_row(database, await intake.store(arrived))
    assert (row.wrote_at is not None, row.tapped_at is not None, row.following) == (wrote, tapped, following)


async def test_a_retry_opens_no_window_again(intake, database, at):
    stored = await intake.store(arrival("1"))
    before = (await account_row(database, stored)).wrote_at
    await intake.store(arrival("1"))
    assert (await account_row(database, stored)).wrote_at == before
