"""What is changed inside Rasa 3.6.21, each with the fault it cures. Frozen version: another one is refused.

Safety
- A failing action aborts the turn unsaved. Rasa logs the error, drops the action's events, saves the turn as if the
  action had run and answers nothing; in the middle of a form it closed the form.
- The circuit breaker (ten actions in one turn) aborts as well, instead of saving a turn without an answer.
- A session ends after 300 events as it does after its time: a turn's cost grows with the session.
- The tracker store is used bare. Rasa wraps it so that a database error silently continues in memory and forgets forms.
- A leading `/` is text. Rasa reads it as a command (`/restart`, `/EXTERNAL_checkin`) after all understanding.
- Rasa's logging set-up is left out: it replaces ours, and at DEBUG prints what people write.

Speed (measured: an action's turn 59 ms → 10 ms)
- The constant schema of an action's answer is compiled once, and its error no longer quotes the answer.
- An event's class is looked up in a cache.
- One kept-alive HTTP session to the action server, 8 s a call; the payload holds the current turn and the last 40
  events instead of the whole session.
- Events and slots are no longer deep-copied for debug lines that nobody prints; the graph runs without dask.
- Files of phrases are parsed once a training instead of three times.
"""

import asyncio
import copy
import functools
import inspect
import json
import logging
import os
from typing import Any

import aiohttp
import jsonschema
import rasa
import rasa.__main__
import rasa.core.agent
import rasa.core.run
import rasa.core.utils
from rasa.core import processor
from rasa.core.actions.action import ActionExecutionRejection, RemoteAction
from rasa.core.tracker_store import TrackerStore
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.nlu.classifiers.regex_message_handler import RegexMessageHandler
from rasa.shared.core import events
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecutionRejected, UserUttered
from rasa.shared.exceptions import RasaException
from rasa.shared.nlu.training_data import loading
from rasa.shared.nlu.training_data.message import Message
from rasa.utils import endpoints
from sanic.log import LOGGING_CONFIG_DEFAULTS

VERSION = "3.6.21"
ACTION_SECONDS = float(os.environ.get("ENGINE_ACTION_SECONDS", "8"))
EVENTS_SENT = 40
LONGEST_SESSION = 300

log = logging.getLogger("bot.engine")


class WrongVersion(Exception):
    """The patches are written against one version of Rasa only."""


class TurnAborted(Exception):
    """The turn cannot be finished; nothing of it is saved."""


class ActionUnavailable(TurnAborted):
    """An action failed or could not be reached; carries the action's name alone."""


def install(*, speed: bool = True, safety: bool = True) -> None:
    """Put all patches in place.

    Raises:
        WrongVersion: the installed Rasa is not the one they were written for.
    """
    if rasa.__version__ != VERSION:
        raise WrongVersion(f"expected rasa {VERSION}, found {rasa.__version__}")
    if safety:
        keep_the_store_bare()
        abort_failing_turns()
        bound_the_session()
        read_slashes_as_text()
        keep_our_logging()
    if speed:
        compile_the_action_schema()
        cache_event_classes()
        keep_the_action_session()
        run_graphs_directly()
        read_phrases_once()


# --- safety ---------------------------------------------------------------------------------------------------------


def keep_the_store_bare() -> None:
    """No FailSafeTrackerStore: what the database refuses fails the turn."""

    def create(store: TrackerStore | None, domain: Domain) -> TrackerStore:
        if store is None:
            raise RasaException("endpoints.yml names no tracker store")
        store.domain = domain
        return store

    def create_or_memory(store: TrackerStore | None, domain: Domain) -> TrackerStore:
        # Agents without endpoints exist while training and validating; they hold no conversation.
        return _MEMORY(domain) if store is None else create(store, domain)

    from rasa.core.tracker_store import InMemoryTrackerStore as _MEMORY

    rasa.core.agent.Agent._create_tracker_store = staticmethod(create_or_memory)


