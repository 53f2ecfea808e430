"""Lanes with the real steps while the engine fails: everything waiting ends somewhere a person will see it."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select, text

from bot import clock
from bot.care.followups import course
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import State
from bot.care.patients import Person, give_consent, person_of
from bot.care.roster import Hospital, Role, Staff
from bot.dialogue.checkins import put_in_lane
from bot.dialogue.conversation import Conversation
from bot.dialogue.engine_client import EngineClient
from bot.inbox.lanes import Lanes
from bot.inbox.messages import Message, Stage, seal_body
from bot.outbox.rows import Outbox, content_of
from bot.store.accounts import Account, find_or_create
from bot.store.base import new_id
from bot.store.channel import Channel
from bot.store.database import Database

SECRET = "engine-of-these-tests"


@dataclass
class Engine:
    """What stands at the engine's address: fails so often, then answers; remembers what it was asked."""

    fails: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def turn(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.fails > 0:
            self.fails -= 1
            return web.json_response({"error": "turn_aborted"}, status=503)
        return web.json_response({"messages": [{"text": "好的。"}], "replayed": False})


class NoMedia:
    """Nothing can be fetched."""

    async def get_media(self, media_id: str) -> tuple[bytes, str]:
        raise ConnectionError


@dataclass
class Ward:
    """Lanes, steps and one patient who agreed."""

    database: Database
    engine: Engine
    lanes: Lanes
    steps: Conversation
    account_id: uuid.UUID

    async def writes(self, words: str, *, kind: str = "text", ago: timedelta = timedelta()) -> None:
        async with self.database.transaction() as session:
            account = await session.get_one(Account, self.account_id)
            message_id = new_id()
            body = {"text": words} if kind == "text" else {"media_id": words}
            session.add(
                Message(
                    id=message_id,
                    received_at=clock.now() - ago,
                    account_id=account.id,
                    kind=kind,
                    body_sealed=seal_body(account, self.database.vault, message_id, body),
                    trace_id=words,
                    stage=Stage.UNTRIAGED,
                    flags=[],
                )
            )

    async def works(self, seconds: int = 0) -> None:
        """Let this many seconds pass, with a sweep in each."""
        for second in range(seconds + 1):
            if second:
                clock.set_offset(clock.offset() + timedelta(seconds=1))
            await self.lanes.sweep()
            while self.lanes._running:
                await next(iter(self.lanes._running.values()))

    async def rows(self, of: type[Any]) -> list[Any]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(of)))

    async def said(self) -> list[str]:
        async with self.database.reading() as session:
            account = await session.get_one(Account, self.account_id)
            rows = await session.scalars(select(Outbox).where(Outbox.account_id == account.id).order_by(Outbox.seq))
            return [content_of(row, account, session).text for row in rows]


