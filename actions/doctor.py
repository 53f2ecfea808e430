"""Putting a question to the doctors: what the assistant must not answer."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.agreement import agreed
from bot import clock
from bot.care.consultations.asking import Told
from bot.dialogue import phrases
from bot.dialogue.questions import put_question
from bot.dialogue.turn import current_turn

_ONLY_WANTS_A_PERSON = ("问医生", "都不是，问医生", "人工", "转人工", "找医生", "我要问医生")


class ActionAskDoctor(Action):  # type: ignore[misc]
    """Own dose, stopping, diagnosis, own results: to the doctor on duty, with the counts told in the same breath."""

    def name(self) -> str:
        return "action_ask_doctor"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turn = current_turn()
        if (person := agreed(dispatcher, otherwise=phrases.DOCTOR_NEEDS_CONSENT)) is None:
            return []
        text = str(tracker.latest_message.get("text") or "").strip()
        if text.strip("。.!！") in _ONLY_WANTS_A_PERSON:
            # The sentence typed now opens the 48 hours in which the answer can be sent.
            turn.account.asking_doctor_since = clock.now()
            dispatcher.utter_message(text=phrases.TYPE_YOUR_QUESTION)
            return []
        told = Told(text, clock.now(), turn.message_id)
        dispatcher.utter_message(text=await put_question(turn.session, turn.account, person, told, cause=turn.cause))
        return []
