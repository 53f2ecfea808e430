"""Who is asked, in which order, how long they have, and what the patient is told when a question moves on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.ladder import answer_by, ask_from, move_on_due, moves_at, who_is_asked, within
from bot.care.consultations.states import Level, Stage
from bot.care.roster import Part, Role
from bot.outbox.rows import Kind
from bot.store.accounts import Account, Holder

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def clinic(ward: Ward, now: datetime) -> SimpleNamespace:
    """A hospital with every rung taken, the platform behind it, and a patient of the hospital."""
    hospital, platform = await ward.hospital("江南一院"), await ward.hospital("平台", 0)
    account, person = await ward.patient(hospital)
    return SimpleNamespace(
        hospital=hospital,
        platform=platform,
        account=account,
        person=person,
        duty=await ward.staff("李慧", hospital, part=Part.DUTY),
        backup=await ward.staff("王强", hospital, part=Part.BACKUP),
        lead=await ward.staff("陈立", hospital, Role.LEAD_DOCTOR),
        platform_duty=await ward.staff("周平", platform, part=Part.DUTY),
        administrator=await ward.staff("郑和", platform, Role.ADMINISTRATOR),
    )


async def tick(session: AsyncSession, after: timedelta, at: Callable[[datetime], datetime]) -> int:
    at(clock.now() + after)
    return await move_on_due(session, clock.now())


async def test_the_doctor_on_duty_is_asked_first_and_alone(ward: Ward, clinic: SimpleNamespace) -> None:
    receipt = await ward.asks(clinic.account, clinic.person, "要不要加量")
    assert (receipt.opened, receipt.who, receipt.consultation.rung) == (True, "值班的李医生", 0)
    assert len(await ward.alerts(clinic.duty)) == 1
    for other in (clinic.backup, clinic.lead, clinic.platform_duty, clinic.administrator):
        assert await ward.alerts(other) == []


async def test_a_patients_own_doctor_is_asked_when_on_duty(ward: Ward, clinic: SimpleNamespace) -> None:
    own = await ward.staff("赵敏", clinic.hospital, part=Part.DUTY)
    clinic.person.doctor_id = own.id
    receipt = await ward.asks(clinic.account, clinic.person, "要不要加量")
    assert receipt.who == "值班的赵医生"
    assert await ward.alerts(clinic.duty) == []


async def test_a_patients_own_doctor_is_left_alone_when_off_duty(ward: Ward, clinic: SimpleNamespace) -> None:
    clinic.person.doctor_id = (await ward.staff("赵敏", clinic.hospital)).id
    assert (await ward.asks(clinic.account, clinic.person, "要不要加量")).who == "值班的李医生"


async def test_without_a_hospital_the_platforms_duty_is_asked(ward: Ward, clinic: SimpleNamespace) -> None:
    account, person = await ward.patient()
    receipt = await ward.asks(account, person, "要不要加量")
    assert receipt.who == "值班的周医生"
    assert len(await ward.alerts(clinic.platform_duty)) == 1


async def test_a_question_climbs_every_rung_and_each_is_alerted_in_its_turn(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "牙龈出血", level=Level.URGENT)).consultation
    for rung, member in ((1, clinic.backup), (2, clinic.lead), (3, clinic.platform_duty)):
        assert await tick(session, 29 * MINUTE, at) == 0
        assert await ward.alerts(member) == []
        assert await tick(session, 2 * MINUTE, at) == 1
        assert question.rung == rung
        assert len(await ward.alerts(member)) == 1
    assert question.moves_at is None, "after the last rung it stays where the platform sees it"
    told = await ward.owed(clinic.account, Kind.NOTICE)
    assert [text[: text.index("，")] for text in told] == [
        "您的问题已转给王医生",
        "您的问题已转给陈医生",
        "您的问题已转给周医生",
    ]
    assert all("2小时内" in text for text in told)


async def test_a_rung_without_anybody_is_passed_over_at_once(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    clinic.backup.active = clinic.lead.active = False
    await session.flush()
    question = (await ward.asks(clinic.account, clinic.person, "牙龈出血", level=Level.URGENT)).consultation
    await tick(session, 31 * MINUTE, at)
    assert question.rung == 3
    assert len(await ward.alerts(clinic.platform_duty)) == 1


async def test_with_nobody_on_duty_leads_and_administrators_are_alerted_and_the_patient_is_told_so(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    clinic.duty.paused_until = clinic.backup.paused_until = clock.now() + timedelta(hours=1)
    clinic.platform_duty.active = False
    clinic.lead.active = False
    await session.flush()
    receipt = await ward.asks(clinic.account, clinic.person, "牙龈出血", level=Level.URGENT)
    assert receipt.nobody_on_duty
    assert receipt.who == "负责人"
    assert receipt.consultation.nobody_on_duty
    assert len(await ward.alerts(clinic.administrator)) == 1


async def test_a_lead_hears_of_an_empty_duty_beside_the_administrator(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    for member in (clinic.duty, clinic.backup, clinic.platform_duty):
        member.active = False
    await session.flush()
    receipt = await ward.asks(clinic.account, clinic.person, "牙龈出血", level=Level.URGENT)
    # The lead is a rung of its own: asked by name, not merely told.
    assert receipt.who == "值班的陈医生"
    assert not receipt.nobody_on_duty
    assert len(await ward.alerts(clinic.lead)) == 1


async def test_when_the_last_one_leaves_the_patient_hears_where_to_go(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "牙龈出血", level=Level.URGENT)).consultation
    clinic.backup.active = clinic.lead.active = clinic.platform_duty.active = False
    await session.flush()
    await tick(session, 31 * MINUTE, at)
    assert question.nobody_on_duty
    assert len(await ward.alerts(clinic.administrator)) == 1
    [told] = await ward.owed(clinic.account, Kind.NOTICE)
    assert "现在没有值班医生" in told
    assert "120" in told


async def test_staff_without_a_phone_are_rung_through_the_gateway(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    clinic.duty.account_id = None
    await session.flush()
    await ward.asks(clinic.account, clinic.person, "要不要加量")
    assert await ward.calls(clinic.duty) == 1


async def test_an_emergency_rings_phone_and_gateway_and_rings_on(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)).consultation
    assert (len(await ward.alerts(clinic.duty)), await ward.calls(clinic.duty)) == (1, 1)
    for minutes, member in ((3, clinic.backup), (3, clinic.lead), (4, clinic.platform_duty)):
        assert await tick(session, minutes * MINUTE, at) == 1
        assert (len(await ward.alerts(member)), await ward.calls(member)) == (1, 1)
    for rings in (2, 3, 4):
        assert await tick(session, 5 * MINUTE, at) == 1
        assert await ward.calls(clinic.platform_duty) == rings
    await answering.claim(session, consultation_id=question.id, doctor=clinic.platform_duty)
    assert await tick(session, timedelta(hours=1), at) == 0, "acknowledged: it rings no more"


async def test_an_emergency_that_moves_on_does_not_soothe_the_patient_with_a_name(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)
    await tick(session, 4 * MINUTE, at)
    assert await ward.owed(clinic.account, Kind.NOTICE) == []


async def test_a_claimed_question_does_not_move(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "要不要加量")).consultation
    await answering.claim(session, consultation_id=question.id, doctor=clinic.duty)
    assert await tick(session, timedelta(days=3), at) == 0
    assert question.stage is Stage.CLAIMED


async def test_each_ring_alerts_once_however_often_it_is_asked_for(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)).consultation
    for _ in range(3):
        await ask_from(session, question, 0, question.level_at)
    assert len(await ward.alerts(clinic.duty)) == 1


async def test_alerts_name_level_reason_and_number_and_no_word_of_the_patient(
    ward: Ward, clinic: SimpleNamespace
) -> None:
    receipt = await ward.asks(clinic.account, clinic.person, "要不要加量", level=Level.URGENT)
    duty_account = await ward.session.get_one(Account, clinic.duty.account_id)
    [text] = await ward.owed(duty_account)
    assert text.startswith("【当天】")
    assert str(receipt.consultation.number) in text
    assert "用药问题" in text
    assert "要不要加量" not in text


async def test_a_doctors_patient_is_not_told_of_moves(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await ward.asks(clinic.account, clinic.person, "要不要加量")
    clinic.account.holder = Holder.DOCTOR
    await tick(session, timedelta(hours=25), at)
    assert await ward.owed(clinic.account, Kind.NOTICE) == []


NOON = datetime(2026, 3, 4, 12, tzinfo=clock.SHANGHAI)


@pytest.mark.parametrize(
    ("level", "rung", "asked_after", "moves_after"),
    [
        (Level.EMERGENCY, 0, 0, 3),
        (Level.EMERGENCY, 1, 3, 6),
        (Level.EMERGENCY, 2, 6, 10),
        (Level.EMERGENCY, 3, 10, 15),
        (Level.EMERGENCY, 3, 60, 65),
        # A rung reached late (the service was away) has a minute all the same.
        (Level.EMERGENCY, 1, 30, 31),
        (Level.URGENT, 0, 0, 30),
        (Level.URGENT, 2, 60, 90),
        (Level.URGENT, 3, 90, None),
        (Level.ROUTINE, 0, 0, 24 * 60),
        (Level.ROUTINE, 3, 0, None),
    ],
)
def test_each_level_has_its_own_times(level: Level, rung: int, asked_after: int, moves_after: int | None) -> None:
    expected = NOON + timedelta(minutes=moves_after) if moves_after is not None else None
    assert moves_at(level, rung, NOON, NOON + timedelta(minutes=asked_after)) == expected


@pytest.mark.parametrize(
    ("level", "day", "hour", "words"),
    [
        (Level.EMERGENCY, 4, 10, "几分钟内"),
        (Level.URGENT, 4, 10, "2小时内"),
        (Level.URGENT, 4, 8, "2小时内"),
        (Level.URGENT, 4, 7, "4小时内"),
        (Level.URGENT, 4, 18, "4小时内"),
        (Level.URGENT, 7, 10, "4小时内"),
        # Wednesday, Thursday, Friday, Saturday: two working days on.
        (Level.ROUTINE, 4, 10, "两个工作日内（3月6日前）"),
        (Level.ROUTINE, 5, 23, "两个工作日内（3月9日前）"),
        (Level.ROUTINE, 6, 10, "两个工作日内（3月10日前）"),
        (Level.ROUTINE, 7, 10, "两个工作日内（3月10日前）"),
    ],
)
def test_the_promise_in_words_keeps_what_is_due(level: Level, day: int, hour: int, words: str) -> None:
    moment = datetime(2026, 3, day, hour, tzinfo=clock.SHANGHAI).astimezone(UTC)
    assert within(level, moment) == words
    assert answer_by(level, moment) > moment
    assert answer_by(level, moment).utcoffset() == timedelta()


def test_the_patient_reads_who_is_asked() -> None:
    from bot.care.consultations.ladder import Asked

    assert who_is_asked(Asked(0, ())) == "负责人"
