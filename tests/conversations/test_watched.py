"""What triage wants watched reaches a doctor's ordinary queue, and no more often than it should."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_slight_fever_is_put_into_the_queue_whatever_the_assistant_made_of_it(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("今天有点发烧")
    assert "转给了" in reply and "工作日" in reply and "120" in reply
    question = await lin.question()
    assert (question["level"], question["stage"]) == ("routine", "queued")


async def test_a_question_that_went_to_a_doctor_anyway_is_not_queued_twice(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("我早上血小板 2.3万，艾曲泊帕要不要加量")
    assert reply.count("工作日") == 1
    assert (await lin.question())["reason"] == "患者提问，需要医生答复"


async def test_a_general_question_that_the_faq_answers_needs_no_doctor(clinic: Clinic) -> None:
    lin = await clinic.patient()
    assert "看完整说明" in await lin.says("血小板低能不能打流感疫苗")
    assert await lin.questions() == 0
