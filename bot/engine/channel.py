"""The app's way into the engine.

Rasa's REST channel is open to whoever reaches the port, answers 200 with an empty list after any error and knows no
message ids. This one checks a secret, answers an error as an error with nothing saved, and under the conversation's
lock first looks whether the message was answered before: then nothing runs and the same answer is given again.

    POST /webhooks/app/webhook  {sender, text, message_id, trace_id, metadata}
    POST /webhooks/app/trigger  {sender, intent, entities, slots, message_id, trace_id, metadata}
    200 {"messages": [{"text", "buttons", "custom", "image"}], "replayed": false}
    400 malformed · 401 secret · 409 {"error": "busy" | "form_open"} · 503 {"error": "turn_aborted"}

An answer that is meant to be silent contains one message with `custom: {"silent": true}`; a turn that says nothing at
all is aborted.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import (
    CollectingOutputChannel,
    InputChannel,
    UserMessage,
)
from rasa.core.lock_store import LockError
from rasa.shared.core.events import SlotSet, UserUttered
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from bot.engine import quiet
from bot.engine.patches import TurnAborted

log = logging.getLogger("bot.engine")

LONGEST_TEXT = 1000
LONGEST_ID = 128
TURN_SECONDS = float(os.environ.get("ENGINE_TURN_SECONDS", "22"))
EXTERNAL = "EXTERNAL_"


class Malformed(Exception):
    """The request is not one of the two; says which field, never its value."""


class FormOpen(Exception):
    """Nothing is triggered while a form waits for an answer: the trigger would be taken for one."""


def harmless(text: str) -> str:
    """The text with a leading slash made an ordinary character, so that it can never be a command."""
    stripped = text.strip()[:LONGEST_TEXT].strip()
    return "／" + stripped[1:] if stripped.startswith("/") else stripped


def shown(text: str | None, data: dict[str, Any]) -> dict[str, Any]:
    """One message of an answer, alike for a fresh and for a saved one."""
    message: dict[str, Any] = {}
    if text:
        message["text"] = text
    for name in ("buttons", "custom", "image"):
        if data.get(name):
            message[name] = data[name]
    return message


class Answer(CollectingOutputChannel):
    """Collects what is said, one message for each utterance (Rasa's own would split at blank lines)."""

    @classmethod
    def name(cls) -> str:
        """Used to pick response variations."""
        return "app"

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Called by Rasa for each utterance."""
        said = shown(message.get("text"), message)
        if said:
            self.messages.append(said)


class AppInput(InputChannel):
    """`bot.engine.channel.AppInput: {secret: ...}` in credentials.yml."""

    def __init__(self, secret: str) -> None:
        if len(secret) < 16:
            raise ValueError("credentials.yml: expected a secret of at least 16 characters")
        self._secret = secret.encode()

    @classmethod
    def name(cls) -> str:
        """Part of the path."""
        return "app"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> "AppInput":
        """From credentials.yml."""
        return cls(str((credentials or {}).get("secret") or ""))

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The two routes. `on_new_message` is not used: it locks, runs and swallows in one."""
        routes = Blueprint("app_channel", __name__)

        @routes.route("/webhook", methods=["POST"])
        async def say(request: Request) -> HTTPResponse:
            return await self._answered(request, _say)

        @routes.route("/trigger", methods=["POST"])
        async def trigger(request: Request) -> HTTPResponse:
            return await self._answered(request, _trigger)

        return routes

    async def _answered(self, request: Request, turn: Callable[..., Awaitable[list[dict[str, Any]]]]) -> HTTPResponse:
        given = request.headers.get("X-Engine-Secret", "")
        if not hmac.compare_digest(given.encode(), self._secret):
            return response.json({"error": "unauthorised"}, status=401)
        agent = request.app.ctx.agent
        if agent is None or not agent.is_ready():
            return response.json({"error": "no_model"}, status=503)
        trace = ""
        try:
            body = request.json
            sender, message_id, trace = _identity(body)
            async with agent.lock_store.lock(sender):
                saved = agent.tracker_store.answer_to(sender, message_id)
                if saved is not None:
                    messages = [said for said in (shown(e.get("text"), e.get("data") or {}) for e in saved) if said]
                    return response.json({"messages": messages, "replayed": True})
                messages = await asyncio.wait_for(turn(agent, body), TURN_SECONDS)
            return response.json({"messages": messages, "replayed": False})
        except Malformed as error:
            return response.json({"error": "malformed", "field": str(error)}, status=400)
        except LockError as error:
            log.warning("conversation busy: %s trace=%s", quiet.failure(error), trace)
            return response.json({"error": "busy"}, status=409)
        except FormOpen:
            return response.json({"error": "form_open"}, status=409)
        except Exception as error:  # noqa: BLE001 - whatever it is, the turn is not saved and the app is told
            log.error("turn aborted: %s trace=%s", quiet.failure(error), trace)
            return response.json({"error": "turn_aborted"}, status=503)


async def _say(agent: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    text = body.get("text")
    if not isinstance(text, str) or not harmless(text):
        raise Malformed("text")
    answer = Answer()
    message = UserMessage(
        harmless(text),
        answer,
        body["sender"],
        input_channel="app",
        message_id=body["message_id"],
        metadata=_metadata(body),
    )
    engine = agent.processor
    tracker = await engine.log_message(message, should_save_tracker=False)
    return await _finish(engine, tracker, answer)


async def _trigger(agent: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    engine = agent.processor
    intent = body.get("intent")
    if not isinstance(intent, str) or not intent.startswith(EXTERNAL) or intent not in engine.domain.intents:
        raise Malformed("intent")
    slots, entities = body.get("slots") or {}, body.get("entities") or {}
    known = {slot.name for slot in engine.domain.slots}
    if not isinstance(slots, dict) or not known.issuperset(slots):
        raise Malformed("slots")
    if not isinstance(entities, dict):
        raise Malformed("entities")
    answer = Answer()
    metadata = _metadata(body)
    tracker = await engine.fetch_tracker_and_update_session(body["sender"], answer, metadata)
    if tracker.active_loop_name:
        raise FormOpen
    event = UserUttered(
        text=f"EXTERNAL: {intent}",
        intent={"name": intent, "confidence": 1.0},
        entities=[{"entity": name, "value": value} for name, value in entities.items()],
        input_channel="app",
        message_id=body["message_id"],
        metadata={**metadata, "is_external": True},
    )
    tracker.update(event, engine.domain)
    for name, value in slots.items():
        tracker.update(SlotSet(name, value), engine.domain)
    return await _finish(engine, tracker, answer)


async def _finish(engine: Any, tracker: Any, answer: Answer) -> list[dict[str, Any]]:
    tracker = await engine.run_action_extract_slots(answer, tracker)
    await engine._run_prediction_loop(answer, tracker)
    if not answer.messages:
        raise TurnAborted("nothing was said")
    await engine.save_tracker(tracker)
    return list(answer.messages)


def _identity(body: Any) -> list[str]:
    if not isinstance(body, dict):
        raise Malformed("body")
    values = []
    for name in ("sender", "message_id"):
        value = body.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
            raise Malformed(name)
        values.append(value)
    trace = body.get("trace_id") or ""
    return [*values, trace[:LONGEST_ID] if isinstance(trace, str) else ""]


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    """What actions see; the ids are in it because a session starts before its first message is in the conversation."""
    given = body.get("metadata") or {}
    if not isinstance(given, dict):
        raise Malformed("metadata")
    kept = {name: value for name, value in given.items() if name != "is_external"}
    return {
        **kept,
        "message_id": body["message_id"],
        "trace_id": str(body.get("trace_id") or ""),
    }