def abort_failing_turns() -> None:
    """Errors of actions and the circuit breaker leave the turn as an exception; Rasa logs and forgets them."""

    async def run_action(
        self: Any,
        action: Any,
        tracker: Any,
        output_channel: Any,
        nlg: Any,
        prediction: Any,
    ) -> bool:
        name = action.name()
        try:
            # A copy, because the policy's events are dropped when the action rejects.
            temporary = tracker.copy()
            temporary.update_with_events(prediction.events, self.domain)
            new = await action.run(output_channel, nlg, temporary, self.domain)
        except ActionExecutionRejection:
            tracker.update(ActionExecutionRejected(name, prediction.policy_name, prediction.max_confidence))
            return bool(self.should_predict_another_action(name))
        except TurnAborted:
            raise
        except Exception as error:
            raise ActionUnavailable(name) from error

        self._log_action_on_tracker(tracker, action, new, prediction)
        if any(isinstance(event, UserUttered) for event in new or []):
            tracker = await self.run_action_extract_slots(output_channel, tracker)
        await self.execute_side_effects(new or [], tracker, output_channel)
        return bool(self.should_predict_another_action(name))

    def log_action(self: Any, tracker: Any, action: Any, new: Any, prediction: Any) -> None:
        new = new or []
        if not any(isinstance(event, ActionExecutionRejected) for event in new):
            tracker.update_with_events(prediction.events, self.domain)
            tracker.update(action.event_for_successful_execution(prediction))
        tracker.update_with_events(new, self.domain)

    async def prediction_loop(self: Any, output_channel: Any, tracker: Any) -> None:
        again = True
        while again and self._should_handle_message(tracker):
            try:
                action, prediction = self.predict_next_with_tracker_if_should(tracker)
            except processor.ActionLimitReached as error:
                raise TurnAborted("too many actions in one turn") from error
            again = await self._run_action(action, tracker, output_channel, self.nlg, prediction)

    processor.MessageProcessor._run_action = run_action
    processor.MessageProcessor._log_action_on_tracker = log_action
    processor.MessageProcessor._run_prediction_loop = prediction_loop


def bound_the_session() -> None:
    """A session of 300 events is over, unless a form waits for an answer in it."""
    by_time = processor.MessageProcessor._has_session_expired

    def expired(self: Any, tracker: Any) -> bool:
        if by_time(self, tracker):
            return True
        return len(tracker.events) > LONGEST_SESSION and tracker.active_loop_name is None

    processor.MessageProcessor._has_session_expired = expired


def read_slashes_as_text() -> None:
    """`RegexMessageHandler` runs after all understanding and would turn `/restart` into a command."""

    # `self` bears no annotation: Rasa would take it for an input of the component.
    def process(self, messages: list[Message], domain: Domain | None = None) -> list[Message]:
        return messages

    RegexMessageHandler.process = process


def keep_our_logging() -> None:
    """Rasa's command line sets up logging twice after our `quiet.install`, Sanic once more, with tokens in URLs."""
    LOGGING_CONFIG_DEFAULTS.clear()
    LOGGING_CONFIG_DEFAULTS.update(version=1, disable_existing_loggers=False)

    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    rasa.__main__.configure_structlog = nothing
    rasa.__main__.configure_logging_and_warnings = nothing
    rasa.utils.io.configure_colored_logging = nothing
    rasa.utils.common.update_sanic_log_level = nothing
    rasa.core.utils.configure_file_logging = nothing


# --- speed ----------------------------------------------------------------------------------------------------------


def compile_the_action_schema() -> None:
    """78 % of an action's turn went into checking a constant schema against its meta-schema."""
    schema = RemoteAction.action_response_format_spec()
    validator_class = jsonschema.validators.validator_for(schema)
    validator_class.check_schema(schema)
    validator = validator_class(schema)

    def validate(self: Any, result: Any) -> bool:
        error = jsonschema.exceptions.best_match(validator.iter_errors(result))
        if error is not None:
            # Without the answer itself, which is what jsonschema's message quotes.
            raise RasaException(f"the answer of {self.name()} is malformed at {list(error.absolute_path)}")
        return True

    RemoteAction._validate_action_result = validate


def cache_event_classes() -> None:
    """Finding an event's class walked all subclasses for each event: 60 % of loading a long conversation."""
    events.Event.resolve_by_type = staticmethod(functools.lru_cache(256)(events.Event.resolve_by_type))


_sessions: dict[str, tuple[Any, aiohttp.ClientSession]] = {}


def _session(endpoint: Any) -> aiohttp.ClientSession:
    loop = asyncio.get_event_loop()
    held = _sessions.get(endpoint.url)
    if held is None or held[0] is not loop or held[1].closed:
        # aiohttp drops idle connections after 15 s, before the app's server does, so that none is used half-closed.
        connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=15)
        held = (
            loop,
            aiohttp.ClientSession(headers=endpoint.headers, connector=connector),
        )
        _sessions[endpoint.url] = held
    return held[1]


