"""The custom actions as the engine calls them: over the route, in a turn of a real account."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from care.ward import Ward

from bot.care.patients import Person
from bot.store.accounts import Account
from bot.store.base import new_id
from bot.store.database import Database

SECRET = "actions-of-the-tests"


@dataclass
class Turn:
    """One message of a patient, as the engine understood it; each `run` is one call of an action."""

    engine: "Engine"
    account: Account
    person: Person | None
    text: str
    intent: str
    topics: list[tuple[str, float]]
    slots: dict[str, Any]
    loop: str | None
    external: bool
    message_id: str = field(default_factory=lambda: str(new_id()))

    async def run(self, action: str, *, status: int = 200) -> "Said":
        """Call an action. `validate_checkin_form` runs inside its form."""
        answer = await self.engine.client.post(
            "/actions/webhook", json=self._call(action), headers={"X-Action-Secret": SECRET}
        )
        assert answer.status == status, await answer.text()
        return Said(**await answer.json()) if status == 200 else Said([], [])

    def _call(self, action: str) -> dict[str, Any]:
        metadata = {"trace_id": "t", "is_external": self.external}
        ranking = [{"intent_response_key": f"faq/{topic}", "confidence": sure} for topic, sure in self.topics]
        message = {
            "text": self.text,
            "intent": {"name": self.intent, "confidence": 0.9},
            "entities": [],
            "metadata": metadata,
            "response_selector": {"faq": {"ranking": ranking}},
        }
        user = {"event": "user", "text": self.text, "message_id": self.message_id, "metadata": metadata}
        slots = {"requested_slot": None, "pending_report": None, "not_understood": None, "checkin_id": None}
        slots |= {"checkin_platelet": None, "checkin_bleeding": None}
        slots["session_started_metadata"] = {"message_id": self.message_id, "trace_id": "t"}
        tracker = {
            "sender_id": str(self.account.conversation_id),
            "slots": slots | self.slots,
            "latest_message": message,
            "latest_input_channel": "app",
            "events": [user],
            "paused": False,
            "followup_action": None,
            "active_loop": {"name": self.loop} if self.loop else {},
            "latest_action_name": "action_listen",
        }
        domain = {
            "slots": {name: {"type": "any", "mappings": [{"type": "custom"}]} for name in slots},
            "forms": {"checkin_form": {"required_slots": ["checkin_platelet", "checkin_bleeding"]}},
            "actions": ["validate_checkin_form"],
            "responses": {},
        }
        return {"next_action": action, "sender_id": tracker["sender_id"], "tracker": tracker, "domain": domain}


@dataclass
class Said:
    """What an action returned."""

    events: list[dict[str, Any]]
    responses: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """All its words."""
        return "\n".join(str(one.get("text", "")) for one in self.responses)

    @property
    def buttons(self) -> list[str]:
        """The lines that may be tapped."""
        return [button["title"] for one in self.responses for button in one.get("buttons") or []]

    @property
    def slots(self) -> dict[str, Any]:
        """What it set."""
        return {event["name"]: event["value"] for event in self.events if event["event"] == "slot"}


@dataclass
class Engine:
    """Calls the actions of a service whose doctor is on duty."""

    client: TestClient[web.Request, web.Application]
    database: Database
    account: Account
    person: Person
    stranger: Account
    doctor_id: uuid.UUID

    def hears(
        self,
        text: str,
        intent: str = "faq",
        *,
        topics: list[tuple[str, float]] | None = None,
        slots: dict[str, Any] | None = None,
        loop: str | None = None,
        stranger: bool = False,
        external: bool = False,
    ) -> Turn:
        """A message, understood as told."""
        account = self.stranger if stranger else self.account
        person = None if stranger else self.person
        return Turn(self, account, person, text, intent, topics or [], slots or {}, loop, external)

    async def ward(self, ask: Any) -> Any:
        """Ask the ward something in a session of its own."""
        async with self.database.transaction() as session:
            return await ask(Ward(session))

    async def counts(self) -> list[float]:
        """The counts that stand, oldest first."""
        rows = await self.ward(lambda ward: ward.observations(self.person))
        return [row.value for row in rows if row.value is not None and row.withdrawn_at is None]

    async def questions(self, account: Account | None = None) -> int:
        """How many consultations there are."""
        return len(await self.ward(lambda ward: ward.consultations(account or self.account)))
