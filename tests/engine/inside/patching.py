"""Each fault of Rasa is shown as installed, then its absence after the patch. The order of the checks matters."""

import asyncio
import json
import time
from typing import Any

import rasa
import rasa.core.agent
from aiohttp import web
from rasa.core import processor
from rasa.core.actions.action import RemoteAction
from rasa.core.channels.channel import CollectingOutputChannel
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.tracker_store import FailSafeTrackerStore, InMemoryTrackerStore
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.nlu.classifiers.regex_message_handler import RegexMessageHandler
from rasa.shared.core import events
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.training_data.message import Message
from rasa.utils import endpoints
from rasa.utils.endpoints import EndpointConfig

from bot.engine import patches

DOMAIN = Domain.from_yaml('version: "3.1"\nintents: [greet, restart]\nactions: [action_x]\nslots: {}\nforms: {}\n')
RUN_BY_DASK = DaskGraphRunner.run
SECRET_WORDS = "我今天又流鼻血了"


class Processor(processor.MessageProcessor):
    """The processor's turn without a model."""

    def __init__(self, action: Any = None) -> None:
        self.domain, self.nlg, self.action = DOMAIN, None, action
        self.max_number_of_predictions, self.on_circuit_break = 10, None
        self.saved: list[Any] = []

    def predict_next_with_tracker_if_should(self, tracker: Any) -> Any:
        if self.is_action_limit_reached(tracker, True):
            raise processor.ActionLimitReached("limit")
        return self.action, PolicyPrediction([1.0], "rules")


class Failing(RemoteAction):
    def __init__(self) -> None:
        super().__init__("action_x", None)

    async def run(self, *_: Any) -> Any:
        raise RuntimeError(SECRET_WORDS)


class Endless(RemoteAction):
    def __init__(self) -> None:
        super().__init__("action_x", None)

    async def run(self, *_: Any) -> Any:
        return []


def conversation() -> DialogueStateTracker:
    return DialogueStateTracker.from_events(
        "c", [ActionExecuted("action_listen"), UserUttered(SECRET_WORDS, {"name": "greet"})], DOMAIN.slots
    )


async def run_one(action: Any) -> DialogueStateTracker:
    tracker = conversation()
    await Processor(action)._run_action(
        action, tracker, CollectingOutputChannel(), None, PolicyPrediction([1.0], "rules")
    )
    return tracker


def raw_answer(events_: list[Any]) -> dict[str, Any]:
    return {"events": events_, "responses": [{"text": "好"}]}


async def served(handle: Any, call: Any) -> Any:
    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        return await call(EndpointConfig(f"http://127.0.0.1:{port}/"))
    finally:
        await runner.cleanup()


connections: set[Any] = set()


async def remember_connection(request: web.Request) -> web.Response:
    connections.add(request.transport.get_extra_info("peername"))
    return web.json_response({})


async def five_calls(endpoint: EndpointConfig) -> None:
    for _ in range(5):
        await endpoint.request(json={"a": 1}, method="post")


# --- the faults, as Rasa comes ---------------------------------------------------------------------------------------


async def check_fault_a_failing_action_is_logged_as_run_and_the_turn_goes_on() -> None:
    tracker = await run_one(Failing())
    assert tracker.latest_action_name == "action_x"


async def check_fault_the_circuit_breaker_ends_in_silence() -> None:
    tracker = conversation()
    await Processor(Endless())._run_prediction_loop(CollectingOutputChannel(), tracker)
    assert sum(isinstance(event, ActionExecuted) for event in tracker.events) == 11


def check_fault_a_database_error_would_continue_in_memory() -> None:
    assert isinstance(
        rasa.core.agent.Agent._create_tracker_store(InMemoryTrackerStore(DOMAIN), DOMAIN), FailSafeTrackerStore
    )


def check_fault_a_slash_is_a_command() -> None:
    (message,) = RegexMessageHandler().process([Message(data={"text": "/restart"})], DOMAIN)
    assert message.get("intent")["name"] == "restart"


def check_fault_a_malformed_answer_is_quoted_in_the_error() -> None:
    try:
        RemoteAction("action_x", None)._validate_action_result(raw_answer([{"event": 3, "name": SECRET_WORDS}]))
    except Exception as error:
        assert SECRET_WORDS in str(error)
        return
    raise AssertionError("accepted")


