"""Triage of a burst finds what triage of one message at a time finds, and acts on it in the same one transaction."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from bot.care import patients, records
from bot.dialogue.first_look import FirstLook
from bot.dialogue.reception import triage_message
from bot.inbox.intake import Arrival, Intake, Stored
from bot.inbox.messages import Message
from bot.store.accounts import Account
from bot.store.database import Database

SAID = (
    "今天散步走了半个小时",
    "头疼得厉害，还一直吐",
    "牙龈一直在出血，止不住",
    "胳膊上有几个小红点",
    "我今天血小板 8",
    "发烧 39 度",
    "谢谢您",
)


@pytest.fixture
def woken() -> list[None]:
    return []


@pytest.fixture
def first_look(database: Database, woken: list[None]) -> FirstLook:
    return FirstLook(database, woken=lambda: woken.append(None))


async def said(database: Database, who: str, words: list[str], *, agreed: bool) -> list[Message]:
    """These messages of one person, stored; `agreed` with a record that holds a low count."""
    intake = Intake(database, uuid.uuid4())
    stored: list[Stored] = []
    for number, one in enumerate(words):
        arrival = Arrival(who, f"{who}-{number}", "text", None, {"text": one}, f"{number:016x}")
        stored.append(await intake.store(arrival))
        if agreed and not number:
            async with database.transaction() as session:
                account = await session.get_one(Account, stored[0].account_id)
                person = await patients.give_consent(session, account)
                person.spleen_removed = True
                await records.record_counts(session, person, "血小板 25", cause="test")
    return [Message(id=s.message_id, received_at=s.received_at, account_id=s.account_id, trace_id="t") for s in stored]


async def found(database: Database, messages: list[Message]) -> list[Any]:
    """What stands in the rows afterwards, without what differs from one person to the other."""
    statement = """
        select stage, flag_level, level, flags, outcome, person_id is not null, consultation_id is not null,
               triaged_at is not null,
               (select count(*) from outbox where passive_for = message.id)
        from message where id = any(:ids) order by seq
    """
    async with database.connection() as connection:
        rows = await connection.execute(text(statement), {"ids": [message.id for message in messages]})
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_burst_is_judged_as_each_message_would_be_alone(database, first_look, now, agreed):
    alone, together = [], []
    for number, words in enumerate(SAID):
        # Two messages of each, the first of them harmless: what was said before counts as well.
        alone.append(await said(database, f"alone{number}", ["你好", words], agreed=agreed))
        together.append(await said(database, f"together{number}", ["你好", words], agreed=agreed))
    for one in alone:
        for message in one:
            await triage_message(database, message, woken=lambda: None)
    await asyncio.gather(*(first_look.triage(message) for one in together for message in one))
    for words, one, other in zip(SAID, alone, together, strict=True):
        assert await found(database, other) == await found(database, one), words
    levels = {row[1] for one in together for row in await found(database, one)}
    assert {"emergency", "none"} <= levels


async def test_an_emergency_in_a_burst_writes_all_that_follows_in_one_transaction(database, first_look, woken, now):
    calm = [await said(database, f"calm{n}", ["今天散步走了半个小时"], agreed=True) for n in range(10)]
    [urgent] = await said(database, "urgent", ["头疼得厉害，还一直吐"], agreed=True)
    await asyncio.gather(*(first_look.triage(message) for one in calm for message in one), first_look.triage(urgent))
    transactions = """
        select m.xmin::text, o.xmin::text, c.xmin::text
        from message m join outbox o on o.passive_for = m.id join consultation c on c.id = m.consultation_id
        where m.id = :id
    """
    async with database.connection() as connection:
        row = (await connection.execute(text(transactions), {"id": urgent.id})).one()
    assert len(set(row)) == 1
    assert len(woken) == 1


async def test_a_burst_that_nothing_is_found_in_is_marked_in_few_commits(database, first_look, now):
    calm = [await said(database, f"calm{n}", ["今天散步走了半个小时"], agreed=bool(n % 2)) for n in range(30)]
    await asyncio.gather(*(first_look.triage(message) for one in calm for message in one))
    async with database.connection() as connection:
        assert await connection.scalar(text("select count(distinct xmin::text) from message")) <= 4
        assert await connection.scalar(text("select count(*) from message where stage <> 'queued'")) == 0


async def test_a_message_that_two_processes_triage_is_acted_on_once(database, first_look, now):
    messages = [(await said(database, f"p{n}", [words], agreed=True))[0] for n, words in enumerate(SAID)]
    other = FirstLook(database, woken=lambda: None)
    await asyncio.gather(*(look.triage(message) for message in messages for look in (first_look, other)))
    async with database.connection() as connection:
        again = await connection.scalar(
            text(
                "select count(*) from (select 1 from outbox where kind = 'advice' group by cause having count(*) > 1) x"
            )
        )
        assert again == 0
        assert await connection.scalar(text("select count(*) from message where stage = 'untriaged'")) == 0


async def test_a_key_that_was_destroyed_costs_only_its_own_messages(database, first_look, now):
    [lost] = await said(database, "lost", ["你好"], agreed=False)
    [kept] = await said(database, "kept", ["你好"], agreed=False)
    async with database.connection() as connection:
        await connection.execute(text("update account set wrapped_key = null where id = :id"), {"id": lost.account_id})
    [_, *results] = await asyncio.gather(
        *(first_look.triage(message) for message in (kept, kept, kept, lost, kept)), return_exceptions=True
    )
    assert sum(isinstance(one, Exception) for one in results) == 1
    assert (await found(database, [kept]))[0][0] == "queued"
