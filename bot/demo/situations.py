"""Putting an account into a stated situation, so that a conversation can be played from there by somebody outside.

What a setup's words mean is read with the same lexicon as patients' words: counts, medicines, a child, a doctor who
holds the conversation, a check-in that is being asked.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.states import Level
from bot.care.patients import Person, give_consent
from bot.care.records import Medicine, record_counts
from bot.care.roster import ANSWERING_ROLES, Hospital, Staff
from bot.demo.world import ensure
from bot.language.medicines import read_medicines
from bot.store import accounts, demo_clock
from bot.store.accounts import Account
from bot.store.database import Database, vault_of

_DOCTOR_HOLDS = re.compile(r"医生.{0,4}(接入|接管|处理|在会话)")
_PREGNANT = re.compile(r"孕(\d+)周|怀孕|孕妇|孕期")
_NO_SPLEEN = re.compile(r"切脾|脾切除|无脾")
_AGE = re.compile(r"(\d{1,2})岁")


async def put_person(database: Database, openid: str, *, setup: str, today: date | None, app_id: str) -> None:
    """Register the account, agreed, as `setup` describes; `today` moves the demo's clock to that day."""
    if today is not None and clock.today() != today:
        at = datetime.combine(today, time(10), clock.SHANGHAI).astimezone(UTC)
        await demo_clock.move(database, (at - clock.real_now()).total_seconds())
    await ensure(database, app_id=app_id)
    async with database.transaction() as session:
        account = await accounts.find_or_create(session, openid, now=clock.now())
        if "未注册" in setup or "未同意" in setup or "新关注" in setup:
            return
        person = await give_consent(session, account)
        await _describe(session, person, setup)
        if _DOCTOR_HOLDS.search(setup):
            await _doctor_holds(session, account, person)


async def _describe(session: AsyncSession, person: Person, setup: str) -> None:
    by_level = select(Hospital).where(Hospital.level > 0).order_by(Hospital.level.desc())
    hospital = (await session.scalars(by_level)).first()
    person.hospital_id = hospital.id if hospital is not None else None
    person.set_name(vault_of(session), "演示患者")
    stated = _AGE.search(setup)
    child = any(word in setup for word in ("儿童", "孩子", "患儿", "宝宝"))
    age = int(stated[1]) if stated else 6 if child else 38
    person.born_on = clock.today() - timedelta(days=round(365.25 * age) + 30)
    if _PREGNANT.search(setup):
        person.sex, person.pregnant = "女", True
    if _NO_SPLEEN.search(setup):
        person.spleen_removed = True
    await session.flush()
    cause = f"demo:{person.id}"
    await record_counts(session, person, setup, cause=cause, source="demo")
    for name in dict.fromkeys(found.generic for found in read_medicines(setup)):
        session.add(
            Medicine(person_id=person.id, name=name, source="demo", cause=cause, recorded_at=clock.now(), since=None)
        )


async def _doctor_holds(session: AsyncSession, account: Account, person: Person) -> None:
    told = [Told("想请医生看一下。", clock.now())]
    receipt = await ask(
        session, account, person, told, level=Level.ROUTINE, reason="患者提问", cause=f"demo:{person.id}:held"
    )
    at_hospital = select(Staff).where(
        Staff.hospital_id == person.hospital_id, Staff.role.in_(ANSWERING_ROLES), Staff.active
    )
    doctor = (await session.scalars(at_hospital.order_by(Staff.login))).first()
    if doctor is not None:
        await answering.claim(session, consultation_id=receipt.consultation.id, doctor=doctor)
