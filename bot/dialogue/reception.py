"""Triage of what came in: the second transaction of a message, before anything else is done with it.

An emergency writes the consultation, the doctors' alerts and the advice together; an urgent message its consultation. If
triage itself fails, the message goes to the doctors.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock, killpoints
from bot.care import awaited, rechecks, records
from bot.care.consultations.asking import Receipt, Told, alarm, ask
from bot.care.consultations.states import Level
from bot.care.judging import facts_of, judge, level_of, short_reason
from bot.care.told import doubt_about
from bot.care.triage import FlagLevel, Verdict
from bot.care.triage import text as advice_of
from bot.care.writers import Writer, writer_of
from bot.inbox.messages import Message, Stage, held, open_body, recent_texts
from bot.outbox import choices
from bot.outbox.rows import Content, Kind, owe
from bot.store.database import Database

log = structlog.get_logger(__name__)

SPLIT_OVER = timedelta(minutes=3)
DEFAULT_ADVICE = "bleeding"
PASS_ON = "同意把这句话发给值班医生"

judged = Counter("itp_triage_total", "Messages triaged, by flag level", ["flag_level"])
took = Histogram("itp_triage_seconds", "Judging one message", buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1))

FOR_HUMANS = ("text",)


async def triage_message(database: Database, message: Message, *, woken: Callable[[], None]) -> None:
    """Judge a stored message and write what follows from it, once. `woken` is called when something is owed."""
    async with database.transaction() as session:
        current = await held(session, message)
        if current is None or current.stage is not Stage.UNTRIAGED:
            return
        writer = await writer_of(session, current.account_id)
        account = writer.account
        current.triaged_at = clock.now()
        current.stage = Stage.QUEUED
        if current.kind not in FOR_HUMANS or writer.is_staff:
            current.flag_level = FlagLevel.NONE.word
            return
        text = open_body(current, account, session).get("text", "")
        earlier = await recent_texts(session, account, before=current, since=current.received_at - SPLIT_OVER)
        with took.time():
            verdict = judge(text, earlier=earlier, record=await facts_of(session, writer.person))
        judged.labels(verdict.flag_level.word).inc()
        level = level_of(verdict)
        current.person_id = writer.person.id if writer.person is not None else None
        current.flag_level, current.level = verdict.flag_level.word, level.value if level is not None else None
        current.flags = [[*(hit.span or (0, 0)), hit.flag_id] for hit in verdict.hits]
        killpoints.reached("triage.judged")
        if verdict.failed:
            log.error("triage.failed", message=str(current.id))
        if level is Level.EMERGENCY:
            await _emergency(session, current, writer, verdict, text)
            woken()
        elif level is Level.URGENT and writer.consented:
            receipt = await put_to_doctors(session, current, writer, verdict, text, level)
            current.consultation_id = receipt.consultation.id


async def put_to_doctors(
    session: AsyncSession, message: Message, writer: Writer, verdict: Verdict, text: str, level: Level
) -> Receipt:
    """Open (or join) the consultation that a verdict asks for."""
    told = Told(text, message.received_at, message.id, marks=tuple(message.flags))
    return await ask(
        session,
        writer.account,
        writer.person,
        [told],
        level=level,
        reason=short_reason(verdict),
        cause=f"message:{message.id}",
        flags=[hit.flag_id for hit in verdict.hits],
    )


async def _emergency(session: AsyncSession, message: Message, writer: Writer, verdict: Verdict, text: str) -> None:
    """Consultation, alerts and advice in this one transaction; the advice leaves as the passive reply."""
    now = clock.now()
    advice = advice_of(verdict.advice or DEFAULT_ADVICE)
    if writer.consented:
        receipt = await put_to_doctors(session, message, writer, verdict, text, Level.EMERGENCY)
        if writer.person is not None:
            await records.record_counts(session, writer.person, text, cause=f"message:{message.id}")
        said = advice.text
        doubt = doubt_about(text) if "count_unit" in verdict.needs else None
        if doubt is not None:
            said = choices.offer(session, writer.account, f"{said}\n\n{doubt.doubt}", doubt.choices)
    else:
        # Without agreement no word of theirs is shown: the doctors learn that somebody was advised.
        receipt = await ask(
            session,
            writer.account,
            None,
            [],
            level=Level.EMERGENCY,
            reason="未登记的用户：已给出急救建议",
            cause=f"message:{message.id}",
        )
        said = choices.offer(session, writer.account, advice.text, [PASS_ON])
    if receipt.nobody_on_duty:
        said += "\n\n现在没有值班医生在线，我们已经通知负责人。请直接拨打120或去最近的急诊。"
    alarm(writer.account, receipt.consultation, now)
    await awaited.answered(session, writer.account.id, now)
    await rechecks.plan(session, writer.account, receipt.consultation.id, now)
    message.consultation_id = receipt.consultation.id
    await owe(
        session,
        writer.account,
        Kind.ADVICE,
        Content(said),
        cause=f"message:{message.id}",
        urgent=True,
        passive_for=message.id,
        passive_until=message.passive_until,
        person_id=message.person_id,
        consultation_id=receipt.consultation.id,
        trace_id=message.trace_id,
    )
    message.finish("emergency_advice")
    killpoints.reached("emergency.written")
