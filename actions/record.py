"""Recording what a patient tells, correcting it, and showing it."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.agreement import agreed
from bot import clock
from bot.care import records
from bot.care.told import Report, confirm, correct, record_told
from bot.dialogue import phrases
from bot.dialogue.turn import current_turn
from bot.language.counts import format_count


class ActionRecordReport(Action):  # type: ignore[misc]
    """Counts told in a sentence, or the answer to a doubt about one that was told before."""

    def name(self) -> str:
        return "action_record_report"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        if (person := agreed(dispatcher)) is None:
            return []
        text = str(tracker.latest_message.get("text") or "")
        pending = tracker.get_slot("pending_report")
        if pending:
            report = await confirm(turn.session, person, pending, text, cause=turn.cause)
        else:
            report = await record_told(turn.session, person, text, cause=turn.cause)
        nothing = not (report.counts or report.doubt)
        if nothing and not pending and (tracker.latest_message.get("intent") or {}).get("name") in ("affirm", "deny"):
            dispatcher.utter_message(text=phrases.ACKNOWLEDGED)
            return []
        return [_answered(dispatcher, report)]


class ActionCorrectReport(Action):  # type: ignore[misc]
    """「打错了，是82」: the last count is withdrawn, the right one stored."""

    def name(self) -> str:
        return "action_correct_report"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        if (person := agreed(dispatcher)) is None:
            return []
        text = str(tracker.latest_message.get("text") or "")
        corrected = await correct(turn.session, person, text, cause=turn.cause)
        if isinstance(corrected, Report):
            return [_answered(dispatcher, corrected)]
        if corrected is None:
            dispatcher.utter_message(text=phrases.CORRECT_WHAT)
        else:
            dispatcher.utter_message(text=phrases.CORRECTED.format(was=corrected.was, now=corrected.now))
        return [{"event": "slot", "name": "pending_report", "value": None}]


class ActionShowRecord(Action):  # type: ignore[misc]
    """The last counts, as a short list."""

    def name(self) -> str:
        return "action_show_record"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        if (person := agreed(dispatcher)) is None:
            return []
        counts = await records.counts(turn.session, person.id)
        if not counts:
            dispatcher.utter_message(text=phrases.NO_COUNTS)
            return []
        lines = [f"{count.taken_on:%m月%d日} {format_count(count.value)}" for count in counts[-5:]]
        dispatcher.utter_message(text="\n".join([phrases.YOUR_COUNTS, *lines, phrases.see_record()]))
        return []


def _answered(dispatcher: CollectingDispatcher, report: Report) -> dict[str, Any]:
    """Say what became of it, and keep the doubt that is left."""
    buttons = [{"title": choice, "payload": choice} for choice in report.choices]
    dispatcher.utter_message(text=_said(report), buttons=buttons or None)
    return {"event": "slot", "name": "pending_report", "value": report.pending}


def _said(report: Report) -> str:
    if report.doubt:
        return report.doubt
    if not report.counts:
        return phrases.NOTHING_TO_RECORD
    day = phrases.day_of(report.counts[0].taken_on, clock.today())
    told = "、".join(format_count(count.value or 0) for count in report.counts)
    return phrases.RECORDED.format(counts=told, day=day)
