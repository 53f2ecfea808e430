"""Each action says what it did. What it is told to do otherwise is in `behave`, by its name."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import ActionExecuted, ActiveLoop, SessionStarted, SlotSet
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.interfaces import ActionExecutionRejection

from bot.dialogue import executor

Behaviour = Callable[[], Awaitable[list[Any] | None]]
behave: dict[str, Behaviour] = {}
ran: list[tuple[str, str]] = []
seen: list[Tracker] = []
draft: dict[str, Any] = {}


async def _run(name: str, tracker: Tracker) -> list[Any] | None:
    message_id = tracker.latest_message.get("message_id") or ""
    ran.append((name, message_id))
    seen.append(tracker)
    return await behave[name]() if name in behave else None


class _Speaking:
    says: str
    called: str

    def name(self) -> str:
        return self.called

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        instead = await _run(self.called, tracker)
        if instead is None:
            dispatcher.utter_message(text=self.says)
            return []
        for said in instead:
            dispatcher.messages.append(said)
        return []


class AnswerFaq(Action):
    def name(self) -> str:
        return "action_answer_faq"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        await _run(self.name(), tracker)
        topic = tracker.latest_message["response_selector"]["faq"]["response"]["intent_response_key"]
        dispatcher.utter_message(text="科普：" + topic, buttons=[{"title": "问医生", "payload": "问医生"}])
        return []


class Record(_Speaking, Action):
    called, says = "action_record_report", "记下了"


class Correct(_Speaking, Action):
    called, says = "action_correct_report", "改好了"


class AskDoctor(_Speaking, Action):
    called, says = "action_ask_doctor", "已转给值班医生"


class ShowRecord(_Speaking, Action):
    called, says = "action_show_record", "您的记录"


class Fallback(_Speaking, Action):
    called, says = "action_fallback", "没听懂"


class CheckinDone(Action):
    def name(self) -> str:
        return "action_checkin_done"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        await _run(self.name(), tracker)
        kept = [tracker.get_slot(slot) for slot in ("checkin_id", "checkin_platelet", "checkin_bleeding")]
        dispatcher.utter_message(text="回访完成：" + "/".join(str(value) for value in kept))
        return [SlotSet(slot, None) for slot in ("checkin_id", "checkin_platelet", "checkin_bleeding")]


class LeaveCheckin(Action):
    def name(self) -> str:
        return "action_leave_checkin"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        await _run(self.name(), tracker)
        dispatcher.utter_message(text="回访先停在这里")
        return [ActiveLoop(None), SlotSet("requested_slot", None)]


class ValidateCheckin(FormValidationAction):
    def name(self) -> str:
        return "validate_checkin_form"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        await _run(self.name(), tracker)
        events: list[Any] = await super().run(dispatcher, tracker, domain)
        return events

    async def extract_checkin_platelet(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        if self._asked(tracker) == "checkin_platelet" and self._answers(tracker):
            return {"checkin_platelet": tracker.latest_message["text"]}
        return {}

    async def extract_checkin_bleeding(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        if self._asked(tracker) == "checkin_bleeding" and self._answers(tracker):
            return {"checkin_bleeding": tracker.latest_message["text"]}
        return {}

    def validate_checkin_platelet(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        return {"checkin_platelet": value}

    def validate_checkin_bleeding(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        return {"checkin_bleeding": value}

    @staticmethod
    def _asked(tracker: Tracker) -> Any:
        return tracker.get_slot("requested_slot")

    @staticmethod
    def _answers(tracker: Tracker) -> bool:
        message = tracker.latest_message
        if (message.get("metadata") or {}).get("is_external"):
            return False
        return message["intent"]["name"] in ("inform", "report", "deny")


class SessionStart(Action):
    def name(self) -> str:
        return "action_session_start"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[Any]:
        await _run(self.name(), tracker)
        events: list[Any] = [SessionStarted()]
        open_form = draft.get(tracker.sender_id)
        if open_form is not None:
            events += [SlotSet(name, value) for name, value in open_form.items()]
            events += [ActiveLoop("checkin_form"), SlotSet("requested_slot", "checkin_bleeding")]
        return [*events, ActionExecuted("action_listen")]


async def fail() -> list[Any] | None:
    """A behaviour: the action raises, quoting what the patient wrote."""
    raise RuntimeError("病人说的原话")


async def reject() -> list[Any] | None:
    """A behaviour: the action declines to run."""
    raise ActionExecutionRejection("action_answer_faq", "declined")


async def hang() -> list[Any] | None:
    """A behaviour: longer than the engine waits."""
    await asyncio.sleep(60)
    return None


async def say_nothing() -> list[Any] | None:
    """A behaviour: no response at all."""
    return []


async def say_nothing_on_purpose() -> list[Any] | None:
    """A behaviour: silence that is meant."""
    return [executor.silent()]


async def malformed() -> list[Any] | None:
    """A behaviour: a response that the engine cannot read."""
    return ["病人说的原话"]
