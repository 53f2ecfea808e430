"""Two hospitals of different levels and the platform, doctors around the clock, a dozen patients with their months.

Everybody here is invented. The FAQ drafts are published as the demo's first act, and the audit says so.
"""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import structlog
from argon2 import PasswordHasher
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.states import Level
from bot.care.patients import ActsFor, Consent, Person, Relation
from bot.care.records import Kind, Medicine, Observation
from bot.care.roster import Hospital, Part, Role, Shift, Staff
from bot.knowledge import faq
from bot.store import accounts, demo_clock
from bot.store.base import Base, new_id
from bot.store.database import Database, vault_of

log = structlog.get_logger(__name__)

# The demo's log-ins all have this word; `python -m bot users create-admin` makes the real ones.
PASSWORD = "demo"
TEMPLATES = {
    "alert": "demo-alert",
    "doctor_answer": "demo-answer",
    "invitation": "demo-invitation",
    "checkin": "demo-invitation",
}
SHIFT_DAYS_BACK, SHIFT_DAYS_AHEAD = 3, 60
RESET = "demo_reset"
_LOCK = 20260


@dataclass(frozen=True, slots=True)
class _Doctor:
    name: str
    login: str
    title: str
    role: Role
    hospital: int
    phone: bool


@dataclass(frozen=True, slots=True)
class _Patient:
    name: str
    sex: str
    age: int
    months: int
    hospital: int
    start: float
    now: float
    medicines: tuple[str, ...]
    question: str | None = None


_HOSPITALS = (("省疾控ITP平台", 0, "省会"), ("省血液病医院", 3, "省会"), ("临河县人民医院", 2, "临河"))
_STAFF = (
    _Doctor("李明华", "li", "主任医师", Role.DOCTOR, 1, True),
    _Doctor("王晓燕", "wang", "副主任医师", Role.DOCTOR, 1, True),
    _Doctor("陈立", "chen", "血液科主任", Role.LEAD_DOCTOR, 1, False),
    _Doctor("赵国强", "zhao", "主治医师", Role.DOCTOR, 2, True),
    _Doctor("孙丽", "sun", "内科主任", Role.LEAD_DOCTOR, 2, False),
    _Doctor("周平", "zhou", "副主任医师", Role.DOCTOR, 0, True),
    _Doctor("吴敏", "wu", "护士长", Role.NURSE, 1, False),
    _Doctor("郑和平", "zheng", "平台管理员", Role.ADMINISTRATOR, 0, False),
    _Doctor("何静", "he", "健康教育科", Role.CDC_EDITOR, 0, False),
)
# hospital → (day duty, night duty, backup) by position in _STAFF
_DUTY = {1: (0, 1, 1), 2: (3, 3, 4), 0: (5, 5, 2)}
_PATIENTS = (
    _Patient("林女士", "女", 34, 5, 1, 12, 46, ("泼尼松", "艾曲泊帕"), None),
    _Patient("张建国", "男", 58, 14, 1, 8, 88, ("海曲泊帕",)),
    _Patient("黄婷", "女", 27, 2, 1, 6, 31, ("泼尼松",), "月经来了五天，量比平时多一点，要紧吗"),
    _Patient("刘小宝的妈妈", "男", 6, 1, 1, 15, 62, ()),
    _Patient("马德山", "男", 71, 30, 2, 22, 54, ("艾曲泊帕",), "最近血压有点高，吃降压药会影响血小板吗"),
    _Patient("杨丽", "女", 45, 9, 1, 10, 120, ("利妥昔单抗",)),
    _Patient("徐国栋", "男", 39, 20, 2, 30, 76, ()),
    _Patient("郭佳怡", "女", 22, 3, 1, 4, 27, ("泼尼松",)),
    _Patient("罗志明", "男", 63, 7, 1, 18, 95, ("海曲泊帕",)),
    _Patient("谢雅琴", "女", 31, 11, 2, 25, 68, ("阿伐曲泊帕",)),
    _Patient("欧阳慕容雪莲", "女", 52, 40, 1, 14, 58, ("艾曲泊帕",)),
    _Patient("韩冬", "男", 17, 4, 1, 9, 84, ("泼尼松",)),
)