async def check_fault_each_action_opens_a_connection() -> None:
    await served(remember_connection, five_calls)
    assert len(connections) == 5
    connections.clear()


def check_fault_the_whole_session_is_sent() -> None:
    assert len(payload()["tracker"]["events"]) == 1001


def check_fault_a_long_session_never_ends() -> None:
    assert not Processor()._has_session_expired(long_session())


def payload() -> Any:
    action = RemoteAction("action_x", EndpointConfig("http://127.0.0.1", enable_selective_domain=True))
    return action._action_call_format(long_session(), DOMAIN)


def long_session() -> DialogueStateTracker:
    past = [BotUttered(str(number)) for number in range(1000)]
    return DialogueStateTracker.from_events("c", [*past, UserUttered("x", message_id="m9")], DOMAIN.slots)


# --- the cures -------------------------------------------------------------------------------------------------------


def check_another_version_is_refused() -> None:
    before, rasa.__version__ = rasa.__version__, "3.6.22"
    try:
        patches.install()
    except patches.WrongVersion:
        return
    finally:
        rasa.__version__ = before
    raise AssertionError("patched another version")


def check_the_patches_install() -> None:
    patches.install()


async def check_a_failing_action_aborts_the_turn_and_says_nothing_of_its_words() -> None:
    try:
        await run_one(Failing())
    except patches.ActionUnavailable as error:
        assert str(error) == "action_x"
        return
    raise AssertionError("not aborted")


async def check_an_unreachable_action_server_aborts_the_turn() -> None:
    try:
        await run_one(RemoteAction("action_x", EndpointConfig("http://127.0.0.1:1/")))
    except patches.ActionUnavailable:
        return
    raise AssertionError("not aborted")


async def check_a_status_of_449_or_500_aborts_the_turn() -> None:
    for status in (449, 500):

        async def handle(_: web.Request, status: int = status) -> web.Response:
            return web.json_response({"error": SECRET_WORDS}, status=status)

        try:
            await served(handle, lambda endpoint: run_one(RemoteAction("action_x", endpoint)))
        except patches.ActionUnavailable:
            continue
        raise AssertionError(status)


async def check_a_rejection_lets_another_rule_answer() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"error": "rejected", "action_name": "action_x"}, status=400)

    tracker = await served(handle, lambda endpoint: run_one(RemoteAction("action_x", endpoint)))
    assert tracker.events[-1].type_name == "action_execution_rejected"


async def check_a_circle_of_actions_aborts_the_turn() -> None:
    try:
        await Processor(Endless())._run_prediction_loop(CollectingOutputChannel(), conversation())
    except patches.TurnAborted:
        return
    raise AssertionError("not aborted")


def check_the_tracker_store_is_bare() -> None:
    kept = InMemoryTrackerStore(None)
    assert rasa.core.agent.Agent._create_tracker_store(kept, DOMAIN) is kept
    assert kept.domain is DOMAIN


def check_a_slash_is_text() -> None:
    (message,) = RegexMessageHandler().process(
        [Message(data={"text": "/restart", "intent": {"name": "greet"}})], DOMAIN
    )
    assert message.get("intent")["name"] == "greet"


def check_an_answer_is_checked_against_the_same_schema() -> None:
    action = RemoteAction("action_x", None)
    assert action._validate_action_result(
        raw_answer([{"event": "slot", "name": "a", "value": None, "timestamp": None}])
    )
    try:
        action._validate_action_result(raw_answer([{"event": 3, "name": SECRET_WORDS}]))
    except Exception as error:
        assert SECRET_WORDS not in str(error)
        return
    raise AssertionError("a malformed answer was accepted")


def check_checking_an_answer_takes_no_time() -> None:
    action = RemoteAction("action_x", None)
    started = time.perf_counter()
    for _ in range(100):
        action._validate_action_result(raw_answer([]))
    assert time.perf_counter() - started < 0.5  # 5 s without the patch


def check_event_classes_are_found_as_before() -> None:
    assert events.Event.resolve_by_type("user") is UserUttered
    assert events.Event.resolve_by_type.cache_info().currsize >= 1
    assert events.Event.resolve_by_type("unknown", UserUttered) is UserUttered
    try:
        events.Event.resolve_by_type("unknown")
    except ValueError:
        return
    raise AssertionError("an unknown event was accepted")


