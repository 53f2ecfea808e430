"""Events of WeChat: following, leaving, menu taps, scans, and what became of a template."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import bindings
from bot.care.patients import has_consented
from bot.care.writers import who_wrote
from bot.dialogue import phrases
from bot.dialogue.alarm import line
from bot.dialogue.welcome import welcome
from bot.inbox.messages import Message
from bot.outbox import choices
from bot.outbox.rows import Outbox, State, unpark
from bot.store import audit
from bot.store.accounts import Account, Holder


async def handle_event(session: AsyncSession, message: Message, account: Account, body: dict[str, Any]) -> str | None:
    """Do what an event asks for; what the person is told, or None."""
    match message.event:
        case "subscribe":
            await unpark(session, account.id)
            consented = await has_consented(session, account.id)
            bound = await bindings.use(session, account, str(body.get("scene", "")))
            greeting = "\n\n".join(filter(None, (bound, welcome().greeting)))
            return choices.offer(session, account, greeting, [] if consented else [phrases.CONSENT])
        case "scan":
            return await bindings.use(session, account, str(body.get("scene", "")))
        case "unsubscribe":
            await _left(session, account)
        case "templatesendjobfinish":
            await _template_finished(session, body)
        case "click":
            return await _menu(session, account, str(body.get("event_key", "")))
    return None


async def _left(session: AsyncSession, account: Account) -> None:
    """What is still owed cannot be delivered; it ends as such, and doctors see it on their page."""
    owed = select(Outbox).where(Outbox.account_id == account.id, Outbox.state.in_((State.PENDING, State.PARKED)))
    for row in await session.scalars(owed.with_for_update(skip_locked=True)):
        row.state, row.reason = State.FAILED, "not_following"
    audit.record(
        session, "unfollowed", actor_kind="patient", actor_id=account.id, subject_kind="account", subject_id=account.id
    )


async def _template_finished(session: AsyncSession, body: dict[str, Any]) -> None:
    row = await session.scalar(
        select(Outbox).where(Outbox.template_msg_id == str(body.get("template_msg_id", ""))).with_for_update()
    )
    if row is None:
        return
    status = str(body.get("template_status", ""))
    row.reason = "delivered" if status == "success" else status[:60]
    if status != "success" and row.state is State.SENT_TEMPLATE:
        row.state = State.FAILED


async def _menu(session: AsyncSession, account: Account, key: str) -> str | None:
    match key:
        case "ask_doctor":
            return await _ask_doctor(session, account)
        case "help":
            return welcome().help
        case "consent":
            return choices.offer(session, account, welcome().greeting, [phrases.CONSENT])
        case _:
            return None


async def _ask_doctor(session: AsyncSession, account: Account) -> str:
    """The sentence typed next is the question, whatever the assistant could say to it."""
    if account.holder is Holder.ALARM:
        return line(session, await who_wrote(session, account))
    if not await has_consented(session, account.id):
        return choices.offer(session, account, phrases.DOCTOR_NEEDS_CONSENT, [phrases.CONSENT])
    if account.holder is Holder.DOCTOR:
        return phrases.DOCTOR_IS_HERE
    account.asking_doctor_since = clock.now()
    return phrases.TYPE_YOUR_QUESTION