def openid(app_id: str, name: str) -> str:
    """The WeChat id of somebody in the demo: the same each time for one official account."""
    return "oDemo" + hashlib.sha256(f"{app_id}:{name}".encode()).hexdigest()[:23]


def people(app_id: str) -> list[dict[str, object]]:
    """The phones of the demo, for the simulator."""
    # The platform's doctor first: a newcomer's questions go there, and the page shows the first phones of each kind.
    with_phones = sorted((doctor for doctor in _STAFF if doctor.phone), key=lambda doctor: doctor.hospital)
    doctors = [
        {
            "name": f"{doctor.name[0]}医生",
            "role": "doctor",
            "openid": openid(app_id, doctor.name),
            "follows": True,
            "note": f"登录：{doctor.login} / {PASSWORD}",
        }
        for doctor in with_phones
    ]
    patient = {"name": "林女士", "role": "patient", "openid": openid(app_id, "林女士"), "follows": True}
    return [{"name": "新朋友", "role": "patient"}, patient, *doctors]


async def ensure(database: Database, *, app_id: str) -> bool:
    """Make the world if the database has none, and keep the shifts ahead of the clock. Returns whether it was made."""
    async with database.transaction() as session:
        await session.execute(text("select pg_advisory_xact_lock(:n)"), {"n": _LOCK})
        made = await session.scalar(select(Hospital.id).limit(1)) is None
        if made:
            await _make(session, app_id)
        else:
            await _extend_shifts(session)
        topics = await faq.import_baseline(session, approve_as="demo")
    if made:
        log.info("demo.made", topics=topics)
    return made


async def reset(database: Database, *, app_id: str) -> None:
    """Empty every table and make the world anew; the clock goes back to the machine's, processes drop what they know."""
    async with database.transaction() as session:
        await session.execute(text("select pg_advisory_xact_lock(:n)"), {"n": _LOCK})
        tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
        await session.execute(text(f"truncate {tables} cascade"))
        if await session.scalar(text("select to_regclass('engine.events')")) is not None:
            await session.execute(text("truncate engine.events"))
        clock.set_offset(timedelta())
        await _make(session, app_id)
        await faq.import_baseline(session, approve_as="demo")
        await session.execute(text("select pg_notify(:topic, '0')"), {"topic": demo_clock.MOVED})
        await session.execute(text("select pg_notify(:topic, '')"), {"topic": RESET})


async def _make(session: AsyncSession, app_id: str) -> None:
    now = clock.now()
    hospitals = [Hospital(id=new_id(), name=name, level=level, city=city) for name, level, city in _HOSPITALS]
    session.add_all(hospitals)
    await session.flush()
    password_hash = PasswordHasher().hash(PASSWORD)
    staff = []
    for doctor in _STAFF:
        account_id = None
        if doctor.phone:
            account_id = (await accounts.find_or_create(session, openid(app_id, doctor.name), now=now)).id
        staff.append(
            Staff(
                id=new_id(),
                login=doctor.login,
                name=doctor.name,
                title=doctor.title,
                role=doctor.role,
                hospital_id=hospitals[doctor.hospital].id,
                account_id=account_id,
                password_hash=password_hash,
                created_at=now,
            )
        )
    session.add_all(staff)
    await session.flush()
    _add_shifts(session, hospitals, staff, clock.today() - timedelta(days=SHIFT_DAYS_BACK))
    for patient in _PATIENTS:
        await _add_patient(session, app_id, patient, hospitals, staff)


