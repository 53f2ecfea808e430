"""The record: one guarded way in, what a patient told once for each cause, nothing that can mean two things."""

from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.care import records
from bot.care.consultations import answering
from bot.care.consultations.ladder import LAST_RUNG
from bot.care.consultations.states import Outcome
from bot.care.patients import Person
from bot.care.records import Forbidden, Kind, Medicine
from bot.care.roster import Part, Role, Staff
from bot.language.counts import read_counts
from bot.store.audit import AuditEntry
from bot.store.database import vault_of

TODAY = date(2026, 3, 4)


@pytest.fixture
async def clinic(ward: Ward, now: datetime) -> SimpleNamespace:
    one, two, platform = (
        await ward.hospital("江南一院"),
        await ward.hospital("市二院", 2),
        await ward.hospital("平台", 0),
    )
    account, lin = await ward.patient(one, "林晓雨", born_on=date(1990, 1, 1))
    return SimpleNamespace(
        one=one,
        two=two,
        platform=platform,
        account=account,
        lin=lin,
        li=await ward.staff("李慧", one, part=Part.DUTY),
        other=await ward.staff("赵敏", two, part=Part.DUTY),
        zhou=await ward.staff("周平", platform, part=Part.DUTY),
    )


async def opened(session: AsyncSession, actor: Staff, person: Person) -> bool:
    try:
        await records.open_record(session, actor=actor, person_id=person.id, why="看问题")
    except Forbidden:
        return False
    return True


# -- the guarded way in -----------------------------------------------------------------------------------------------


async def test_a_doctor_opens_the_record_of_a_patient_of_the_hospital_and_that_is_written_down(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await records.record_counts(session, clinic.lin, "今天血小板2.3万", cause="m1")
    record = await records.open_record(
        session, actor=clinic.li, person_id=clinic.lin.id, why="看问题", consultation="1001"
    )
    assert (record.name, record.age) == ("林晓雨", 36)
    assert [(count.value, count.taken_on) for count in record.counts] == [(23.0, TODAY)]
    await session.flush()
    entry = (await session.scalars(select(AuditEntry).where(AuditEntry.act == "record_opened"))).one()
    assert (entry.actor_id, entry.subject_id) == (clinic.li.id, clinic.lin.id)
    assert entry.details == {"why": "看问题", "consultation": "1001"}


async def test_a_doctor_of_another_hospital_is_refused_and_that_is_written_down_too(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    with pytest.raises(Forbidden, match="没有查看"):
        await records.open_record(session, actor=clinic.other, person_id=clinic.lin.id, why="好奇")
    assert await ward.acts(clinic.lin.id) == ["record_refused"]


async def test_holding_the_question_opens_the_record_to_another_hospitals_doctor(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.lin, "要不要加量")).consultation
    assert not await opened(session, clinic.other, clinic.lin)
    await answering.claim(session, consultation_id=question.id, doctor=clinic.other)
    assert await opened(session, clinic.other, clinic.lin)
    await answering.release(session, consultation_id=question.id, doctor=clinic.other)
    assert not await opened(session, clinic.other, clinic.lin)


async def test_the_platforms_doctors_see_whose_question_reached_them(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.lin, "要不要加量")).consultation
    assert not await opened(session, clinic.zhou, clinic.lin)
    question.rung = LAST_RUNG
    await session.flush()
    assert await opened(session, clinic.zhou, clinic.lin)
    assert not await opened(session, clinic.other, clinic.lin)


