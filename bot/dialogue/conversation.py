"""What becomes of a message after triage: who holds the conversation decides.

A doctor: it is appended to the consultation and the assistant stays silent. An alarm: one line, over and over. The
assistant: commands, choices, then the engine. Each branch commits its effects and finishes its message in one
transaction, so that a repeated try changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog
from prometheus_client import Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock, killpoints
from bot.care import awaited, records
from bot.care.consultations.asking import Receipt, Told, add_told, ask
from bot.care.consultations.rows import locked
from bot.care.consultations.states import Level, Stage
from bot.care.followups import course
from bot.care.judging import facts_of, judge
from bot.care.told import doubt_about
from bot.care.triage import text as advice_of
from bot.care.writers import Writer, writer_of
from bot.dialogue import alarm, commands, phrases, reception, unreadable
from bot.dialogue.answers import answer_topic
from bot.dialogue.checkins import ask_check_in, put_in_lane, put_off
from bot.dialogue.engine_client import EngineAnswer, EngineClient, EngineUnavailable, Refused, TurnAborted
from bot.dialogue.events import handle_event
from bot.dialogue.first_look import FirstLook
from bot.dialogue.questions import put_question
from bot.dialogue.turns import draft_of
from bot.dialogue.watched import put_in_queue
from bot.inbox.messages import Message, held, open_body
from bot.inbox.messages import Stage as MessageStage
from bot.knowledge import faq
from bot.language.counts import format_count
from bot.outbox import choices
from bot.outbox.rows import Content, Kind, owe, supersede, unpark
from bot.store.accounts import Account, Holder
from bot.store.database import Database, vault_of

log = structlog.get_logger(__name__)

ASKING_FOR = timedelta(minutes=30)

engine_seconds = Histogram("itp_engine_turn_seconds", "One turn of the engine, as the lane sees it")


class MediaSource(Protocol):
    """Where photos, voice and files are fetched from."""

    async def get_media(self, media_id: str) -> tuple[bytes, str]:
        """The bytes and the content type; raises when it cannot be had."""


class Conversation:
    """The steps of the lanes."""

    def __init__(
        self, database: Database, engine: EngineClient, media: MediaSource, *, owed: Callable[[], None]
    ) -> None:
        """`owed` is called after something was committed to the outbox."""
        self._database = database
        self._engine = engine
        self._media = media
        self._owed = owed
        self._first_look = FirstLook(database, woken=owed)

    async def triage(self, message: Message) -> None:
        """Judge it and do what follows from that alone."""
        await self._first_look.triage(message)

    async def converse(self, messages: Sequence[Message]) -> None:
        """Deal with one turn."""
        message = messages[-1]
        if message.kind == "event":
            await self._event(message)
        elif message.kind in phrases.WHAT:
            await self._unreadable(message)
        elif message.kind == "text":
            await self._text(messages)
        else:
            async with self._database.transaction() as session:
                if (current := await held(session, message)) is not None:
                    current.finish("unknown_kind")
        self._owed()

    async def hand_to_human(self, messages: Sequence[Message], *, why: str) -> None:
        """A message the assistant could not deal with, or a backlog: into one consultation, with one answer."""
        async with self._database.transaction() as session:
            current = [row for row in [await held(session, message) for message in messages] if row is not None]
            if not current:
                return
            writer = await writer_of(session, current[0].account_id)
            account = writer.account
            last = current[-1]
            told = [_told(session, row, account) for row in current if row.kind == "text" or row.kind in phrases.WHAT]
            for row in current:
                if row.event == "checkin_due":
                    await put_off(session, open_body(row, account, session))
                row.finish(why, stage=MessageStage.HANDED_TO_HUMAN)
            if not told or writer.is_staff:
                return
            if writer.consented:
                levels = [Level(row.level) for row in current if row.level is not None]
                receipt = await ask(
                    session,
                    account,
                    writer.person,
                    told,
                    level=min(levels, key=lambda level: level.rank, default=Level.ROUTINE),
                    reason="系统中断期间的消息" if why == "backlog" else "智能助手未能处理",
                    cause=f"message:{last.id}:{why}",
                )
                phrase = phrases.BACKLOG if why == "backlog" else phrases.TO_HUMAN
                said = phrase.format(number=len(told), who=receipt.who, within=receipt.within)
            else:
                said = choices.offer(session, account, phrases.NEED_CONSENT, [phrases.CONSENT])
            await self._reply(session, last, account, said)
        self._owed()

    # -- the branches ------------------------------------------------------------------------------------------------

    async def _event(self, message: Message) -> None:
        async with self._database.transaction() as session:
            current = await held(session, message)
            if current is None:
                return
            account = await session.get_one(Account, current.account_id)
            body = open_body(current, account, session)
            if current.event != "checkin_due":
                said = await handle_event(session, current, account, body)
                if said is not None:
                    await self._reply(session, current, account, said)
                current.finish(f"event_{current.event}")
                return
        await ask_check_in(self._database, self._engine, message, body)

    async def _unreadable(self, message: Message) -> None:
        kept = await unreadable.fetch(self._database, self._media, message)
        async with self._database.transaction() as session:
            current = await held(session, message)
            if current is None:
                return
            writer = await writer_of(session, current.account_id)
            account = writer.account
            await unpark(session, account.id)
            said = await unreadable.receive(session, current, writer, kept)
            if said is not None:
                await self._reply(session, current, account, said)

    async def _text(self, messages: Sequence[Message]) -> None:
        message = messages[-1]
        async with self._database.transaction() as session:
            current = [row for row in [await held(session, one) for one in messages] if row is not None]
            if not current:
                return
            writer = await writer_of(session, message.account_id)
            account, vault = writer.account, vault_of(session)
            texts = [open_body(row, account, session).get("text", "") for row in current]
            chosen = account.chosen(vault, texts[-1])
            text = chosen or "\n".join(filter(None, texts))
            # Choices are those of the last answer: forgotten together with giving this one, not before, so that a number
            # means the same when the turn is tried again.
            offered = account.choices_sealed
            account.offer(vault, [])
            await unpark(session, account.id)
            await awaited.answered(session, account.id, clock.now())
            said = await self._without_engine(session, current, writer, text)
            if said is None and chosen is not None:
                said = await self._chosen_topic(session, current[-1], account, chosen)
            if said is not None:
                if said:
                    await self._reply(session, current[-1], account, said)
                for row in current:
                    row.finish(row.outcome or "answered_without_engine")
                return
            account.choices_sealed = offered
            invited = (
                await course.waiting_invitation(session, account.id, begins=_begins(text)) if writer.consented else None
            )
            conversation_id = str(account.conversation_id)
            metadata = {"consented": writer.consented}
            # In the middle of a form the answer is both: a reason for a doctor, and what the form asked for.
            urgent = _urgent_of(current)
            first = await self._urgent(session, urgent, writer, text) if urgent is not None else ""
        if invited is not None and _begins(text):
            async with self._database.transaction() as session:
                (await session.get_one(Account, message.account_id)).offer(vault, [])
                await put_in_lane(session, invited)
                for one in messages:
                    if (begun := await held(session, one)) is not None:
                        begun.finish("checkin_begun")
            return
        killpoints.reached("engine.asked")
        answer = await self._ask_engine(messages[-1], conversation_id, text, metadata)
        killpoints.reached("engine.answered")
        await self._answered(messages, answer, invited, first)
        killpoints.reached("answer.owed")

    async def _without_engine(
        self, session: AsyncSession, current: Sequence[Message], writer: Writer, text: str
    ) -> str | None:
        """What is answered without the engine; "" for silence, None when the engine is to be asked."""
        message, account = current[-1], writer.account
        if writer.is_staff:
            return commands.from_staff(account, text)
        if (said := await commands.consent(session, writer, text)) is not None:
            return said
        if account.holder is Holder.DOCTOR and not writer.consented:
            # Words of somebody who has not agreed are shown to no staff, also while a doctor waits for them.
            return choices.offer(session, account, phrases.DOCTOR_NEEDS_CONSENT, [phrases.CONSENT])
        if account.holder is Holder.DOCTOR:
            await self._to_doctor(session, current, writer)
            message.outcome = "to_doctor"
            return ""
        if account.holder is Holder.ALARM:
            return await alarm.during(session, message, writer, text)
        if not text.strip():
            return phrases.EMPTY
        if (said := await unreadable.urgency(session, message, writer, text)) is not None:
            return said
        since = account.asking_doctor_since
        if since is not None and writer.person is not None and clock.now() - since < ASKING_FOR:
            told = Told(text, message.received_at, message.id)
            return await put_question(session, account, writer.person, told, cause=f"message:{message.id}")
        urgent = _urgent_of(current)
        if urgent is not None and await draft_of(session, account.id) is None:
            return await self._urgent(session, urgent, writer, text)
        return None

    async def _chosen_topic(self, session: AsyncSession, message: Message, account: Account, title: str) -> str | None:
        """A line of the menu of topics needs no guess, unless a form waits, which the engine takes up after the answer."""
        if await draft_of(session, account.id) is not None:
            return None
        topic_id = await faq.topic_titled(session, title)
        if topic_id is None:
            return None
        answer = await answer_topic(session, account, topic_id, confidence=None, cause=f"message:{message.id}")
        if answer is None:
            return None
        message.outcome = "chosen_topic"
        return choices.offer(session, account, answer.text, answer.choices)

    async def _to_doctor(self, session: AsyncSession, current: Sequence[Message], writer: Writer) -> None:
        """Append to the consultation of the doctor who holds the conversation; counts told are recorded all the same."""
        account = writer.account
        assert account.holder_consultation_id is not None
        consultation = await locked(session, account.holder_consultation_id)
        was_answered = consultation.stage is Stage.ANSWERED
        for row in current:
            words = open_body(row, account, session).get("text", "")
            told = Told(words, row.received_at, row.id, marks=tuple(row.flags))
            await add_told(session, consultation, account, told, cause=f"message:{row.id}")
            row.consultation_id = consultation.id
            if writer.person is not None:
                await records.record_counts(session, writer.person, words, cause=f"message:{row.id}")
        if was_answered:
            await alarm.alert_holder(session, consultation)

    async def _urgent(self, session: AsyncSession, message: Message, writer: Writer, text: str) -> str:
        """The same day: what to do meanwhile, who will see it and by when. No engine is asked."""
        verdict = judge(text, earlier=(), record=await facts_of(session, writer.person))
        advice = advice_of(verdict.advice).text if verdict.advice else ""
        if not writer.consented:
            return choices.offer(session, writer.account, f"{advice}\n\n{phrases.NEED_CONSENT}", [phrases.CONSENT])
        level = Level.URGENT
        receipt = await reception.put_to_doctors(session, message, writer, verdict, text, level)
        kept = ""
        if writer.person is not None:
            recorded = await records.record_counts(session, writer.person, text, cause=f"message:{message.id}")
            if recorded:
                kept = (
                    phrases.COUNT_KEPT.format(counts="、".join(format_count(row.value or 0) for row in recorded)) + "\n"
                )
        asked = await awaited.wait_for(session, writer.account, writer.person, verdict.needs, clock.now())
        doubt = doubt_about(text) if "count_unit" in verdict.needs else None
        if doubt is not None:
            # Two lines to choose from are easier than the question.
            whole = f"{kept}{_receipt(advice, receipt)}\n\n{doubt.doubt}"
            return choices.offer(session, writer.account, whole, doubt.choices)
        return "\n\n".join(filter(None, (kept + _receipt(advice, receipt), asked)))

    async def _ask_engine(
        self, message: Message, conversation_id: str, text: str, metadata: dict[str, bool]
    ) -> EngineAnswer:
        try:
            with engine_seconds.time():
                return await self._engine.say(conversation_id, text, str(message.id), message.trace_id, metadata)
        except (EngineUnavailable, TurnAborted, Refused):
            await self._say_kept(message)
            raise

    async def _say_kept(self, message: Message) -> None:
        """The engine is down: the patient hears, once, that the message is kept."""
        async with self._database.transaction() as session:
            account = await session.get_one(Account, message.account_id)
            await owe(
                session,
                account,
                Kind.NOTICE,
                Content(phrases.KEPT),
                cause=f"message:{message.id}:kept",
                passive_for=message.id,
                passive_until=message.passive_until,
                trace_id=message.trace_id,
            )
        self._owed()

    async def _answered(
        self, messages: Sequence[Message], answer: EngineAnswer, invited: course.ToAsk | None, first: str
    ) -> None:
        async with self._database.transaction() as session:
            current = [row for row in [await held(session, one) for one in messages] if row is not None]
            if not current:
                return
            account = await session.get_one(Account, current[-1].account_id)
            account.offer(vault_of(session), [])
            queued = await put_in_queue(session, current)
            said = "\n\n".join(filter(None, (first, _as_one(session, account, answer), queued)))
            if said:
                await self._reply(session, current[-1], account, said)
            for row in current:
                if row.attempts > 1:
                    # Only a try that failed may have said that the message is kept.
                    await supersede(session, f"message:{row.id}:kept")
                row.finish("answered")
            draft = await draft_of(session, account.id)
            if invited is not None and (draft is None or draft.suspended(clock.now())):
                await put_in_lane(session, invited)

    async def _reply(self, session: AsyncSession, message: Message, account: Account, said: str) -> None:
        await owe(
            session,
            account,
            Kind.ANSWER,
            Content(said),
            cause=f"message:{message.id}",
            passive_for=message.id,
            passive_until=message.passive_until,
            person_id=message.person_id,
            trace_id=message.trace_id,
        )


def _told(session: AsyncSession, message: Message, account: Account) -> Told:
    words = open_body(message, account, session).get("text") or f"（{phrases.WHAT.get(message.kind, '')}）"
    return Told(words, message.received_at, message.id, marks=tuple(message.flags))


def _urgent_of(current: Sequence[Message]) -> Message | None:
    return next((row for row in reversed(current) if row.level == Level.URGENT), None)


def _begins(text: str) -> bool:
    return text.strip().rstrip("。.!！") in ("开始", "开始随访", "好", "好的", "可以")


def _receipt(advice: str, receipt: Receipt) -> str:
    if receipt.nobody_on_duty:
        return f"{advice}\n\n{phrases.NOBODY}".strip()
    return phrases.URGENT_RECEIPT.format(advice=advice, who=receipt.who, within=receipt.within).strip()


def _as_one(session: AsyncSession, account: Account, answer: EngineAnswer) -> str:
    """One chat message of all that the engine said: an answer is never split into several."""
    texts, offered = [], []
    for said in answer.messages:
        if said.get("text"):
            texts.append(str(said["text"]))
        offered += [str(button["title"]) for button in said.get("buttons") or []]
    whole = "\n\n".join(texts)
    return choices.offer(session, account, whole, offered) if offered else whole
