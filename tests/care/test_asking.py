"""What patients do with a question: ask, go on writing, make it more urgent, ask again later."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.asking import REOPENS_WITHIN, Told, alarm, ask
from bot.care.consultations.states import Level, Outcome, Stage
from bot.care.roster import Part
from bot.store.accounts import Holder


@pytest.fixture
async def clinic(ward: Ward, now: datetime) -> SimpleNamespace:
    hospital = await ward.hospital("江南一院")
    account, person = await ward.patient(hospital)
    duty = await ward.staff("李慧", hospital, part=Part.DUTY)
    return SimpleNamespace(hospital=hospital, account=account, person=person, duty=duty)


async def test_a_question_is_queued_with_its_words_its_hospital_and_its_time(
    ward: Ward, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "要不要加量", "吃了两周")).consultation
    assert (question.stage, question.level) == (Stage.QUEUED, Level.ROUTINE)
    assert (question.person_id, question.hospital_id) == (clinic.person.id, clinic.hospital.id)
    assert await ward.words(question, "patient") == ["要不要加量", "吃了两周"]
    assert question.answer_by is not None
    assert question.answer_by > question.opened_at


async def test_what_comes_later_joins_the_open_question(ward: Ward, clinic: SimpleNamespace) -> None:
    first = await ward.asks(clinic.account, clinic.person, "要不要加量")
    second = await ward.asks(clinic.account, clinic.person, "还有点头晕")
    assert second.consultation is first.consultation
    assert (first.opened, second.opened) == (True, False)
    assert await ward.words(first.consultation, "patient") == ["要不要加量", "还有点头晕"]
    assert len(await ward.alerts(clinic.duty)) == 1, "joining rings nobody again"


async def test_the_same_cause_asks_once(ward: Ward, session: AsyncSession, clinic: SimpleNamespace) -> None:
    cause = f"message:{uuid.uuid4()}"
    for _ in range(3):
        receipt = await ward.asks(clinic.account, clinic.person, "要不要加量", cause=cause)
    assert await ward.words(receipt.consultation, "patient") == ["要不要加量"]
    assert len(await ward.consultations(clinic.account)) == 1
    assert len(await ward.alerts(clinic.duty)) == 1


async def test_a_message_has_one_place_in_the_thread_whatever_leads_there(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    told = Told("要不要加量", clock.now(), uuid.uuid4())
    for cause in ("triage", "assistant"):
        receipt = await ask(
            session, clinic.account, clinic.person, [told], level=Level.ROUTINE, reason="用药问题", cause=cause
        )
    assert await ward.words(receipt.consultation, "patient") == ["要不要加量"]


async def test_something_graver_raises_the_open_question_and_asks_anew(ward: Ward, clinic: SimpleNamespace) -> None:
    first = await ward.asks(clinic.account, clinic.person, "要不要加量")
    due = first.consultation.answer_by
    await ward.asks(clinic.account, clinic.person, "牙龈一直出血", level=Level.URGENT)
    assert first.consultation.level is Level.URGENT
    assert first.consultation.answer_by < due
    assert [row.urgent for row in await ward.alerts(clinic.duty)] == [False, False]
    assert first.consultation.moves_at == pytest.approx(clock.now() + timedelta(minutes=30), abs=timedelta(seconds=5))


async def test_something_milder_lowers_nothing(ward: Ward, clinic: SimpleNamespace) -> None:
    first = await ward.asks(clinic.account, clinic.person, "牙龈一直出血", level=Level.URGENT)
    await ward.asks(clinic.account, clinic.person, "谢谢")
    assert first.consultation.level is Level.URGENT
    assert first.consultation.reason == "用药问题"


async def test_an_emergency_while_a_doctor_holds_alerts_that_doctor(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "要不要加量")).consultation
    colleague = await ward.staff("王强", clinic.hospital)
    await answering.claim(session, consultation_id=question.id, doctor=colleague)
    await ward.asks(clinic.account, clinic.person, "头疼得厉害，吐了", level=Level.EMERGENCY)
    assert (question.stage, question.level, question.holder_id) == (Stage.CLAIMED, Level.EMERGENCY, colleague.id)
    assert [row.urgent for row in await ward.alerts(colleague)] == [True]
    assert await ward.calls(colleague) == 1


async def test_a_second_emergency_flag_alerts_the_holder_again(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)).consultation
    await answering.claim(session, consultation_id=question.id, doctor=clinic.duty)
    at(clock.now() + timedelta(minutes=2))
    told = [Told("又晕过去了", clock.now())]
    await ask(
        session, clinic.account, clinic.person, told, level=Level.EMERGENCY, reason="晕厥", cause="again", flags=["F1"]
    )
    assert len(await ward.alerts(clinic.duty)) == 2
    assert "F1" in question.flags


async def test_within_three_days_a_closed_question_is_opened_again_for_whoever_is_on_duty(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    old = await ward.staff("王强", clinic.hospital)
    question = (await ward.asks(clinic.account, clinic.person, "要不要加量")).consultation
    await answering.claim(session, consultation_id=question.id, doctor=old)
    await answering.close(session, consultation_id=question.id, doctor=old, outcome=Outcome.ADVISED)
    at(clock.now() + timedelta(minutes=90))
    receipt = await ward.asks(clinic.account, clinic.person, "又有点出血", level=Level.URGENT)
    assert receipt.consultation is question
    assert receipt.opened
    assert receipt.who == "值班的李医生"
    assert (question.stage, question.level) == (Stage.QUEUED, Level.URGENT)
    assert question.holder_id is question.closed_at is question.outcome is question.claimed_at is None
    assert await ward.words(question, "patient") == ["要不要加量", "又有点出血"]
    assert await ward.alerts(old) == []


async def test_a_question_reopened_at_a_lower_level_takes_the_new_one(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)).consultation
    await answering.claim(session, consultation_id=question.id, doctor=clinic.duty)
    await answering.close(session, consultation_id=question.id, doctor=clinic.duty, outcome=Outcome.ADVISED)
    await ward.asks(clinic.account, clinic.person, "复查约在哪天")
    assert question.level is Level.ROUTINE


async def test_later_than_three_days_a_new_question_begins(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    first = (await ward.asks(clinic.account, clinic.person, "要不要加量")).consultation
    await answering.close(session, consultation_id=first.id, doctor=clinic.duty, outcome=Outcome.ADVISED)
    at(clock.now() + REOPENS_WITHIN + timedelta(minutes=1))
    second = (await ward.asks(clinic.account, clinic.person, "要不要减量")).consultation
    assert second is not first
    assert await ward.words(second, "patient") == ["要不要减量"]


async def test_writing_again_after_an_answer_puts_it_back_into_the_doctors_hands(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "要不要加量")).consultation
    await answering.answer(session, consultation_id=question.id, doctor=clinic.duty, text="先不加", key="k1")
    assert question.stage is Stage.ANSWERED
    await ward.asks(clinic.account, clinic.person, "那周五再查？")
    assert (question.stage, question.holder_id) == (Stage.CLAIMED, clinic.duty.id)


async def test_an_alarm_takes_the_conversation_but_never_from_a_doctor(
    ward: Ward, session: AsyncSession, clinic: SimpleNamespace
) -> None:
    question = (await ward.asks(clinic.account, clinic.person, "吐血了", level=Level.EMERGENCY)).consultation
    alarm(clinic.account, question, clock.now())
    assert (clinic.account.holder, clinic.account.holder_consultation_id) == (Holder.ALARM, question.id)
    await answering.claim(session, consultation_id=question.id, doctor=clinic.duty)
    alarm(clinic.account, question, clock.now())
    assert clinic.account.holder is Holder.DOCTOR