def _add_shifts(session: AsyncSession, hospitals: list[Hospital], staff: list[Staff], first: date) -> None:
    for offset in range(SHIFT_DAYS_BACK + SHIFT_DAYS_AHEAD):
        day = first + timedelta(days=offset)
        morning = datetime.combine(day, time(8), clock.SHANGHAI).astimezone(UTC)
        evening, next_morning = morning + timedelta(hours=12), morning + timedelta(hours=24)
        for index, (by_day, by_night, backup) in _DUTY.items():
            for who, part, starts, ends in (
                (by_day, Part.DUTY, morning, evening),
                (by_night, Part.DUTY, evening, next_morning),
                (backup, Part.BACKUP, morning, next_morning),
            ):
                session.add(
                    Shift(
                        hospital_id=hospitals[index].id,
                        staff_id=staff[who].id,
                        part=part,
                        starts_at=starts,
                        ends_at=ends,
                    )
                )


async def _extend_shifts(session: AsyncSession) -> None:
    """A demo that ran for weeks, or whose clock was moved, must not run out of doctors."""
    latest = await session.scalar(select(Shift.ends_at).order_by(Shift.ends_at.desc()).limit(1))
    if latest is not None and latest - clock.now() > timedelta(days=14):
        return
    hospitals, staff = [], []
    for name, _, _ in _HOSPITALS:
        hospitals.append((await session.scalars(select(Hospital).where(Hospital.name == name))).one())
    for doctor in _STAFF:
        staff.append((await session.scalars(select(Staff).where(Staff.login == doctor.login))).one())
    first = clock.local(latest).date() if latest is not None else clock.today()
    _add_shifts(session, hospitals, staff, max(first, clock.today()))


async def _add_patient(
    session: AsyncSession, app_id: str, patient: _Patient, hospitals: list[Hospital], staff: list[Staff]
) -> None:
    vault, now, today = vault_of(session), clock.now(), clock.today()
    dice = random.Random(patient.name)  # noqa: S311 - a demo world that is the same each time
    account = await accounts.find_or_create(session, openid(app_id, patient.name), now=now)
    person = Person(
        id=new_id(),
        wrapped_key=vault.new_key("person"),
        sex=patient.sex,
        born_on=today - timedelta(days=round(365.25 * patient.age) + dice.randrange(300)),
        diagnosed_on=today - timedelta(days=30 * patient.months),
        hospital_id=hospitals[patient.hospital].id,
        doctor_id=staff[_DUTY[patient.hospital][0]].id,
        created_at=now,
    )
    person.set_name(vault, patient.name)
    session.add(person)
    await session.flush()
    relation = Relation.GUARDIAN if patient.age < 14 else Relation.SELF
    session.add(ActsFor(account_id=account.id, person_id=person.id, relation=relation, chosen=True, since=now))
    session.add(Consent(account_id=account.id, version=1, given_at=now))
    key = person.key(vault)
    tests = max(4, min(18, patient.months * 2))
    for number in range(tests):
        share = number / (tests - 1)
        value = round(max(2.0, patient.start + (patient.now - patient.start) * share + dice.gauss(0, 6)))
        observation = Observation(
            id=new_id(),
            recorded_at=now,
            person_id=person.id,
            kind=Kind.PLATELET,
            value=float(patient.now if number == tests - 1 else value),
            unit="10⁹/L",
            taken_on=today - timedelta(days=round(30 * patient.months * (1 - share)) + 2),
            source="demo",
            cause=f"demo:{person.id}:{number}",
        )
        observation.typed_sealed = key.seal(str(value), "observation", "typed", observation.id)
        session.add(observation)
    for name in patient.medicines:
        session.add(
            Medicine(
                person_id=person.id,
                name=name,
                since=today - timedelta(days=25 * patient.months),
                source="demo",
                cause="demo",
                recorded_at=now,
            )
        )
    await session.flush()
    if patient.question is not None:
        told = Told(patient.question, now - timedelta(minutes=dice.randrange(10, 90)))
        await ask(
            session,
            account,
            person,
            [told],
            level=Level.ROUTINE,
            reason="患者提问，需要医生答复",
            cause=f"demo:{person.id}:question",
        )
