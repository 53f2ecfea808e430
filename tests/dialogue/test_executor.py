"""The action route: rasa-sdk's executor as the engine finds it."""

import io
from collections.abc import AsyncIterator
from typing import Any

import acting.all as acting
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from dialogue_stage import ACTION_SECRET, ROOT, Around

from bot.dialogue import executor

HEADERS = {"X-Action-Secret": ACTION_SECRET}


def call(action: str, events: list[dict[str, Any]] | None = None, **slots: Any) -> dict[str, Any]:
    return {
        "next_action": action,
        "sender_id": "c1",
        "version": "3.6.21",
        "tracker": {
            "sender_id": "c1",
            "slots": slots,
            "latest_message": {"text": "你好", "intent": {"name": "greet"}, "entities": []},
            "events": events if events is not None else [user("m1")],
            "active_loop": {},
            "latest_action_name": "action_listen",
        },
    }


def user(message_id: str) -> dict[str, Any]:
    return {"event": "user", "text": "你好", "message_id": message_id, "metadata": {"trace_id": "t-" + message_id}}


def ran(action: str, kind: str = "action") -> dict[str, Any]:
    return {"event": kind, "name": action}


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
async def actions(around: Around) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application(client_max_size=executor.LARGEST_BODY)
    app.add_routes(executor.routes("acting", secret=ACTION_SECRET, around=around, domain=ROOT / "domain.yml"))
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_an_action_without_a_domain_runs(actions: TestClient[Any, Any]) -> None:
    # rasa-sdk 3.21 alone answers 449 to this, and the engine shows the patient nothing.
    response = await actions.post(executor.PATH, json=call("action_show_record"), headers=HEADERS)
    assert response.status == 200
    assert await response.json() == {"events": [], "responses": [{"text": "您的记录"}]}


async def test_without_the_secret_nothing_runs(actions: TestClient[Any, Any]) -> None:
    for headers in ({}, {"X-Action-Secret": "wrong"}):
        response = await actions.post(executor.PATH, json=call("action_show_record"), headers=headers)
        assert response.status == 401
    assert acting.ran == []


async def test_a_failing_action_is_a_500_without_its_words(
    actions: TestClient[Any, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    acting.behave["action_show_record"] = acting.fail
    response = await actions.post(executor.PATH, json=call("action_show_record"), headers=HEADERS)
    assert response.status == 500
    written = capfd.readouterr()
    assert "病人说的原话" not in await response.text() + written.out + written.err
    assert "RuntimeError@all.py" in written.out + written.err


async def test_a_hanging_action_is_given_up(actions: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "ACTION_SECONDS", 0.1)
    acting.behave["action_show_record"] = acting.hang
    response = await actions.post(executor.PATH, json=call("action_show_record"), headers=HEADERS)
    assert response.status == 500


async def test_a_rejection_names_its_action(actions: TestClient[Any, Any]) -> None:
    acting.behave["action_show_record"] = acting.reject
    response = await actions.post(executor.PATH, json=call("action_show_record"), headers=HEADERS)
    assert response.status == 400
    assert (await response.json())["action_name"] == "action_show_record"


async def test_an_unknown_action_is_not_found(actions: TestClient[Any, Any]) -> None:
    response = await actions.post(executor.PATH, json=call("action_nobody_has"), headers=HEADERS)
    assert response.status == 404


async def test_a_long_conversation_is_accepted(actions: TestClient[Any, Any]) -> None:
    body = call("action_show_record", [{**user("m1"), "text": "长" * 500_000}])
    response = await actions.post(executor.PATH, data=io.BytesIO(orjson.dumps(body)), headers=HEADERS)
    assert response.status == 200


async def test_a_slots_none_and_a_closed_loop_reach_the_engine(actions: TestClient[Any, Any]) -> None:
    response = await actions.post(executor.PATH, json=call("action_leave_checkin"), headers=HEADERS)
    events = (await response.json())["events"]
    assert {"event": "active_loop", "name": None} in events
    assert {"event": "slot", "name": "requested_slot", "value": None} in events


async def test_what_around_gives_is_the_answer(actions: TestClient[Any, Any], around: Around) -> None:
    around.instead = executor.ActionResult([], [{"text": "上次的回答"}])
    response = await actions.post(executor.PATH, json=call("action_show_record"), headers=HEADERS)
    assert (await response.json())["responses"] == [{"text": "上次的回答"}]
    assert acting.ran == []
    assert around.turns == [executor.ActionTurn("c1", "m1", "action_show_record", 0, "t-m1")]


@pytest.mark.parametrize(
    ("action", "events", "message", "ordinal"),
    [
        ("action_a", [user("m1")], "m1", 0),
        ("action_a", [user("m1"), ran("action_a")], "m1", 1),
        ("action_a", [user("m1"), ran("action_a"), ran("action_b"), ran("action_a")], "m1", 2),
        ("action_a", [user("m1"), ran("action_a"), user("m2")], "m2", 0),
        ("validate_f", [user("m1"), ran("f")], "m1", 1),
        ("validate_f", [user("m1"), ran("f", "action_execution_rejected"), ran("f")], "m1", 2),
        ("action_a", [], "", 0),
    ],
)
def test_a_run_is_numbered_within_its_message(
    action: str, events: list[dict[str, Any]], message: str, ordinal: int
) -> None:
    turn = executor.turn_of(call(action, events))
    assert (turn.message_id, turn.ordinal) == (message, ordinal)


def test_a_sessions_start_belongs_to_the_message_that_began_it() -> None:
    body = call("action_session_start", [user("old")], session_started_metadata={"message_id": "new", "trace_id": "t"})
    assert executor.turn_of(body) == executor.ActionTurn("c1", "new", "action_session_start", 0, "t")


def test_actions_missing_on_either_side_are_named(tmp_path: Any) -> None:
    domain = tmp_path / "domain.yml"
    domain.write_text("actions:\n  - action_show_record\n  - action_new: {send_domain: true}\n", encoding="utf-8")
    with pytest.raises(executor.ActionsIncomplete, match=r"action_new.*action_answer_faq"):
        executor.routes("acting", secret=ACTION_SECRET, domain=domain)


def test_a_package_that_cannot_be_imported_is_an_error_and_not_the_end() -> None:
    with pytest.raises(ImportError):
        executor.load("no_such_package_of_actions")


def test_actions_of_other_packages_are_not_registered() -> None:
    class Stranger(acting.Record):
        called = "action_stranger"

    assert "action_stranger" not in executor.names(executor.load("acting"))
    assert Stranger().name() == "action_stranger"


def test_the_products_actions_and_the_domain_name_the_same() -> None:
    executor.complete(executor.load("actions"), ROOT / "domain.yml")
