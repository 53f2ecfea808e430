"""Asking a check-in: through the account's own lane, as an external event that opens the engine's form."""

import uuid
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock, killpoints
from bot.care.followups import answers, course
from bot.care.followups.course import ToAsk
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import State
from bot.care.patients import Person
from bot.dialogue import phrases
from bot.dialogue.engine_client import EngineClient, FormOpen
from bot.dialogue.turns import FormDraft, draft_of, draft_slots, drop_draft, keep_draft
from bot.inbox.messages import Message, Received, Stage, held, seal_body
from bot.outbox.rows import Content, Kind, owe
from bot.store.accounts import Account, Holder
from bot.store.base import new_id
from bot.store.database import Database, vault_of

IN_LANE = "lane_waiting"
FORM = "checkin_form"


async def put_in_lane(session: AsyncSession, asking: ToAsk) -> None:
    """Queue the asking behind whatever the account has waiting, once for each attempt."""
    account = await session.get_one(Account, asking.account_id)
    msg_id = f"checkin:{asking.checkin_id}:{asking.attempt}"
    if await session.get(Received, (account.id, msg_id)) is not None:
        return
    now, message_id = clock.now(), new_id()
    session.add(Received(account_id=account.id, msg_id=msg_id, message_id=message_id, received_at=now))
    session.add(
        Message(
            id=message_id,
            received_at=now,
            account_id=account.id,
            kind="event",
            event="checkin_due",
            body_sealed=seal_body(account, vault_of(session), message_id, {"checkin_id": str(asking.checkin_id)}),
            trace_id=message_id.hex[-16:],
            stage=Stage.QUEUED,
            flags=[],
        )
    )
    await session.execute(text("select pg_notify(:topic, :payload)"), {"topic": IN_LANE, "payload": str(account.id)})


async def put_off(session: AsyncSession, body: dict[str, Any]) -> None:
    """It could not be asked, tried again and again: the clock comes back to it."""
    check_in = await session.get_one(CheckIn, uuid.UUID(body["checkin_id"]), with_for_update=True)
    await course.postpone(session, check_in, clock.now())


async def ask_check_in(database: Database, engine: EngineClient, message: Message, body: dict[str, Any]) -> None:
    """Open the form in the engine and owe the first question."""
    checkin_id = uuid.UUID(body["checkin_id"])
    async with database.transaction() as session:
        current = await held(session, message)
        if current is None:
            return
        check_in = await session.get_one(CheckIn, checkin_id, with_for_update=True)
        account = await session.get_one(Account, current.account_id)
        draft = await draft_of(session, account.id)
        # A draft of this very check-in means that a try died after the engine had opened the form.
        other_form = draft is not None and draft.checkin_id != checkin_id
        if other_form and draft is not None and draft.suspended(clock.now()):
            await _put_aside(session, account, draft)
            other_form = False
        if check_in.asked_at is not None or check_in.state in (State.CANCELLED, State.MERGED, State.SKIPPED):
            current.finish("checkin_over")
            return
        if account.holder is not Holder.ASSISTANT or other_form:
            await _not_now(session, current, account, check_in)
            return
        conversation_id = str(account.conversation_id)
    killpoints.reached("checkin.triggered")
    try:
        answer = await engine.trigger(
            conversation_id,
            "EXTERNAL_checkin",
            str(message.id),
            message.trace_id,
            slots={"checkin_id": str(checkin_id), "checkin_platelet": None, "checkin_bleeding": None},
            metadata={"consented": True},
        )
    except FormOpen:
        async with database.transaction() as session:
            if (current := await held(session, message)) is not None:
                check_in = await session.get_one(CheckIn, checkin_id, with_for_update=True)
                account = await session.get_one(Account, current.account_id)
                await _not_now(session, current, account, check_in)
        return
    killpoints.reached("checkin.answered")
    async with database.transaction() as session:
        current = await held(session, message)
        if current is None:
            return
        account = await session.get_one(Account, current.account_id)
        check_in = await session.get_one(CheckIn, checkin_id, with_for_update=True)
        said = "\n\n".join(str(one["text"]) for one in answer.messages if one.get("text"))
        await owe(
            session,
            account,
            Kind.CHECKIN,
            Content(said, {"plan": "随访", "time": f"{clock.local(check_in.due_at):%m-%d %H:%M}"}),
            cause=f"checkin:{checkin_id}:asked:{check_in.postponed}",
            link="/p/checkins",
            person_id=check_in.person_id,
            trace_id=message.trace_id,
        )
        await keep_draft(
            session, account, form=FORM, slots={}, requested_slot="checkin_platelet", checkin_id=checkin_id
        )
        # A number typed now answers this question, not a menu shown before it.
        account.offer(vault_of(session), [])
        await course.asked(session, check_in)
        current.finish("checkin_asked")


async def _put_aside(session: AsyncSession, account: Account, draft: FormDraft) -> None:
    """A form that nobody went on with makes room for the next; the count that was told in it is kept."""
    before = await session.get(CheckIn, draft.checkin_id) if draft.checkin_id is not None else None
    if before is not None:
        person = await session.get_one(Person, before.person_id)
        told = draft_slots(draft, account, session).get("checkin_platelet") or {}
        source = f"checkin:{before.key}"
        await answers.keep_count(session, person, told, cause=f"checkin:{before.id}:put_aside", source=source)
    await drop_draft(session, account.id)


async def _not_now(session: AsyncSession, message: Message, account: Account, check_in: CheckIn) -> None:
    """It comes again by itself; somebody who has just said 「开始」 hears so."""
    if check_in.state is not State.DUE and account.holder is Holder.ASSISTANT:
        cause = f"message:{message.id}:not_now"
        await owe(session, account, Kind.NOTICE, Content(phrases.CHECKIN_FAILED_SOFTLY), cause=cause)
    await course.postpone(session, check_in, clock.now())
    message.finish("checkin_postponed")
