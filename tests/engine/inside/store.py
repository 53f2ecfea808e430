"""The tracker store against a real PostgreSQL."""

import asyncio
import os
from typing import Any

import psycopg2
from cryptography.exceptions import InvalidTag
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, SessionStarted, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot.engine.tracker_store import EncryptedTrackerStore, EventCipher, OverlappingTurns, read_key

KEY = bytes(range(32))
SLOT = "  checkin_id:\n    type: any\n    influence_conversation: false\n    mappings:\n      - type: custom\n"
DOMAIN = Domain.from_yaml('version: "3.1"\nslots:\n' + SLOT)
SAID = "我血小板只有两万三，很害怕"


def store(key: bytes = KEY, dsn: str = "") -> EncryptedTrackerStore:
    return EncryptedTrackerStore(host=dsn or os.environ["TEST_POSTGRES"], domain=DOMAIN, key=key)


def sql(query: str, *values: Any) -> Any:
    with psycopg2.connect(os.environ["TEST_POSTGRES"]) as connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


async def turn(kept: EncryptedTrackerStore, sender: str, message_id: str, text: str = SAID, answer: str = "好") -> None:
    tracker = await kept.get_or_create_tracker(sender, append_action_listen=False)
    if not tracker.events:
        tracker.update_with_events([SessionStarted(), ActionExecuted("action_listen")], DOMAIN)
    user = UserUttered(text, {"name": "greet"}, message_id=message_id)
    tracker.update_with_events([user, ActionExecuted("utter_greet"), BotUttered(answer)], DOMAIN)
    tracker.update_with_events([BotUttered(answer + "2"), ActionExecuted("action_listen")], DOMAIN)
    await kept.save(tracker)


async def check_a_saved_conversation_comes_back() -> None:
    await turn(store(), "back", "m1")
    tracker = await store().retrieve("back")
    assert tracker is not None
    assert [event.type_name for event in tracker.events] == [
        "session_started",
        "action",
        "user",
        "action",
        "bot",
        "bot",
        "action",
    ]
    assert tracker.latest_message.text == SAID
    assert tracker.latest_message.message_id == "m1"


async def check_nothing_readable_is_stored() -> None:
    await turn(store(), "secret", "m1")
    rows = sql(
        "SELECT row_to_json(events)::text, data, intent_name, action_name FROM engine.events WHERE sender_id = 'secret'"
    )
    assert rows
    for whole, data, intent, action in rows:
        assert (intent, action) == ("", "")
        for word in ("血小板", "utter_greet", "greet"):
            assert word not in whole
            assert word.encode() not in bytes(data)


async def check_another_key_opens_nothing() -> None:
    await turn(store(), "foreign", "m1")
    try:
        await store(key=bytes(32)).retrieve("foreign")
    except InvalidTag:
        return
    raise AssertionError("opened with another key")


async def check_a_row_moved_to_another_conversation_is_refused() -> None:
    await turn(store(), "mine", "m1")
    sql("UPDATE engine.events SET sender_id = 'yours' WHERE sender_id = 'mine'")
    try:
        await store().retrieve("yours")
    except InvalidTag:
        return
    raise AssertionError("a moved row was read")


def check_a_sealed_event_is_bound_to_its_place() -> None:
    cipher = EventCipher(KEY)
    sealed = cipher.seal("a", 3, {"event": "slot"})
    assert cipher.open("a", 3, sealed) == {"event": "slot"}
    for place in (("a", 4), ("b", 3)):
        try:
            cipher.open(place[0], place[1], sealed)
        except InvalidTag:
            continue
        raise AssertionError(place)


async def check_the_second_of_two_overlapping_turns_is_refused() -> None:
    await turn(store(), "overlap", "m1")
    one, two = store(), store()
    first, second = await one.retrieve("overlap"), await two.retrieve("overlap")
    assert first and second
    first.update(UserUttered("a", message_id="m2"))
    second.update(UserUttered("b", message_id="m3"))
    await one.save(first)
    try:
        await two.save(second)
    except OverlappingTurns:
        tracker = await store().retrieve("overlap")
        assert tracker is not None
        assert tracker.latest_message.text == "a"
        return
    raise AssertionError("both were saved")


async def check_one_message_is_never_saved_twice() -> None:
    await turn(store(), "twice", "m1")
    try:
        await turn(store(), "twice", "m1")
    except OverlappingTurns:
        return
    raise AssertionError("saved twice")


