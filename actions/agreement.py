"""What needs the patient's agreement asks for it."""

from rasa_sdk.executor import CollectingDispatcher

from bot.care.patients import Person
from bot.dialogue import phrases
from bot.dialogue.turn import current_turn


def agreed(dispatcher: CollectingDispatcher, *, otherwise: str = phrases.NEED_CONSENT) -> Person | None:
    """Whose record this turn may touch; without agreement None, and the patient is asked for it."""
    person = current_turn().person
    if person is None:
        dispatcher.utter_message(text=otherwise, buttons=[{"title": phrases.CONSENT, "payload": ""}])
    return person
