"""The check-in's form: reading the answers, keeping the draft, and what the finished answers set off."""

import uuid
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.executor import CollectingDispatcher

from bot import clock
from bot.care.followups import answers, course
from bot.care.followups.reading import read_bleeding, read_platelet
from bot.care.judging import judge_sentence
from bot.dialogue import phrases
from bot.dialogue.checkins import FORM
from bot.dialogue.turn import current_turn
from bot.dialogue.turns import draft_of, draft_slots, drop_draft, keep_draft

_QUESTIONS = ("checkin_platelet", "checkin_bleeding")
# What interrupts the form instead of answering it: the rules of these intents speak, then the question comes again.
_INTERRUPTS = {"faq", "ask_human", "stop", "see_record", "help", "greet", "thanks", "goodbye", "out_of_scope"}


class ValidateCheckinForm(FormValidationAction):  # type: ignore[misc]
    """Decides what an answer means; the engine's intents only tell that somebody asked something else instead."""

    def name(self) -> str:
        return "validate_checkin_form"

    async def extract_checkin_platelet(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        return _extract(tracker, "checkin_platelet")

    async def extract_checkin_bleeding(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        return _extract(tracker, "checkin_bleeding")

    async def validate_checkin_platelet(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        if isinstance(value, dict):
            return {"checkin_platelet": value}
        read = read_platelet(str(value))
        if read is None:
            dispatcher.utter_message(text=phrases.WHICH_COUNT)
        return {"checkin_platelet": read}

    async def validate_checkin_bleeding(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        return {"checkin_bleeding": value if isinstance(value, dict) else read_bleeding(str(value))}

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = await super().run(dispatcher, tracker, domain)
        turn = current_turn()
        slots = {name: tracker.get_slot(name) for name in _QUESTIONS}
        slots |= {e["name"]: e["value"] for e in events if e.get("event") == "slot" and e["name"] in _QUESTIONS}
        open_questions = [name for name in _QUESTIONS if slots[name] is None]
        await keep_draft(
            turn.session,
            turn.account,
            form=FORM,
            slots=slots,
            requested_slot=open_questions[0] if open_questions else None,
            checkin_id=_id(tracker.get_slot("checkin_id")),
        )
        return events


def _extract(tracker: Tracker, slot: str) -> dict[str, Any]:
    message = tracker.latest_message
    if tracker.get_slot("requested_slot") != slot or (message.get("metadata") or {}).get("is_external"):
        return {}
    text = str(message.get("text") or "").strip()
    intent = (message.get("intent") or {}).get("name")
    reads = read_platelet(text) if slot == "checkin_platelet" else read_bleeding(text, strict=True)
    if intent in _INTERRUPTS and reads is None:
        return {}
    if intent == "ask_doctor" and reads is None:
        return {}
    return {slot: text}


class ActionCheckinDone(Action):  # type: ignore[misc]
    """Both answers are there: stored, recorded, judged; a worrying one is with the doctor now."""

    def name(self) -> str:
        return "action_checkin_done"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        check_in = await answers.running(turn.session, turn.account.id)
        said = phrases.CHECKIN_DONE
        if check_in is not None and turn.person is not None:
            completed = await answers.complete(
                turn.session,
                turn.account,
                check_in,
                {name.removeprefix("checkin_"): tracker.get_slot(name) for name in _QUESTIONS},
                judge=judge_sentence,
                cause=turn.cause,
                at=clock.now(),
            )
            if completed.receipt is not None:
                said = phrases.CHECKIN_WORRYING.format(who=completed.receipt.who, within=completed.receipt.within)
        await drop_draft(turn.session, turn.account.id)
        dispatcher.utter_message(text=said)
        return [_slot(name, None) for name in (*_QUESTIONS, "checkin_id")]


class ActionLeaveCheckin(Action):  # type: ignore[misc]
    """The patient wants to stop: a count that was told is kept, the questions come again when the patient is ready."""

    def name(self) -> str:
        return "action_leave_checkin"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        check_in = await answers.running(turn.session, turn.account.id)
        if check_in is not None and turn.person is not None:
            told = tracker.get_slot("checkin_platelet") or {}
            await answers.keep_count(
                turn.session, turn.person, told, cause=turn.cause, source=f"checkin:{check_in.key}"
            )
            course.left(check_in)
        await drop_draft(turn.session, turn.account.id)
        dispatcher.utter_message(text=phrases.CHECKIN_LEFT)
        emptied = [_slot(name, None) for name in (*_QUESTIONS, "checkin_id", "requested_slot")]
        return [{"event": "active_loop", "name": None}, *emptied]


class ActionSessionStart(Action):  # type: ignore[misc]
    """A new session of the engine takes up the form that was open, at the same question."""

    def name(self) -> str:
        return "action_session_start"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        events: list[dict[str, Any]] = [{"event": "session_started"}]
        draft = await draft_of(turn.session, turn.account.id)
        if draft is not None:
            kept = draft_slots(draft, turn.account, turn.session)
            events.append(_slot("checkin_id", str(draft.checkin_id) if draft.checkin_id else None))
            events += [_slot(name, value) for name, value in kept.items() if value is not None]
            if draft.requested_slot is not None:
                events.append({"event": "active_loop", "name": draft.form})
                events.append(_slot("requested_slot", draft.requested_slot))
        events.append({"event": "action", "name": "action_listen"})
        return events


def _slot(name: str, value: Any) -> dict[str, Any]:
    return {"event": "slot", "name": name, "value": value}


def _id(text: Any) -> uuid.UUID | None:
    return uuid.UUID(str(text)) if text else None