@pytest.fixture
async def ward(database: Database, now: datetime) -> AsyncIterator[Ward]:
    engine = Engine()
    app = web.Application()
    app.add_routes([web.post("/webhooks/app/{which}", engine.turn)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    channel = Channel(database.address)
    await channel.open()
    async with EngineClient([f"http://127.0.0.1:{port}"], secret=SECRET, token="t") as client:
        steps = Conversation(database, client, NoMedia(), owed=lambda: None)
        async with database.transaction() as session:
            account = await find_or_create(session, "o-lin", now=clock.now())
            account.wrote_at = clock.now()
            await give_consent(session, account)
        yield Ward(database, engine, Lanes(database, channel, steps), steps, account.id)
    await channel.close()
    await runner.cleanup()


async def check_in(ward: Ward) -> CheckIn:
    """One that is due and waits in the patient's lane."""
    async with ward.database.transaction() as session:
        person: Person | None = await person_of(session, ward.account_id)
        assert person is not None
        hospital = Hospital(name="县医院", level=2, city="临河")
        session.add(hospital)
        await session.flush()
        doctor = Staff(login="li", name="李明", role=Role.DOCTOR, hospital_id=hospital.id, created_at=clock.now())
        session.add(doctor)
        await session.flush()
        plan = await course.start_plan(
            session, person=person, plan_key="new_treatment", anchor_on=date(2026, 3, 1), doctor=doctor
        )
        first = (
            await session.scalars(
                select(CheckIn)
                .where(CheckIn.plan_id == plan.id, CheckIn.state == State.SCHEDULED)
                .order_by(CheckIn.due_at)
                .limit(1)
            )
        ).one()
        first.become(State.DUE)
        first.next_at = None
        await put_in_lane(session, course.ToAsk(first.id, ward.account_id, 0))
        return first


async def test_a_check_in_that_the_engine_could_not_ask_is_asked_later(ward: Ward) -> None:
    due = await check_in(ward)
    ward.engine.fails = 100
    await ward.works(seconds=60)
    [message] = await ward.rows(Message)
    assert message.stage is Stage.HANDED_TO_HUMAN
    [again] = [one for one in await ward.rows(CheckIn) if one.id == due.id]
    assert again.state is State.SCHEDULED
    assert again.next_at is not None
    assert clock.now() < again.next_at < clock.now() + timedelta(hours=1)


async def test_an_invited_check_in_that_could_not_be_asked_can_be_begun_again(ward: Ward) -> None:
    due = await check_in(ward)
    async with ward.database.transaction() as session:
        (await session.get_one(CheckIn, due.id)).become(State.INVITED)
    ward.engine.fails = 100
    await ward.works(seconds=60)
    ward.engine.fails = 0
    await ward.writes("开始")
    await ward.works(seconds=1)
    [asked] = [one for one in await ward.rows(CheckIn) if one.id == due.id]
    assert asked.state is State.ASKED


async def test_a_check_in_of_a_backlog_is_asked(ward: Ward) -> None:
    due = await check_in(ward)
    clock.set_offset(clock.offset() + timedelta(minutes=20))
    await ward.works()
    [asked] = [one for one in await ward.rows(CheckIn) if one.id == due.id]
    assert asked.state is State.ASKED


async def test_a_backlog_is_one_question_to_a_doctor_and_one_answer(ward: Ward) -> None:
    for words in ("昨天查的血小板有点低", "牙龈有点出血", "要不要紧"):
        await ward.writes(words, ago=timedelta(minutes=12))
    await ward.works()
    async with ward.database.connection() as connection:
        assert await connection.scalar(text("select count(*) from consultation")) == 1
        entries = "select count(*) from consultation_entry where kind = 'patient'"
        assert await connection.scalar(text(entries)) == 3
    [said] = await ward.said()
    assert "3条消息" in said
    assert ward.engine.asked == []


async def test_a_photo_of_a_backlog_gets_its_safety_sentence(ward: Ward) -> None:
    await ward.writes("media-1", kind="image", ago=timedelta(minutes=12))
    await ward.works()
    [said] = await ward.said()
    assert "照片我还看不懂" in said


async def test_a_photo_that_could_not_be_dealt_with_goes_to_a_human_like_words(ward: Ward) -> None:
    await ward.writes("media-1", kind="image")
    [photo] = await ward.rows(Message)
    await ward.steps.triage(photo)
    await ward.steps.hand_to_human([photo], why="tried_in_vain")
    async with ward.database.connection() as connection:
        entries = "select count(*) from consultation_entry where kind = 'patient'"
        assert await connection.scalar(text(entries)) == 1
    [said] = await ward.said()
    assert "没能处理好" in said


async def test_a_number_means_the_same_choice_when_the_turn_is_tried_again(ward: Ward) -> None:
    async with ward.database.transaction() as session:
        (await session.get_one(Account, ward.account_id)).offer(ward.database.vault, ["能不能打篮球", "问医生"])
    ward.engine.fails = 1
    await ward.writes("1")
    await ward.works(seconds=3)
    assert [one["text"] for one in ward.engine.asked] == ["能不能打篮球", "能不能打篮球"]
    await ward.writes("1")
    await ward.works(seconds=1)
    assert ward.engine.asked[-1]["text"] == "1", "choices are those of the last answer"


async def test_the_patient_hears_once_that_the_message_is_kept_and_then_the_answer(ward: Ward) -> None:
    ward.engine.fails = 2
    await ward.writes("血小板低能不能打篮球")
    await ward.works(seconds=40)
    kept, answer = await ward.said()
    assert "已经收到并保存" in kept
    assert answer == "好的。"
    assert len({one["message_id"] for one in ward.engine.asked}) == 1
