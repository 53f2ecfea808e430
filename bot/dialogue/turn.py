"""The turn that a custom action runs in: session, account, person, message.

The executor runs each action inside `Turns.around`: one transaction, and whatever the action returned is stored with its
effects, so that the engine may ask again without anything happening again.
"""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot import killpoints
from bot.care.patients import Person
from bot.care.writers import writer_in
from bot.dialogue.executor import ActionResult, ActionTurn, Run
from bot.dialogue.turns import store_result, stored_result
from bot.store.accounts import Account
from bot.store.database import Database

_current: ContextVar["Turn"] = ContextVar("turn")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a custom action may use. `cause` is the idempotency key of the message (or check-in) that set it off."""

    session: AsyncSession
    account: Account
    person: Person | None
    cause: str
    message_id: uuid.UUID | None

    @property
    def consented(self) -> bool:
        """Whether what is said may build a record and reach a doctor."""
        return self.person is not None


class UnknownConversation(Exception):
    """The engine names a conversation that no account has (deleted while a turn ran)."""


def current_turn() -> Turn:
    """The turn of the action that is running."""
    return _current.get()


class Turns:
    """Runs actions once for each cause."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def around(self, turn: ActionTurn, run: Run) -> ActionResult:
        """Run the action in a transaction, or give back what it returned before."""
        cause = f"message:{turn.message_id}"
        async with self._database.transaction() as session:
            writer = await writer_in(session, uuid.UUID(turn.conversation_id))
            if writer is None:
                raise UnknownConversation
            account = writer.account
            key: dict[str, Any] = {"cause": cause, "action": turn.action, "ordinal": turn.ordinal}
            before = await stored_result(session, account, **key) if turn.message_id else None
            if before is not None:
                return ActionResult(before["events"], before["responses"])
            message_id = _uuid(turn.message_id)
            token = _current.set(Turn(session, account, writer.person, cause, message_id))
            try:
                result = await run()
            finally:
                _current.reset(token)
            if turn.message_id:
                store_result(session, account, {"events": result.events, "responses": result.responses}, **key)
            killpoints.reached("action.written")
        killpoints.reached("action.committed")
        return result


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
