"""The check-in's form: what counts as an answer, what interrupts it, what is kept of it, what ends it."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from actions_stage import Engine, Said
from sqlalchemy import select

from bot import clock
from bot.care.followups import course
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import State
from bot.care.roster import Staff
from bot.dialogue.checkins import FORM
from bot.dialogue.turns import FormDraft, draft_of, draft_slots

PLATELET, BLEEDING = "checkin_platelet", "checkin_bleeding"


@pytest.fixture
async def checkin_id(engine: Engine) -> uuid.UUID:
    """A check-in that has been asked."""
    async with engine.database.transaction() as session:
        doctor = await session.get_one(Staff, engine.doctor_id)
        person = await session.merge(engine.person)
        plan = await course.start_plan(
            session, person=person, plan_key="new_treatment", anchor_on=clock.today(), doctor=doctor
        )
        await session.flush()
        first = (
            await session.scalars(select(CheckIn).where(CheckIn.plan_id == plan.id).order_by(CheckIn.due_at))
        ).first()
        assert first is not None
        first.state = State.DUE
        await course.asked(session, first)
        return first.id


async def validates(
    engine: Engine, checkin_id: uuid.UUID, text: str, intent: str, requested: str, **slots: Any
) -> Said:
    known = {"requested_slot": requested, "checkin_id": str(checkin_id), **slots}
    turn = engine.hears(text, intent, slots=known, loop=FORM)
    return await turn.run("validate_checkin_form")


async def draft(engine: Engine) -> tuple[FormDraft, dict[str, Any]] | None:
    async with engine.database.reading() as session:
        found = await draft_of(session, engine.account.id)
        return (found, draft_slots(found, engine.account, session)) if found is not None else None


@pytest.mark.parametrize(
    "intent", ["inform", "report", "deny", "nlu_fallback", "faq", "greet", "correct", "ask_doctor"]
)
async def test_a_number_is_an_answer_whatever_the_engine_took_it_for(
    engine: Engine, checkin_id: uuid.UUID, intent: str
) -> None:
    said = await validates(engine, checkin_id, "4.8万", intent, PLATELET)
    assert said.slots[PLATELET]["value"] == 48.0


@pytest.mark.parametrize(
    "intent", ["faq", "ask_human", "stop", "see_record", "help", "greet", "thanks", "goodbye", "ask_doctor"]
)
async def test_something_else_is_no_answer_and_the_question_stays_open(
    engine: Engine, checkin_id: uuid.UUID, intent: str
) -> None:
    said = await validates(engine, checkin_id, "血小板低能不能打篮球", intent, PLATELET)
    assert said.slots.get(PLATELET) is None
    kept = await draft(engine)
    assert kept is not None
    assert kept[0].requested_slot == PLATELET


async def test_what_is_not_understood_is_asked_again_with_how_to_say_it(engine: Engine, checkin_id: uuid.UUID) -> None:
    said = await validates(engine, checkin_id, "二十到三十之间吧", "inform", PLATELET)
    assert said.slots[PLATELET] is None
    assert "没查就回「没查」" in said.text


async def test_not_measured_is_an_answer(engine: Engine, checkin_id: uuid.UUID) -> None:
    said = await validates(engine, checkin_id, "还没去查", "deny", PLATELET)
    assert said.slots[PLATELET] == {"value": None, "typed": "还没去查"}


@pytest.mark.parametrize(
    ("text", "intent", "code"),
    [
        ("没有", "deny", "none"),
        ("早上流鼻血", "report", "mucosa"),
        ("大便有点黑", "faq", "organ"),
        ("有一点", "affirm", "unclear"),
    ],
)
async def test_bleeding_is_read_by_its_words(
    engine: Engine, checkin_id: uuid.UUID, text: str, intent: str, code: str
) -> None:
    known = {PLATELET: {"value": 48.0, "typed": "48"}}
    said = await validates(engine, checkin_id, text, intent, BLEEDING, **known)
    assert said.slots[BLEEDING]["code"] == code


async def test_what_was_answered_is_kept_in_a_draft_after_every_answer(engine: Engine, checkin_id: uuid.UUID) -> None:
    await validates(engine, checkin_id, "4.8万", "inform", PLATELET)
    kept = await draft(engine)
    assert kept is not None
    row, slots = kept
    assert (row.form, row.requested_slot, row.checkin_id) == (FORM, BLEEDING, checkin_id)
    assert slots[PLATELET]["value"] == 48.0
    assert b"48" not in row.slots_sealed
    assert not row.suspended(clock.now())
    assert row.suspended(clock.now() + timedelta(minutes=31))


async def test_the_event_that_opens_the_form_is_no_answer(engine: Engine, checkin_id: uuid.UUID) -> None:
    turn = engine.hears(
        "EXTERNAL_checkin",
        "EXTERNAL_checkin",
        slots={"requested_slot": PLATELET, "checkin_id": str(checkin_id)},
        loop=FORM,
        external=True,
    )
    assert (await turn.run("validate_checkin_form")).slots.get(PLATELET) is None


async def test_a_repeated_validation_returns_the_same(engine: Engine, checkin_id: uuid.UUID) -> None:
    turn = engine.hears("4.8万", "inform", slots={"requested_slot": PLATELET, "checkin_id": str(checkin_id)}, loop=FORM)
    first, again = await turn.run("validate_checkin_form"), await turn.run("validate_checkin_form")
    assert (again.events, again.responses) == (first.events, first.responses)


async def test_a_new_session_takes_up_the_form_at_the_same_question(engine: Engine, checkin_id: uuid.UUID) -> None:
    await validates(engine, checkin_id, "4.8万", "inform", PLATELET)
    said = await engine.hears("没有", "deny").run("action_session_start")
    assert said.events[0]["event"] == "session_started"
    assert said.events[-1] == {"event": "action", "name": "action_listen"}
    assert {"event": "active_loop", "name": FORM} in said.events
    assert said.slots["requested_slot"] == BLEEDING
    assert said.slots[PLATELET]["value"] == 48.0
    assert said.slots["checkin_id"] == str(checkin_id)


async def test_a_new_session_without_a_form_starts_empty(engine: Engine) -> None:
    said = await engine.hears("你好", "greet").run("action_session_start")
    assert [event["event"] for event in said.events] == ["session_started", "action"]


@pytest.mark.parametrize(
    ("platelet", "bleeding", "worrying"),
    [
        ({"value": 48.0, "typed": "4.8万"}, {"code": "none", "typed": "没有"}, False),
        ({"value": 18.0, "typed": "1.8万"}, {"code": "none", "typed": "没有"}, True),
    ],
)
async def test_the_last_answer_ends_the_checkin(
    engine: Engine, checkin_id: uuid.UUID, platelet: dict[str, Any], bleeding: dict[str, Any], worrying: bool
) -> None:
    slots = {PLATELET: platelet, BLEEDING: bleeding, "checkin_id": str(checkin_id)}
    said = await engine.hears("没有", "deny", slots=slots).run("action_checkin_done")
    assert ("需要医生看一下" in said.text) is worrying
    assert ("值班的李医生" in said.text) is worrying
    assert await engine.questions() == int(worrying)
    assert await engine.counts() == [platelet["value"]]
    assert said.slots == {PLATELET: None, BLEEDING: None, "checkin_id": None}
    assert await draft(engine) is None
    async with engine.database.reading() as session:
        check_in = await session.get_one(CheckIn, checkin_id)
        assert (check_in.state, check_in.next_at) == (State.ANSWERED, None)


async def test_leaving_closes_the_form_and_the_checkin_stays_open(engine: Engine, checkin_id: uuid.UUID) -> None:
    await validates(engine, checkin_id, "4.8万", "inform", PLATELET)
    said = await engine.hears("不想填了", "stop", loop=FORM).run("action_leave_checkin")
    assert {"event": "active_loop", "name": None} in said.events
    assert await draft(engine) is None
    async with engine.database.reading() as session:
        check_in = await session.get_one(CheckIn, checkin_id)
        assert (check_in.state, check_in.asked_at, check_in.reason) == (State.ASKED, None, course.LEFT)


async def test_leaving_keeps_the_count_that_was_told_and_leaves_nothing_for_the_next_form(
    engine: Engine, checkin_id: uuid.UUID
) -> None:
    slots = {PLATELET: {"value": 48.0, "typed": "4.8万"}, "requested_slot": BLEEDING, "checkin_id": str(checkin_id)}
    said = await engine.hears("不想填了", "stop", slots=slots, loop=FORM).run("action_leave_checkin")
    assert await engine.counts() == [48.0]
    assert said.slots == {PLATELET: None, BLEEDING: None, "checkin_id": None, "requested_slot": None}
