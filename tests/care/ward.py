"""Hospitals, people and what they write, made in one session that is rolled back after the test."""

import itertools
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import patients
from bot.care.consultations.asking import Receipt, Told, ask
from bot.care.consultations.rows import Consultation, entry_text, thread
from bot.care.consultations.states import Level
from bot.care.patients import Person
from bot.care.records import Observation
from bot.care.roster import Hospital, Part, Role, Shift, Staff
from bot.inbox.messages import Message, Stage, seal_body
from bot.outbox.rows import Kind, Outbox, content_of
from bot.store import accounts
from bot.store.accounts import Account
from bot.store.audit import AuditEntry
from bot.store.base import new_id
from bot.store.database import vault_of


class Ward:
    """What tests of care begin with, and what they ask afterwards."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self._numbers = itertools.count(1)

    # -- people ------------------------------------------------------------------------------------------------------

    async def hospital(self, name: str, level: int = 3) -> Hospital:
        """A hospital; level 0 is the platform."""
        return await self._added(Hospital(id=new_id(), name=name, level=level))

    async def staff(
        self,
        name: str,
        hospital: Hospital | None,
        role: Role = Role.DOCTOR,
        *,
        part: Part | None = None,
        phone: bool = True,
        **facts: Any,
    ) -> Staff:
        """A member of staff, on duty (or backup) when `part` is given, with a bound phone."""
        account = await self.account() if phone else None
        member = Staff(
            id=new_id(),
            login=f"login-{new_id()}",
            name=name,
            role=role,
            hospital_id=hospital.id if hospital else None,
            account_id=account.id if account else None,
            active=True,
            created_at=clock.now(),
        )
        for key, value in facts.items():
            setattr(member, key, value)
        await self._added(member)
        if part is not None and hospital is not None:
            await self.shift(member, hospital, part)
        return member

    async def shift(
        self, member: Staff, hospital: Hospital, part: Part = Part.DUTY, *, since: float = 4, hours: float = 12
    ) -> Shift:
        """A shift that began `since` hours ago."""
        begins = clock.now() - timedelta(hours=since)
        shift = Shift(
            id=new_id(),
            hospital_id=hospital.id,
            staff_id=member.id,
            part=part,
            starts_at=begins,
            ends_at=begins + timedelta(hours=hours),
        )
        return await self._added(shift)

    async def account(self) -> Account:
        """Somebody who wrote to the account for the first time."""
        return await accounts.find_or_create(self.session, f"o-{next(self._numbers)}-{new_id()}", now=clock.now())

    async def patient(
        self, hospital: Hospital | None = None, name: str | None = None, **facts: Any
    ) -> tuple[Account, Person]:
        """Somebody who agreed."""
        account = await self.account()
        person = await patients.give_consent(self.session, account)
        person.hospital_id = hospital.id if hospital else None
        if name is not None:
            person.set_name(vault_of(self.session), name)
        for key, value in facts.items():
            setattr(person, key, value)
        await self.session.flush()
        return account, person

    async def writes(self, account: Account, text: str, *, at: datetime | None = None, kind: str = "text") -> Message:
        """A stored message, not yet triaged."""
        message_id, moment = new_id(), at or clock.now()
        message = Message(
            id=message_id,
            received_at=moment,
            account_id=account.id,
            kind=kind,
            body_sealed=seal_body(account, vault_of(self.session), message_id, {"text": text}),
            trace_id="trace",
            stage=Stage.UNTRIAGED,
            flags=[],
        )
        return await self._added(message)

    async def asks(
        self,
        account: Account,
        person: Person | None,
        *texts: str,
        level: Level = Level.ROUTINE,
        cause: str | None = None,
    ) -> Receipt:
        """A question put to the doctors."""
        told = [Told(text, clock.now()) for text in texts]
        return await ask(
            self.session, account, person, told, level=level, reason="用药问题", cause=cause or f"test:{new_id()}"
        )

    # -- what became of it -------------------------------------------------------------------------------------------

    async def owed(self, account: Account | None, *kinds: Kind) -> list[str]:
        """The words owed to an account (None: to the gateway), in order."""
        statement = select(Outbox).where(Outbox.account_id == (account.id if account else None)).order_by(Outbox.seq)
        rows = [row for row in await self.session.scalars(statement) if not kinds or row.kind in kinds]
        return [content_of(row, account, self.session).text for row in rows]

    async def alerts(self, member: Staff) -> list[Outbox]:
        """The alerts that went to somebody's phone."""
        statement = select(Outbox).where(Outbox.account_id == member.account_id, Outbox.kind == Kind.ALERT)
        return list(await self.session.scalars(statement.order_by(Outbox.seq)))

    async def calls(self, member: Staff) -> int:
        """How often the SMS or voice gateway was asked to ring somebody."""
        statement = select(func.count()).where(Outbox.kind == Kind.GATEWAY, Outbox.staff_id == member.id)
        return int(await self.session.scalar(statement) or 0)

    async def words(self, consultation: Consultation, *kinds: str) -> list[str]:
        """The entries of a thread."""
        account = await self.session.get_one(Account, consultation.account_id)
        entries = await thread(self.session, consultation)
        return [entry_text(entry, account, self.session) for entry in entries if not kinds or entry.kind in kinds]

    async def acts(self, subject: uuid.UUID) -> list[str]:
        """What the audit tells of a subject, in order."""
        await self.session.flush()
        statement = select(AuditEntry.act).where(AuditEntry.subject_id == subject).order_by(AuditEntry.at)
        return list(await self.session.scalars(statement))

    async def observations(self, person: Person) -> list[Observation]:
        """All that was observed of a person, withdrawn or not."""
        statement = select(Observation).where(Observation.person_id == person.id).order_by(Observation.recorded_at)
        return list(await self.session.scalars(statement))

    async def consultations(self, account: Account) -> list[Consultation]:
        """The consultations of an account, oldest first."""
        statement = select(Consultation).where(Consultation.account_id == account.id)
        return list(await self.session.scalars(statement.order_by(Consultation.opened_at, Consultation.number)))

    async def _added[T](self, row: T) -> T:
        self.session.add(row)
        await self.session.flush()
        return row
