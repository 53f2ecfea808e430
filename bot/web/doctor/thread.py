"""One question's thread as a page shows it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.care.attachments import Attachment
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind, entry_text, thread
from bot.care.roster import Staff
from bot.care.triage.rulebook import rulebook
from bot.outbox.rows import Outbox
from bot.store.accounts import Account
from bot.store.vault import Unreadable
from bot.web.words import delivery

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: who, when, the words (the alarming ones marked), and what became of an answer."""

    entry: ConsultationEntry
    who: str
    html: Markup
    text: str
    delivery: str
    undelivered: bool
    attachment: Attachment | None


@dataclass(frozen=True, slots=True)
class Thread:
    """The entries shown, how many earlier ones are not, the patient's last words, and the newest entry's id."""

    lines: Sequence[Line]
    earlier: int
    last_words: Line | None
    newest: uuid.UUID | None
    from_patient: bool


def marked(text: str, marks: Sequence[Any]) -> Markup:
    """The text as HTML with the words that alarmed marked; `marks` are [start, end, flag id] and may overlap.

    >>> print(marked("头疼<吐>", [[0, 2, "no_such_flag"]]))
    <mark>头疼</mark>&lt;吐&gt;
    """
    parts, at = [], 0
    for start, end, flag_id in sorted((one for one in marks if _is_mark(one)), key=lambda one: (one[0], -one[1])):
        start, end = max(start, at), min(end, len(text))
        if end <= start:
            continue
        parts.append(escape(text[at:start]))
        name = flag_name(str(flag_id))
        opening = Markup('<mark title="{}">').format(name) if name else Markup("<mark>")
        parts.append(opening + escape(text[start:end]) + Markup("</mark>"))
        at = end
    parts.append(escape(text[at:]))
    return Markup("").join(parts)


def _is_mark(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 3 and isinstance(one[0], int) and isinstance(one[1], int)


def flag_name(flag_id: str) -> str:
    """What a red flag is called, as staff read it; empty when this version does not know it."""
    try:
        return rulebook().flag(flag_id).name
    except KeyError:
        return ""


async def thread_of(
    session: AsyncSession, consultation: Consultation, account: Account, *, whole: bool = False
) -> Thread:
    """The thread, the newest entries unless the whole is asked for."""
    entries = await thread(session, consultation)
    shown = entries if whole else entries[-SHOWN:]
    patients = [entry for entry in entries if entry.kind is EntryKind.PATIENT]
    wanted = [*shown, *patients[-1:]]
    names = await _staff_names(session, wanted)
    owed = await _by_id(session, Outbox, [entry.outbox_id for entry in wanted])
    files = await _by_id(session, Attachment, [entry.attachment_id for entry in wanted])

    def line(entry: ConsultationEntry) -> Line:
        try:
            text = entry_text(entry, account, session)
        except Unreadable:
            text = "（内容已按患者要求删除）"
        row = owed.get(entry.outbox_id) if entry.outbox_id else None
        state = delivery(row.state, row.reason) if row is not None else ""
        arrived = state.startswith("已") or not state
        attachment = files.get(entry.attachment_id) if entry.attachment_id else None
        return Line(entry, _who(entry, names), marked(text, entry.marks), text, state, not arrived, attachment)

    return Thread(
        [line(entry) for entry in shown],
        len(entries) - len(shown),
        line(patients[-1]) if patients else None,
        entries[-1].id if entries else None,
        bool(patients),
    )


def _who(entry: ConsultationEntry, names: dict[uuid.UUID, str]) -> str:
    match entry.kind:
        case EntryKind.PATIENT:
            return "患者"
        case EntryKind.ASSISTANT:
            return "智能助手"
        case EntryKind.EVENT:
            return ""
        case EntryKind.DOCTOR | EntryKind.NOTE:
            return names.get(entry.staff_id, "同事") if entry.staff_id else "系统"


async def _staff_names(session: AsyncSession, entries: Sequence[ConsultationEntry]) -> dict[uuid.UUID, str]:
    ids = {entry.staff_id for entry in entries if entry.staff_id is not None}
    found = await session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(ids)))
    return {row.id: row.name for row in found}


async def _by_id[T: (Outbox, Attachment)](
    session: AsyncSession, table: type[T], ids: Sequence[uuid.UUID | None]
) -> dict[uuid.UUID, T]:
    wanted = {one for one in ids if one is not None}
    return {row.id: row for row in await session.scalars(select(table).where(table.id.in_(wanted)))}
