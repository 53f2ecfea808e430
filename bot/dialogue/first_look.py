"""Triage of a burst: messages that wait together are read together, and those that raise nothing are marked together.

What must be acted on is left to `reception.triage_message`, which writes all that follows from a message in one
transaction of its own; so is a message that comes alone. Nothing is decided here that is not decided there.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import select

from bot import killpoints
from bot.care.consultations.states import Level
from bot.care.judging import facts_of_each, judge, level_of
from bot.care.triage import FlagLevel
from bot.care.writers import who_wrote_each
from bot.dialogue.reception import FOR_HUMANS, SPLIT_OVER, judged, took, triage_message
from bot.inbox.messages import Judged, Message, open_body, queue_judged, recent_texts_each, untriaged_of
from bot.store.accounts import Account
from bot.store.base import one_of
from bot.store.database import Database
from bot.store.together import Together

_TO_ACT_ON = (Level.EMERGENCY, Level.URGENT)
_AT_ONCE = 50


class FirstLook:
    """Judges stored messages, once each."""

    def __init__(self, database: Database, *, woken: Callable[[], None]) -> None:
        """`woken` is called when something is owed."""
        self._database = database
        self._woken = woken
        self.triage: Together[Message, None] = Together(self._look, name="triage", most=_AT_ONCE, turns=2)

    async def _look(self, messages: Sequence[Message]) -> list[None]:
        left = await self._mark_harmless(messages) if len(messages) > 1 else messages
        for message in left:
            await triage_message(self._database, message, woken=self._woken)
        return [None] * len(messages)

    async def _mark_harmless(self, messages: Sequence[Message]) -> list[Message]:
        """Mark what raises nothing; return the others, of which nothing was written."""
        left = []
        async with self._database.transaction() as session:
            rows = await untriaged_of(session, messages)
            ids = one_of({row.account_id for row in rows})
            accounts = {one.id: one for one in await session.scalars(select(Account).where(Account.id == ids))}
            writers = {one.account.id: one for one in await who_wrote_each(session, list(accounts.values()))}
            facts = await facts_of_each(session, [writers[row.account_id].person for row in rows])
            since = [(accounts[row.account_id], row, row.received_at - SPLIT_OVER) for row in rows]
            earlier = await recent_texts_each(session, since)
            harmless = []
            for row, record, texts in zip(rows, facts, earlier, strict=True):
                writer = writers[row.account_id]
                if row.kind not in FOR_HUMANS or writer.is_staff:
                    harmless.append(Judged(row, None, FlagLevel.NONE.word))
                    continue
                text = open_body(row, writer.account, session).get("text", "")
                with took.time():
                    verdict = judge(text, earlier=texts, record=record)
                level = level_of(verdict)
                if level in _TO_ACT_ON:
                    left.append(row)
                    continue
                judged.labels(verdict.flag_level.word).inc()
                person_id = writer.person.id if writer.person is not None else None
                flags = [[*(hit.span or (0, 0)), hit.flag_id] for hit in verdict.hits]
                harmless.append(Judged(row, person_id, verdict.flag_level.word, level.value if level else None, flags))
            await queue_judged(session, harmless)
            killpoints.reached("triage.judged")
        return left