async def test_the_platforms_doctors_see_patients_without_a_hospital_who_asked(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    account, person = await ward.patient()
    assert not await opened(session, clinic.zhou, person)
    await ward.asks(account, person, "要不要加量")
    assert await opened(session, clinic.zhou, person)


@pytest.mark.parametrize("role", [Role.CDC_EDITOR, Role.ADMINISTRATOR, Role.MODERATOR, Role.CLINICAL_REVIEWER])
async def test_who_does_not_treat_sees_no_record(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, role: Role
) -> None:
    assert not await opened(session, await ward.staff("何静", clinic.one, role), clinic.lin)


async def test_a_nurse_of_the_hospital_sees_the_record(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    assert await opened(session, await ward.staff("吴敏", clinic.one, Role.NURSE), clinic.lin)


async def test_who_left_sees_nothing_any_more(session: AsyncSession, clinic: SimpleNamespace) -> None:
    clinic.li.active = False
    assert not await opened(session, clinic.li, clinic.lin)


async def test_the_record_shows_what_is_taken_now(ward: Ward, session: AsyncSession, clinic: SimpleNamespace) -> None:
    for name, until in (("泼尼松", TODAY - timedelta(days=1)), ("艾曲泊帕", None), ("达那唑", TODAY)):
        session.add(
            Medicine(
                person_id=clinic.lin.id,
                name=name,
                since=TODAY - timedelta(days=90),
                until=until,
                source="test",
                cause="test",
                recorded_at=datetime(2026, 3, 1).astimezone(),
            )
        )
    await session.flush()
    record = await records.open_record(session, actor=clinic.li, person_id=clinic.lin.id, why="看问题")
    assert {medicine.name for medicine in record.medicines} == {"艾曲泊帕", "达那唑"}


# -- what is recorded -------------------------------------------------------------------------------------------------


async def test_counts_of_one_message_are_recorded_once(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    for _ in range(3):
        rows = await records.record_counts(session, clinic.lin, "今天血小板2.3万", cause="message:1")
        assert [row.value for row in rows] == [23.0]
    assert len(await ward.observations(clinic.lin)) == 1
    await records.record_counts(session, clinic.lin, "今天血小板2.3万", cause="message:2")
    assert len(await ward.observations(clinic.lin)) == 2


async def test_one_count_named_in_both_notations_is_one(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await records.record_counts(session, clinic.lin, "血小板 23 ×10⁹/L（2.3万）", cause="m")
    assert [row.value for row in await ward.observations(clinic.lin)] == [23.0]


async def test_two_days_in_one_message_are_two_counts(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await records.record_counts(session, clinic.lin, "昨天血小板56，今天血小板38", cause="m")
    assert [(row.value, row.taken_on) for row in await ward.observations(clinic.lin)] == [
        (56.0, TODAY - timedelta(days=1)),
        (38.0, TODAY),
    ]


@pytest.mark.parametrize(
    "text", ["血小板3", "血小板1.5", "血小板20-30", "目标是血小板50以上", "今天天气不错", "血红蛋白110", ""]
)
async def test_nothing_ambiguous_meant_or_foreign_is_stored(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, text: str
) -> None:
    assert await records.record_counts(session, clinic.lin, text, cause="m") == []
    assert await ward.observations(clinic.lin) == []


async def test_the_typed_words_are_sealed_under_the_persons_key(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    [row] = await records.record_counts(session, clinic.lin, "今天血小板2.3万", cause="m")
    assert row.typed_sealed is not None
    assert b"2.3" not in row.typed_sealed
    key = clinic.lin.key(vault_of(session))
    assert "2.3" in key.unseal(row.typed_sealed, "observation", "typed", row.id)
    assert (row.unit, row.source, row.kind) == ("10⁹/L", "patient_chat", Kind.PLATELET)


async def test_about_is_kept_as_about(ward: Ward, session: AsyncSession, clinic: SimpleNamespace) -> None:
    await records.record_counts(session, clinic.lin, "今天血小板两万左右", cause="m")
    [count] = await records.counts(session, clinic.lin.id)
    assert count.approximate
    assert count.value == 20.0


async def test_bleeding_is_recorded_once_for_a_cause(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    for _ in range(2):
        await records.record_bleeding(
            session, clinic.lin, code="mucosa", typed="牙龈出血", cause="c", source="checkin:day_1"
        )
    [row] = await ward.observations(clinic.lin)
    assert (row.kind, row.code, row.value) == (Kind.BLEEDING, "mucosa", None)


async def test_a_wrong_count_is_marked_never_changed_and_no_longer_counts(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    [wrong] = await records.record_counts(session, clinic.lin, "今天血小板32", cause="m1")
    [right] = await records.record_counts(session, clinic.lin, "今天血小板82", cause="m2")
    await records.withdraw(session, wrong, replaced_by=right)
    await session.flush()
    assert [row.value for row in await ward.observations(clinic.lin)] == [32.0, 82.0]
    assert wrong.replaced_by == right.id
    assert [count.value for count in await records.counts(session, clinic.lin.id)] == [82.0]
    assert await records.last_told(session, clinic.lin) is right
    record = await records.open_record(session, actor=clinic.li, person_id=clinic.lin.id, why="看问题")
    assert [count.value for count in record.counts] == [82.0]


async def test_counts_come_in_the_order_of_their_days(session: AsyncSession, clinic: SimpleNamespace) -> None:
    for text in ("今天血小板38", "3月1日血小板52", "昨天血小板47"):
        await records.record_counts(session, clinic.lin, text, cause=text)
    assert [count.value for count in await records.counts(session, clinic.lin.id)] == [52.0, 47.0, 38.0]
    since = await records.counts(session, clinic.lin.id, since=date(2026, 3, 2))
    assert [count.value for count in since] == [47.0, 38.0]


async def test_a_count_that_stands_already_is_known(session: AsyncSession, clinic: SimpleNamespace) -> None:
    [row] = await records.record_counts(session, clinic.lin, "今天血小板18", cause="m1")
    [same] = read_counts("今天血小板18", today=TODAY)
    [other] = read_counts("昨天血小板18", today=TODAY)
    assert await records.told_already(session, clinic.lin, same)
    assert not await records.told_already(session, clinic.lin, other)
    await records.withdraw(session, row, replaced_by=None)
    await session.flush()
    assert not await records.told_already(session, clinic.lin, same)


async def test_one_persons_counts_are_not_anothers(ward: Ward, session: AsyncSession, clinic: SimpleNamespace) -> None:
    _, other = await ward.patient(clinic.one)
    await records.record_counts(session, other, "今天血小板9", cause="m")
    assert await records.counts(session, clinic.lin.id) == []
    assert await records.last_told(session, clinic.lin) is None


async def test_closing_does_not_open_a_record_to_the_curious(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.lin, "要不要加量")).consultation
    await answering.close(session, consultation_id=question.id, doctor=clinic.li, outcome=Outcome.ADVISED)
    assert not await opened(session, clinic.other, clinic.lin)
