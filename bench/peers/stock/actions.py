"""The stock peer's action server: every custom action of the domain says one fixed sentence and touches no database.

Run by `python -m rasa_sdk --actions bench.peers.stock.actions` in the peer's own environment (Python 3.10).
"""

from pathlib import Path
from typing import Any

import yaml
from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import ActionExecuted, SessionStarted
from rasa_sdk.executor import CollectingDispatcher

DOMAIN = Path(__file__).resolve().parents[3] / "domain.yml"
SAID = "这是一般性的说明。您自己的情况请问值班医生。"


def _named(given: Any) -> str:
    return given if isinstance(given, str) else next(iter(given))


def _fixed(action: str) -> type:
    def run(self: Action, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Any) -> list[dict[str, Any]]:
        if action == "action_session_start":
            return [SessionStarted(), ActionExecuted("action_listen")]
        dispatcher.utter_message(text=SAID)
        return []

    parts = {"name": lambda self: action, "run": run, "__module__": __name__}
    return type("".join(word.title() for word in action.split("_")), (Action,), parts)


class ValidateCheckinForm(FormValidationAction):
    """The form of the domain, nothing checked."""

    def name(self) -> str:
        """As the domain calls it."""
        return "validate_checkin_form"


_NAMES = [_named(one) for one in yaml.safe_load(DOMAIN.read_text("utf-8"))["actions"]]
ACTIONS = [_fixed(name) for name in _NAMES if not name.startswith("validate_")]
