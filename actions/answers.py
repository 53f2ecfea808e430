"""Answering from the FAQ, and saying that something was not understood."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from bot.dialogue import phrases
from bot.dialogue.turn import current_turn
from bot.knowledge import faq

_SURE = 0.5
_MENU = 3


def _topics(tracker: Tracker) -> list[tuple[str, float]]:
    selected = (tracker.latest_message.get("response_selector") or {}).get("faq") or {}
    ranked = selected.get("ranking") or []
    return [(str(one["intent_response_key"]).partition("/")[2], float(one["confidence"])) for one in ranked]


class ActionAnswerFaq(Action):  # type: ignore[misc]
    """The published revision of the topic; when unsure, a menu of the likeliest and the way to a doctor."""

    def name(self) -> str:
        return "action_answer_faq"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        ranked = _topics(tracker)
        if ranked and ranked[0][1] < _SURE:
            await _menu(dispatcher, [topic for topic, _ in ranked[:_MENU]])
            return []
        found = await faq.published(turn.session, ranked[0][0]) if ranked else None
        if found is None:
            dispatcher.utter_message(text=phrases.NO_ANSWER, buttons=[_button(phrases.ASK_DOCTOR)])
            return []
        topic, revision = found
        faq.note_answered(
            turn.session, account_id=turn.account.id, revision=revision, confidence=ranked[0][1], cause=turn.cause
        )
        text = revision.short if topic.refuses else f"{revision.short}\n\n{phrases.read_more(topic.id)}"
        dispatcher.utter_message(text=text, buttons=[_button(phrases.ASK_DOCTOR)] if topic.refuses else None)
        return []


class ActionFallback(Action):  # type: ignore[misc]
    """Not understood: the likeliest topics as a menu; the second time in a row, the doctor."""

    def name(self) -> str:
        return "action_fallback"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        likely = [topic for topic, _ in _topics(tracker)[:_MENU]]
        missed = int(tracker.get_slot("not_understood") or 0)
        if missed >= 1:
            dispatcher.utter_message(text=phrases.TWICE_MISSED, buttons=[_button(phrases.ASK_DOCTOR)])
            return [{"event": "slot", "name": "not_understood", "value": None}]
        await _menu(dispatcher, likely)
        return [{"event": "slot", "name": "not_understood", "value": missed + 1}]


async def _menu(dispatcher: CollectingDispatcher, topics: list[str]) -> None:
    titles = await faq.titles(current_turn().session, topics)
    offered = [titles[topic] for topic in topics if topic in titles]
    buttons = [_button(title) for title in offered] + [_button(phrases.NONE_OF_THESE)]
    dispatcher.utter_message(text=phrases.WHICH if offered else phrases.NOT_UNDERSTOOD, buttons=buttons)


def _button(title: str) -> dict[str, str]:
    return {"title": title, "payload": title}
