"""Runs the custom actions for the engine, inside the app, over loopback.

rasa-sdk's own executor behind one aiohttp route. Differs from `rasa run actions` where that fails people:

- an action that fails answers 500, so that the engine aborts the turn unsaved (it would show the patient nothing and go on);
- each run goes through `around`, which makes its effects happen once however often a turn is tried again;
- rasa-sdk 3.21 answers 449 to an engine that sends no domain with every call, and the engine never retries: an empty one is
  put in;
- only the actions of our package are registered, once, and compared with the domain.

    POST /actions/webhook, header X-Action-Secret: 200 · 400 rejected · 401 · 404 unknown action · 500
"""

import asyncio
import hmac
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
import yaml
from aiohttp import web
from rasa_sdk import utils as sdk
from rasa_sdk.executor import ActionExecutor
from rasa_sdk.interfaces import Action, ActionExecutionRejection

log = structlog.get_logger()

PATH = "/actions/webhook"
ACTION_SECONDS = 7.5
LARGEST_BODY = 16 * 2**20
SESSION_START = "action_session_start"

type Json = dict[str, Any]


@dataclass(frozen=True)
class ActionTurn:
    """One run of an action: the same turn tried again has the same values.

    `message_id` is the message, tap or check-in that set the turn off; `ordinal` counts the earlier runs of this action in
    the turn. Together with `action` they are the idempotency key.
    """

    conversation_id: str
    message_id: str
    action: str
    ordinal: int
    trace_id: str


@dataclass(frozen=True)
class ActionResult:
    """What an action did to the conversation: events and responses as the engine reads them (plain JSON)."""

    events: list[Json]
    responses: list[Json]


type Run = Callable[[], Awaitable[ActionResult]]
type Around = Callable[[ActionTurn, Run], Awaitable[ActionResult]]


class ActionsIncomplete(Exception):
    """The package and the domain do not name the same actions; says which."""


async def _directly(_turn: ActionTurn, run: Run) -> ActionResult:
    return await run()


def load(package: str) -> ActionExecutor:
    """An executor with the concrete actions that this package defines, and no others of the process.

    Raises:
        ImportError: a module of the package cannot be imported (rasa-sdk would end the process).
    """
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(getattr(root, "__path__", []), prefix=package + "."):
        importlib.import_module(module.name)
    executor = ActionExecutor()
    for action in sdk.all_subclasses(Action):
        ours = action.__module__ == package or action.__module__.startswith(package + ".")
        if ours and not inspect.isabstract(action):
            executor.register_action(action)
    return executor


def actions_of(domain: Path) -> set[str]:
    """The custom actions that a domain file names."""
    named = yaml.safe_load(domain.read_text(encoding="utf-8")).get("actions") or []
    return {next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in named}


def complete(executor: ActionExecutor, domain: Path) -> None:
    """Compare what is registered with what the domain names.

    Raises:
        ActionsIncomplete: an action is missing on either side.
    """
    named, have = actions_of(domain), set(executor.actions)
    if named != have:
        raise ActionsIncomplete(
            f"not implemented: {sorted(named - have) or 'none'}; not in the domain: {sorted(have - named) or 'none'}"
        )


def routes(
    package: str = "actions",
    *,
    secret: str,
    around: Around = _directly,
    domain: Path | None = None,
) -> list[web.RouteDef]:
    """The route for the internal listener, whose application needs `client_max_size=LARGEST_BODY`.

    Raises:
        ImportError: the package cannot be imported.
        ActionsIncomplete: `domain` is given and names other actions.
    """
    executor = load(package)
    if domain is not None:
        complete(executor, domain)
    expected = secret.encode()

    async def webhook(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get("X-Action-Secret", "").encode(), expected):
            return _json({"error": "unauthorised"}, 401)
        call: Json = orjson.loads(await request.read())
        name = str(call.get("next_action") or "")
        if name not in executor.actions:
            return _json({"error": "unknown_action", "action_name": name}, 404)
        turn = turn_of(call)
        try:
            async with asyncio.timeout(ACTION_SECONDS):
                result = await around(turn, _running(executor, call))
        except ActionExecutionRejection:
            # The engine reads `action_name` and lets another rule answer; without it, it fails.
            return _json({"error": "rejected", "action_name": name}, 400)
        except Exception as error:  # noqa: BLE001 - whatever it is, the engine must abort the turn
            log.error("action failed", action=name, error=_failure(error), trace=turn.trace_id)
            return _json({"error": "failed", "action_name": name}, 500)
        return _json({"events": result.events, "responses": result.responses}, 200)

    return [web.post(PATH, webhook)]


def _failure(error: BaseException) -> str:
    """Type and place of an exception; what it says may quote the patient."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"@{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place


def _running(executor: ActionExecutor, call: Json) -> Run:
    async def run() -> ActionResult:
        call.setdefault("domain", {})
        answer = await executor.run(call)
        if answer is None:
            raise RuntimeError("an action call without an action")
        return ActionResult(
            [_plain(event) for event in answer.events],
            [_plain(said) for said in answer.responses],
        )

    return run


def _plain(part: Mapping[str, Any]) -> Json:
    return cast(
        Json,
        orjson.loads(orjson.dumps({key: value for key, value in part.items() if _says(key, value)})),
    )


def _says(key: str, value: object) -> bool:
    # rasa-sdk fills every field of a response; a slot's None and a loop's None mean something and stay.
    return key in ("name", "value", "event") or value not in (None, [], {})


def turn_of(call: Json) -> ActionTurn:
    """Which message set this run off, and the how-manieth run of the action in its turn it is.

    A session starts before its first message is in the conversation, so the message's id comes with the session's
    metadata. A form's validation is not an event of its own: it is counted by what its form did.
    """
    tracker: Json = call["tracker"]
    action = str(call["next_action"])
    events: Sequence[Json] = tracker.get("events") or []
    counted = action.removeprefix("validate_")
    if action == SESSION_START:
        started = (tracker.get("slots") or {}).get("session_started_metadata") or {}
        return ActionTurn(
            tracker["sender_id"],
            str(started.get("message_id") or ""),
            action,
            0,
            str(started.get("trace_id") or ""),
        )
    ordinal = 0
    message: Json = {}
    for event in reversed(events):
        if event["event"] == "user":
            message = event
            break
        if event["event"] in ("action", "action_execution_rejected") and event.get("name") == counted:
            ordinal += 1
    trace = (message.get("metadata") or {}).get("trace_id") or ""
    return ActionTurn(
        tracker["sender_id"],
        str(message.get("message_id") or ""),
        action,
        ordinal,
        str(trace),
    )


def silent() -> Json:
    """A response for an action that is meant to say nothing; a turn without any response counts as a failure."""
    return {"custom": {"silent": True}}


def names(executor: ActionExecutor) -> Iterable[str]:
    """The registered actions."""
    return sorted(executor.actions)


def _json(content: object, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
