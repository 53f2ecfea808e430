"""What doctors do: claim, answer, note, give back, close; and that a colleague is never run over."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.answering import IDLE_RETURNS_AFTER, MAX_ANSWER, AlreadyClaimed, AnsweredMeanwhile, Refused
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind, thread
from bot.care.consultations.states import Level, NotPossible, Outcome, Stage
from bot.care.roster import Part, Role
from bot.outbox.rows import Kind, Outbox
from bot.store.accounts import Holder
from bot.store.audit import AuditEntry
from bot.store.database import Database


@pytest.fixture
async def clinic(ward: Ward, now: datetime) -> SimpleNamespace:
    hospital = await ward.hospital("江南一院")
    account, person = await ward.patient(hospital)
    duty = await ward.staff("李慧", hospital, part=Part.DUTY)
    backup = await ward.staff("王强", hospital, part=Part.BACKUP)
    nurse = await ward.staff("吴敏", hospital, Role.NURSE)
    question = (await ward.asks(account, person, "要不要加量")).consultation
    return SimpleNamespace(
        hospital=hospital,
        account=account,
        person=person,
        duty=duty,
        backup=backup,
        nurse=nurse,
        question=question,
        id=question.id,
    )


# -- claiming ---------------------------------------------------------------------------------------------------------


async def test_claiming_puts_the_conversation_into_the_doctors_hands_and_tells_the_patient(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    assert (clinic.question.stage, clinic.question.holder_id) == (Stage.CLAIMED, clinic.duty.id)
    assert (clinic.account.holder, clinic.account.holder_consultation_id) == (Holder.DOCTOR, clinic.id)
    [told] = await ward.owed(clinic.account, Kind.NOTICE)
    assert told.startswith("李慧医生·江南一院正在看您的问题")
    assert await ward.acts(clinic.id) == ["consultation_claimed"]


async def test_claiming_what_one_holds_changes_nothing(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    for _ in range(2):
        await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    assert len(await ward.owed(clinic.account, Kind.NOTICE)) == 1
    assert await ward.acts(clinic.id) == ["consultation_claimed"]


async def test_the_second_doctor_reads_who_was_first_and_since_when(
    session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    with pytest.raises(AlreadyClaimed, match="李慧医生已在10:00认领"):
        await answering.claim(session, consultation_id=clinic.id, doctor=clinic.backup)
    assert clinic.question.holder_id == clinic.duty.id


async def test_only_doctors_claim(session: AsyncSession, clinic: SimpleNamespace) -> None:
    with pytest.raises(Refused, match="只有医生"):
        await answering.claim(session, consultation_id=clinic.id, doctor=clinic.nurse)
    assert clinic.question.stage is Stage.QUEUED


async def test_what_is_over_cannot_be_claimed(session: AsyncSession, clinic: SimpleNamespace) -> None:
    await answering.close(session, consultation_id=clinic.id, doctor=clinic.duty, outcome=Outcome.ADVISED)
    with pytest.raises(Refused, match="已经结束"):
        await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)


async def test_of_two_doctors_at_once_exactly_one_gets_it_every_time(database: Database, now: datetime) -> None:
    async with database.transaction() as session:
        ward = Ward(session)
        hospital = await ward.hospital("江南一院")
        doctors = [await ward.staff(name, hospital, part=Part.DUTY) for name in ("李慧", "王强")]
        questions = [
            (await ward.asks(*(await ward.patient(hospital)), "要不要加量")).consultation.id for _ in range(50)
        ]

    async def claims(doctor: object, consultation_id: uuid.UUID) -> bool:
        try:
            async with database.transaction() as session:
                await answering.claim(session, consultation_id=consultation_id, doctor=doctor)  # type: ignore[arg-type]
        except AlreadyClaimed:
            return False
        return True

    for number, consultation_id in enumerate(questions):
        # Who asks first alternates, so that neither wins by habit.
        both = doctors if number % 2 else doctors[::-1]
        won = await asyncio.gather(*(claims(doctor, consultation_id) for doctor in both))
        assert sorted(won) == [False, True]
        async with database.reading() as session:
            row = await session.get_one(Consultation, consultation_id)
            assert row.holder_id == both[won.index(True)].id
            claimed = select(func.count()).where(
                AuditEntry.subject_id == consultation_id, AuditEntry.act == "consultation_claimed"
            )
            assert await session.scalar(claimed) == 1


# -- answering --------------------------------------------------------------------------------------------------------


async def test_an_answer_reaches_the_patient_with_name_and_hospital(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text=" 先不加量。 ", key="form-1")
    assert clinic.question.stage is Stage.ANSWERED
    assert await ward.owed(clinic.account, Kind.DOCTOR_ANSWER) == ["【李慧医生·江南一院】\n先不加量。"]
    assert await ward.words(clinic.question, "doctor") == ["先不加量。"]
    assert await ward.acts(clinic.id) == ["consultation_claimed", "consultation_answered"]
    row = (await session.scalars(select(Outbox).where(Outbox.kind == Kind.DOCTOR_ANSWER))).one()
    [entry] = [entry for entry in await thread(session, clinic.question) if entry.kind is EntryKind.DOCTOR]
    assert entry.outbox_id == row.id, "the page can show what became of it"


async def test_the_same_form_sent_twice_answers_once(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    first = await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key="form-1")
    again = await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key="form-1")
    assert again.id == first.id
    assert len(await ward.owed(clinic.account, Kind.DOCTOR_ANSWER)) == 1
    await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="周五复查", key="form-2")
    assert len(await ward.owed(clinic.account, Kind.DOCTOR_ANSWER)) == 2


async def test_two_browsers_sending_one_form_at_once_answer_once(database: Database, now: datetime) -> None:
    async with database.transaction() as session:
        ward = Ward(session)
        hospital = await ward.hospital("江南一院")
        doctor = await ward.staff("李慧", hospital, part=Part.DUTY)
        consultation_id = (await ward.asks(*(await ward.patient(hospital)), "要不要加量")).consultation.id

    async def sends() -> None:
        async with database.transaction() as session:
            await answering.answer(session, consultation_id=consultation_id, doctor=doctor, text="先不加", key="form-1")

    await asyncio.gather(sends(), sends(), sends())
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).where(Outbox.kind == Kind.DOCTOR_ANSWER)) == 1
        entries = select(func.count()).where(ConsultationEntry.kind == EntryKind.DOCTOR)
        assert await session.scalar(entries) == 1


async def test_an_answer_is_refused_when_a_colleague_holds_the_question(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    with pytest.raises(AlreadyClaimed, match="没有发出"):
        await answering.answer(session, consultation_id=clinic.id, doctor=clinic.backup, text="加一片", key="k")
    assert await ward.owed(clinic.account, Kind.DOCTOR_ANSWER) == []


async def test_an_answer_is_refused_when_a_colleague_wrote_meanwhile(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    seen = (await thread(session, clinic.question))[-1].id
    await answering.answer(session, consultation_id=clinic.id, doctor=clinic.backup, text="先不加", key="theirs")
    await answering.release(session, consultation_id=clinic.id, doctor=clinic.backup)
    with pytest.raises(AnsweredMeanwhile, match="您的内容还在下面"):
        await answering.answer(
            session, consultation_id=clinic.id, doctor=clinic.duty, text="加一片", key="mine", seen_entry=seen
        )
    now_seen = (await thread(session, clinic.question))[-1].id
    await answering.answer(
        session, consultation_id=clinic.id, doctor=clinic.duty, text="我也同意", key="mine-2", seen_entry=now_seen
    )
    assert len(await ward.owed(clinic.account, Kind.DOCTOR_ANSWER)) == 2


async def test_ones_own_earlier_answer_is_no_colleague(session: AsyncSession, clinic: SimpleNamespace) -> None:
    seen = (await thread(session, clinic.question))[-1].id
    for key in ("a", "b"):
        await answering.answer(
            session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key=key, seen_entry=seen
        )


@pytest.mark.parametrize("text", ["", "  \n ", "长" * (MAX_ANSWER + 1)])
async def test_an_empty_or_endless_answer_is_refused(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, text: str
) -> None:
    with pytest.raises(Refused):
        await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text=text, key="k")
    assert clinic.question.stage is Stage.QUEUED
    assert await ward.owed(clinic.account) == []


async def test_what_is_over_takes_no_answer(session: AsyncSession, clinic: SimpleNamespace) -> None:
    await answering.close(session, consultation_id=clinic.id, doctor=clinic.duty, outcome=Outcome.ADVISED)
    with pytest.raises(Refused, match="没有发出"):
        await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key="k")


async def test_a_nurse_does_not_answer_patients(session: AsyncSession, clinic: SimpleNamespace) -> None:
    with pytest.raises(Refused, match="只有医生"):
        await answering.answer(session, consultation_id=clinic.id, doctor=clinic.nurse, text="先不加", key="k")


async def test_a_note_stays_among_staff(ward: Ward, session: AsyncSession, clinic: SimpleNamespace) -> None:
    for key in ("n1", "n1", "n2"):
        await answering.note(session, consultation_id=clinic.id, doctor=clinic.nurse, text="已电话联系", key=key)
    await answering.note(session, consultation_id=clinic.id, doctor=clinic.nurse, text="   ", key="n3")
    assert await ward.words(clinic.question, "note") == ["已电话联系", "已电话联系"]
    assert await ward.owed(clinic.account) == []


# -- giving back and closing ------------------------------------------------------------------------------------------


async def test_giving_back_asks_the_next_rung_and_the_patient_is_told_and_kept_from_the_assistant(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    await answering.release(session, consultation_id=clinic.id, doctor=clinic.duty)
    assert (clinic.question.stage, clinic.question.rung, clinic.question.holder_id) == (Stage.QUEUED, 1, None)
    assert len(await ward.alerts(clinic.backup)) == 1
    assert (await ward.owed(clinic.account, Kind.NOTICE))[-1].startswith("李慧医生已把您的问题转给王医生")
    assert clinic.account.holder is Holder.DOCTOR, "the question is still the doctors'"
    assert (await ward.acts(clinic.id))[-1] == "consultation_released"


async def test_only_who_holds_it_gives_it_back(session: AsyncSession, clinic: SimpleNamespace) -> None:
    with pytest.raises(Refused, match="不在您手里"):
        await answering.release(session, consultation_id=clinic.id, doctor=clinic.duty)
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    with pytest.raises(Refused, match="不在您手里"):
        await answering.release(session, consultation_id=clinic.id, doctor=clinic.backup)


async def test_giving_back_with_nobody_left_says_where_to_go(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    clinic.backup.active = False
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    await answering.release(session, consultation_id=clinic.id, doctor=clinic.duty)
    assert clinic.question.nobody_on_duty
    assert "现在没有值班医生" in (await ward.owed(clinic.account, Kind.NOTICE))[-1]


async def test_closing_returns_the_conversation_to_the_assistant_and_says_so(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    await answering.close(session, consultation_id=clinic.id, doctor=clinic.duty, outcome=Outcome.COME_TO_CLINIC)
    assert (clinic.question.stage, clinic.question.outcome) == (Stage.CLOSED, Outcome.COME_TO_CLINIC)
    assert (clinic.account.holder, clinic.account.holder_consultation_id) == (Holder.ASSISTANT, None)
    assert "由智能助手继续陪您" in (await ward.owed(clinic.account, Kind.NOTICE))[-1]
    assert (await ward.acts(clinic.id))[-1] == "consultation_closed"
    with pytest.raises(NotPossible):
        await answering.close(session, consultation_id=clinic.id, doctor=clinic.duty, outcome=Outcome.ADVISED)


async def test_closing_what_a_colleague_holds_is_refused(session: AsyncSession, clinic: SimpleNamespace) -> None:
    await answering.claim(session, consultation_id=clinic.id, doctor=clinic.duty)
    with pytest.raises(AlreadyClaimed):
        await answering.close(session, consultation_id=clinic.id, doctor=clinic.backup, outcome=Outcome.ADVISED)
    assert clinic.account.holder is Holder.DOCTOR


async def test_a_day_after_the_last_word_the_assistant_is_back_and_it_is_audited(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key="k")
    at(clock.now() + IDLE_RETURNS_AFTER - timedelta(minutes=1))
    assert await answering.return_idle(session, clock.now()) == 0
    at(clock.now() + timedelta(minutes=2))
    assert await answering.return_idle(session, clock.now()) == 1
    assert clinic.account.holder is Holder.ASSISTANT
    assert "由智能助手继续陪您" in (await ward.owed(clinic.account, Kind.NOTICE))[-1]
    closed = select(AuditEntry).where(AuditEntry.subject_id == clinic.id, AuditEntry.act == "consultation_closed")
    entry = (await session.scalars(closed)).one()
    assert (entry.actor_kind, entry.actor_id) == ("system", None)


async def test_a_question_that_still_waits_for_a_doctor_is_never_idle(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    await answering.answer(session, consultation_id=clinic.id, doctor=clinic.duty, text="先不加", key="k")
    await ward.asks(clinic.account, clinic.person, "那周五再查？")
    at(clock.now() + timedelta(days=2))
    assert await answering.return_idle(session, clock.now()) == 0
    assert clinic.question.stage is Stage.CLAIMED


async def test_closing_one_question_leaves_the_alarm_of_another_account_alone(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    account, person = await ward.patient(clinic.hospital)
    other = (await ward.asks(account, person, "吐血了", level=Level.EMERGENCY)).consultation
    account.holder, account.holder_consultation_id = Holder.ALARM, other.id
    await answering.close(session, consultation_id=clinic.id, doctor=clinic.duty, outcome=Outcome.ADVISED)
    assert account.holder is Holder.ALARM
