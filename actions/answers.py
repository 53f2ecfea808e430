"""Answering from the FAQ, and saying that something was not understood."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from bot.dialogue import phrases
from bot.dialogue.answers import answer_topic
from bot.dialogue.turn import current_turn
from bot.knowledge import faq

# Sure enough: likely by itself, and clearly likelier than the next. Below that a menu costs less than a wrong answer.
_LIKELY, _MARGIN = 0.35, 1.5
_MENU = 3


def _topics(tracker: Tracker) -> list[tuple[str, float]]:
    selected = (tracker.latest_message.get("response_selector") or {}).get("faq") or {}
    ranked = selected.get("ranking") or []
    return [(str(one["intent_response_key"]).partition("/")[2], float(one["confidence"])) for one in ranked]


def _is_sure(ranked: list[tuple[str, float]]) -> bool:
    best, second = ranked[0][1], ranked[1][1] if len(ranked) > 1 else 0.0
    return best >= _LIKELY and best >= _MARGIN * second


class ActionAnswerFaq(Action):  # type: ignore[misc]
    """The published revision of the topic; when unsure, a menu of the likeliest and the way to a doctor."""

    def name(self) -> str:
        return "action_answer_faq"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        ranked = _topics(tracker)
        if ranked and not _is_sure(ranked):
            chosen = await faq.topic_titled(turn.session, str(tracker.latest_message.get("text") or ""))
            ranked = [(chosen, 1.0)] if chosen is not None else ranked
        if ranked and not _is_sure(ranked):
            await _menu(dispatcher, [topic for topic, _ in ranked[:_MENU]])
            return []
        answer = None
        if ranked:
            topic, confidence = ranked[0]
            answer = await answer_topic(turn.session, turn.account, topic, confidence=confidence, cause=turn.cause)
        if answer is None:
            dispatcher.utter_message(text=phrases.NO_ANSWER, buttons=[_button(phrases.ASK_DOCTOR)])
            return []
        dispatcher.utter_message(text=answer.text, buttons=[_button(one) for one in answer.choices] or None)
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