async def check_the_connection_to_the_actions_is_kept() -> None:
    await served(remember_connection, five_calls)
    assert len(connections) == 1


async def check_a_hanging_action_is_given_up() -> None:
    patches.ACTION_SECONDS, before = 0.2, patches.ACTION_SECONDS

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return web.json_response({})

    try:
        await served(hang, lambda endpoint: run_one(RemoteAction("action_x", endpoint)))
    except patches.ActionUnavailable:
        return
    finally:
        patches.ACTION_SECONDS = before
    raise AssertionError("waited")


async def check_the_actions_secret_is_sent() -> None:
    seen: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers.get("X-Action-Secret"))
        return web.json_response({})

    async def call(endpoint: EndpointConfig) -> None:
        endpoint.headers = {"X-Action-Secret": "s3"}
        await endpoint.request(json={}, method="post")

    await served(handle, call)
    assert seen == ["s3"]


def check_the_payload_is_bounded_and_holds_the_current_turn() -> None:
    sent = payload()
    assert len(sent["tracker"]["events"]) == patches.EVENTS_SENT
    assert sent["tracker"]["events"][-1]["message_id"] == "m9"
    turn = [UserUttered("x"), *[BotUttered(str(number)) for number in range(60)]]
    assert patches.recent(turn) == turn
    assert "domain" not in sent
    json.dumps(sent)


def check_a_session_of_many_events_ends_unless_a_form_is_open() -> None:
    tracker = long_session()
    assert Processor()._has_session_expired(tracker)
    tracker.change_loop_to("checkin_form")
    assert not Processor()._has_session_expired(tracker)


def check_the_graph_runner_gives_what_dask_gave() -> None:
    from rasa.engine.graph import ExecutionContext, GraphComponent, GraphSchema, SchemaNode

    class Add(GraphComponent):
        @classmethod
        def create(cls, **_: Any) -> Any:
            return cls()

        def add(self, a: int, b: int) -> int:
            return a + b

    def node(needs: dict[str, str], target: bool = False) -> SchemaNode:
        return SchemaNode(needs, Add, "create", "add", {}, is_target=target)

    schema = GraphSchema({"one": node({"a": "left", "b": "right"}), "two": node({"a": "one", "b": "one"}, target=True)})
    runner = DaskGraphRunner(schema, None, ExecutionContext(schema))
    assert DaskGraphRunner.run is not RUN_BY_DASK
    for inputs, targets in (({"left": 2, "right": 3}, None), ({"left": 1, "right": 1}, ["one"])):
        assert runner.run(inputs=inputs, targets=targets) == RUN_BY_DASK(runner, inputs=inputs, targets=targets)
    assert runner.run(inputs={"left": 2, "right": 3}) == {"two": 10}


def check_sanic_sets_up_no_logging_of_its_own() -> None:
    from sanic.log import LOGGING_CONFIG_DEFAULTS

    assert not LOGGING_CONFIG_DEFAULTS.get("handlers")
    assert endpoints.EndpointConfig.request.__module__ == "bot.engine.patches"


def check_phrases_are_parsed_once_and_again_when_they_change() -> None:
    import os
    import tempfile

    from rasa.shared.nlu.training_data import loading
    from rasa.shared.nlu.training_data.formats import RasaYAMLReader

    parsed = 0
    reads = RasaYAMLReader.reads

    def counting(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal parsed
        parsed += 1
        return reads(self, *arguments, **named)

    RasaYAMLReader.reads = counting
    try:
        path = os.path.join(tempfile.mkdtemp(), "nlu.yml")
        with open(path, "w", encoding="utf8") as file:
            file.write('version: "3.1"\nnlu:\n  - intent: greet\n    examples: |\n      - 你好\n')
        first = loading.load_data(path)
        first.training_examples[0].set("text", "changed by its reader")
        assert loading.load_data(path).training_examples[0].get("text") == "你好"
        assert parsed == 1
        os.utime(path, (1, 1))
        loading.load_data(path)
        assert parsed == 2
    finally:
        RasaYAMLReader.reads = reads