def keep_the_action_session() -> None:
    """Rasa opened a connection for each action, waited 300 s for it and sent the whole session's events."""

    async def request(
        self: Any,
        method: str = "post",
        subpath: str | None = None,
        content_type: str | None = "application/json",
        compress: bool = False,
        **kwargs: Any,
    ) -> Any:
        body = json.dumps(kwargs.pop("json", None), ensure_ascii=False, separators=(",", ":")).encode()
        url = endpoints.concat_url(self.url, subpath)
        headers = {"Content-Type": content_type or "application/json"}
        timeout = aiohttp.ClientTimeout(total=ACTION_SECONDS)
        for attempt in (1, 2):
            try:
                async with _session(self).request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    params=self.combine_parameters(),
                    timeout=timeout,
                ) as response:
                    content = await response.read()
                    if response.status >= 400:
                        raise endpoints.ClientResponseError(response.status, response.reason or "", content)
                    return json.loads(content)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # The app was restarted under a kept-alive connection. Actions are idempotent by message, so once more.
                if attempt == 2:
                    raise
        return None

    def call_format(self: Any, tracker: Any, domain: Domain) -> dict[str, Any]:
        state = tracker.current_state()
        state["events"] = [event.as_dict() for event in recent(list(tracker.events))]
        call = {
            "next_action": self._name,
            "sender_id": tracker.sender_id,
            "tracker": state,
            "version": rasa.__version__,
        }
        if not self._is_selective_domain_enabled() or domain.does_custom_action_explicitly_need_domain(self.name()):
            call["domain"] = domain_as_dict(domain)
        return call

    async def close(app: Any, loop: Any) -> None:
        for _, session in list(_sessions.values()):
            await session.close()
        _sessions.clear()
        await closed_by_rasa(app, loop)

    closed_by_rasa = rasa.core.run.close_resources
    rasa.core.run.close_resources = close
    endpoints.EndpointConfig.request = request
    RemoteAction._action_call_format = call_format


def recent(all_events: list[Any]) -> list[Any]:
    """The last events, and always the whole turn since the person's last message."""
    start = max(0, len(all_events) - EVENTS_SENT)
    for index in range(len(all_events) - 1, -1, -1):
        if isinstance(all_events[index], UserUttered):
            start = min(start, index)
            break
    return all_events[start:]


_domains: dict[int, tuple[Domain, dict[str, Any]]] = {}


def domain_as_dict(domain: Domain) -> dict[str, Any]:
    """What a form's validation needs of the domain: forms and slots, not every text; made once a model."""
    held = _domains.get(id(domain))
    if held is None or held[0] is not domain:
        whole = domain.as_dict()
        held = (domain, {key: whole[key] for key in ("forms", "slots") if key in whole})
        _domains.clear()
        _domains[id(domain)] = held
    return held[1]


def read_phrases_once() -> None:
    """A training parsed each file of phrases three times, which took more than half of it."""
    load = loading._load
    read: dict[tuple[str, int], Any] = {}

    def load_once(filename: str, language: str | None = "en") -> Any:
        key = (os.path.abspath(filename), os.stat(filename).st_mtime_ns)
        if key not in read:
            read[key] = load(filename, language)
        # Whoever asks may change what it gets.
        return copy.deepcopy(read[key])

    loading._load = load_once


def run_graphs_directly() -> None:
    """Three graph runs a turn; dask re-planned each of them."""
    original = inspect.signature(DaskGraphRunner.run)

    def run(
        self: Any,
        inputs: dict[str, Any] | None = None,
        targets: list[str] | None = None,
    ) -> dict[str, Any]:
        wanted = tuple(targets or self._graph_schema.target_names)
        plans = self.__dict__.setdefault("_plans", {})
        if wanted not in plans:
            minimal = self._graph_schema.minimal_graph_schema(list(wanted))
            plans[wanted] = {name: tuple(node.needs.values()) for name, node in minimal.nodes.items()}
        plan = plans[wanted]
        done: dict[str, Any] = {name: (name, value) for name, value in (inputs or {}).items()}

        def value_of(name: str) -> Any:
            if name not in done:
                done[name] = self._instantiated_nodes[name](*[value_of(need) for need in plan[name]])
            return done[name]

        return dict(value_of(name) for name in wanted)

    if list(original.parameters) != ["self", "inputs", "targets"]:
        raise WrongVersion("DaskGraphRunner.run has another shape")
    DaskGraphRunner.run = run