async def check_the_answer_to_a_message_is_found_and_no_later_one() -> None:
    kept = store()
    await turn(kept, "answer", "m1", answer="甲")
    await turn(kept, "answer", "m2", answer="乙")
    assert [event["text"] for event in kept.answer_to("answer", "m1") or []] == ["甲", "甲2"]
    assert [event["text"] for event in kept.answer_to("answer", "m2") or []] == ["乙", "乙2"]
    assert kept.answer_to("answer", "m3") is None


async def check_a_silent_turn_is_known_as_saved() -> None:
    kept = store()
    tracker = await kept.get_or_create_tracker("quiet", append_action_listen=False)
    tracker.update(UserUttered("x", message_id="m1"))
    await kept.save(tracker)
    assert kept.answer_to("quiet", "m1") == []


async def check_only_the_current_session_is_loaded_whatever_the_clock_said() -> None:
    kept = store()
    await turn(kept, "sessions", "m1")
    tracker = await kept.retrieve("sessions")
    assert tracker is not None
    # A replica whose clock is a day behind starts the new session; by time it would be sorted before the old one.
    old = tracker.events[-1].timestamp - 86400
    new = [SessionStarted(timestamp=old), SlotSet("checkin_id", "c1", timestamp=old)]
    tracker.update_with_events([*new, ActionExecuted("action_listen", timestamp=old)], DOMAIN)
    await kept.save(tracker)
    again = await kept.retrieve("sessions")
    assert again is not None
    assert [event.type_name for event in again.events] == ["session_started", "slot", "action"]
    assert again.get_slot("checkin_id") == "c1"
    await turn(kept, "sessions", "m2")
    whole = await kept.retrieve_full_tracker("sessions")
    assert whole is not None
    assert len(whole.events) == 7 + 3 + 5


async def check_a_tracker_from_elsewhere_is_appended_not_repeated() -> None:
    kept = store()
    await turn(kept, "elsewhere", "m1")
    loaded = await kept.retrieve("elsewhere")
    assert loaded is not None
    built = DialogueStateTracker.from_events("elsewhere", [*loaded.events, SlotSet("checkin_id", "c2")], DOMAIN.slots)
    await kept.save(built)
    assert sql("SELECT count(*) FROM engine.events WHERE sender_id = 'elsewhere'") == [(8,)]


async def check_a_lost_connection_is_replaced() -> None:
    kept = store()
    await turn(kept, "cut", "m1")
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'itp-engine'")
    assert await kept.retrieve("cut") is not None


async def check_a_database_that_is_away_fails_the_turn() -> None:
    kept = store(dsn="postgresql://postgres@127.0.0.1:1/none?connect_timeout=1")
    for call in (kept.retrieve("x"), kept.save(DialogueStateTracker.from_events("x", [UserUttered("a")], []))):
        try:
            await call
        except psycopg2.OperationalError:
            continue
        raise AssertionError("no error")


async def check_forgetting_leaves_nothing() -> None:
    kept = store()
    await turn(kept, "gone", "m1")
    assert kept.forget("gone") == 7
    assert await kept.retrieve("gone") is None
    assert sql("SELECT count(*) FROM engine.events WHERE sender_id = 'gone'") == [(0,)]
    await turn(kept, "gone", "m1")


async def check_replicas_may_create_the_table_together() -> None:
    sql("DROP SCHEMA IF EXISTS engine CASCADE")
    loop = asyncio.get_event_loop()
    stores = [store() for _ in range(4)]
    await asyncio.gather(*[loop.run_in_executor(None, kept._connect) for kept in stores])


async def check_a_role_with_its_own_schema_and_nothing_else_is_enough() -> None:
    sql("DROP SCHEMA IF EXISTS engine CASCADE")
    sql("CREATE ROLE narrow LOGIN")
    sql("CREATE SCHEMA engine AUTHORIZATION narrow")
    sql("REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    try:
        await turn(store(dsn=os.environ["TEST_POSTGRES"].replace("postgres:@", "narrow:@", 1)), "narrow", "m1")
        assert sql("SELECT tableowner FROM pg_tables WHERE schemaname = 'engine'") == [("narrow",)]
    finally:
        sql("DROP SCHEMA engine CASCADE")
        sql("DROP ROLE narrow")


def check_a_wrong_key_is_refused_by_name_without_its_value() -> None:
    for value in (None, "", "short", "*" * 44):
        try:
            read_key(value)
        except ValueError as error:
            assert "ENGINE_DATA_KEY" in str(error)
            assert not value or value not in str(error)
            continue
        raise AssertionError(value)
