"""Triage of what came in: the second transaction of a message, before anything else is done with it.

An emergency writes the consultation, the doctors' alerts and the advice together; an urgent message its consultation. If
triage itself fails, the message goes to the doctors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import rechecks, records, roster
from bot.care.consultations.asking import Receipt, Told, alarm, ask
from bot.care.consultations.states import Level
from bot.care.patients import Person, has_consented, person_of
from bot.care.triage import Facts, FlagLevel, Verdict, safe_triage
from bot.care.triage import text as advice_of
from bot.inbox.messages import Message, Stage, held, open_body, recent_texts
from bot.outbox import choices
from bot.outbox.rows import Content, Kind, owe
from bot.store.accounts import Account
from bot.store.database import Database

log = structlog.get_logger(__name__)

SPLIT_OVER = timedelta(minutes=3)
DEFAULT_ADVICE = "bleeding"
PASS_ON = "同意把这句话发给值班医生"

judged = Counter("itp_triage_total", "Messages triaged, by flag level", ["flag_level"])
took = Histogram("itp_triage_seconds", "Judging one message", buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1))

_LEVELS = {FlagLevel.EMERGENCY: Level.EMERGENCY, FlagLevel.URGENT: Level.URGENT, FlagLevel.WATCH: Level.ROUTINE}
_FOR_HUMANS = ("text",)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a message."""

    account: Account
    person: Person | None
    consented: bool
    is_staff: bool


def level_of(verdict: Verdict) -> Level | None:
    """The level a verdict asks for; a broken triage asks for a doctor the same day."""
    return Level.URGENT if verdict.failed else _LEVELS.get(verdict.flag_level)


def judge_sentence(text: str) -> tuple[Level | None, str, tuple[str, ...]]:
    """Judge a sentence outside any message (the answers of a check-in): level, reason, flags."""
    verdict = safe_triage(text, today=clock.today())
    return level_of(verdict), short_reason(verdict), tuple(hit.flag_id for hit in verdict.hits)


def judge(text: str, *, earlier: Sequence[str], record: Facts | None) -> Verdict:
    """What this message adds. What was said or recorded before raises what it says, but nothing by itself: a count of
    18 that the doctors have already been told of must not turn every later 「谢谢」 into an alert.
    """
    verdict = safe_triage(text, earlier=earlier, record=record, today=clock.today())
    if verdict.failed or any(hit.span is not None for hit in verdict.hits):
        return verdict
    known = safe_triage("", earlier=earlier, record=record, today=clock.today())
    if verdict.flag_level > known.flag_level:
        return verdict
    return replace(verdict, flag_level=FlagLevel.NONE, hits=(), advice=None, reason="")


async def who_wrote(session: AsyncSession, account: Account) -> Writer:
    """Who is behind an account. Staff write as patients only after they said so."""
    now = clock.now()
    staff = await roster.staff_with_account(session, account.id)
    as_patient = account.as_patient_until is not None and account.as_patient_until > now
    consented = await has_consented(session, account.id)
    person = await person_of(session, account.id) if consented else None
    return Writer(account, person, consented, is_staff=staff is not None and not as_patient)


async def facts_of(session: AsyncSession, person: Person | None) -> Facts | None:
    """What the record knows of a person, for the rules that combine it with what was said."""
    if person is None:
        return None
    today = clock.today()
    counts = await records.counts(session, person.id, since=today - timedelta(days=120))
    return Facts(
        age=person.age(today),
        pregnant=person.pregnant,
        last_counts=tuple((count.taken_on, count.value) for count in counts),
        medicines=tuple(medicine.name for medicine in await records.medicines(session, person.id)),
        asplenic=person.spleen_removed,
        diagnosed_on=person.diagnosed_on,
    )


async def triage_message(database: Database, message: Message, *, woken: Callable[[], None]) -> None:
    """Judge a stored message and write what follows from it, once. `woken` is called when something is owed."""
    async with database.transaction() as session:
        current = await held(session, message)
        if current is None or current.stage is not Stage.UNTRIAGED:
            return
        account = await session.get_one(Account, current.account_id)
        current.triaged_at = clock.now()
        current.stage = Stage.QUEUED
        writer = await who_wrote(session, account)
        if current.kind not in _FOR_HUMANS or writer.is_staff:
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


def short_reason(verdict: Verdict) -> str:
    """Why, for alerts and queues: the names of the gravest flags, never the patient's words."""
    if verdict.failed:
        return "自动判断出错，请人工查看"
    names = dict.fromkeys(hit.name for hit in sorted(verdict.hits, key=lambda hit: -hit.level))
    return "、".join(list(names)[:3]) or "需要医生看一下"


async def _emergency(session: AsyncSession, message: Message, writer: Writer, verdict: Verdict, text: str) -> None:
    """Consultation, alerts and advice in this one transaction; the advice leaves as the passive reply."""
    now = clock.now()
    advice = advice_of(verdict.advice or DEFAULT_ADVICE)
    if writer.consented:
        receipt = await put_to_doctors(session, message, writer, verdict, text, Level.EMERGENCY)
        said = advice.text
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
