"""The story that the service was built for, line by line."""

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_new_follower_reads_what_this_is_and_agrees(clinic: Clinic) -> None:
    lin = await clinic.stranger()
    greeting = lin.last.text
    assert "智能助手" in greeting
    assert "不是医生" in greeting
    assert "/p/consent" in greeting
    assert "谢谢您的信任" in await lin.taps("同意")
    assert await lin.one("select count(*) from consent where account_id = :account") == 1
    assert "之前已经同意过了" in await lin.says("同意")


async def test_a_general_question_is_answered_from_the_published_faq_and_that_is_noted(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("血小板低能不能打篮球")
    assert "篮球" in reply
    assert "看完整说明" in reply
    assert lin.last.reply is not None
    assert lin.last.reply.channel == "passive"
    noted = (
        "select r.state from faq_answered a join faq_revision r on r.id = a.revision_id where a.account_id = :account"
    )
    assert await lin.one(noted) == "published"
    assert await lin.questions() == 0


async def test_a_count_is_kept_and_a_dose_question_put_to_the_doctor_on_duty(clinic: Clinic) -> None:
    lin = await clinic.patient()
    reply = await lin.says("我早上血小板 2.3万，艾曲泊帕要不要加量")
    for part in ("23 ×10⁹/L（2.3万）", "周医生", "工作日内"):
        assert part in reply
    assert await lin.counts() == [23.0]
    question = await lin.question()
    assert (question["level"], question["stage"]) == ("routine", "queued")


async def test_a_doctor_claims_answers_and_closes_while_the_assistant_is_silent(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    await lin.says("我早上血小板 2.3万，艾曲泊帕要不要加量")
    page = await zhou.opens_alert(lin)
    assert "23 ×10⁹/L（2.3万）" in page
    assert "要不要加量" in page
    await zhou.claims()
    await lin.hears("正在看您的问题")

    assert await lin.says("另外我有点鼻塞，要紧吗，今天又查了是31") == ""
    assert await lin.says("血小板低能不能打篮球") == ""
    assert await lin.counts() == [23.0, 31.0], "counts are recorded all the same"
    assert "鼻塞" in await zhou.opens()

    await zhou.answers("先不要自己加量，明天上午带化验单来复查。")
    answer = await lin.hears("先不要自己加量")
    assert "周平医生" in answer.words()
    assert "省疾控ITP平台" in answer.words()
    await zhou.closes()
    await lin.hears("智能助手继续陪您")
    assert "篮球" in await lin.says("血小板低能不能打篮球")


async def test_an_emergency_is_answered_at_once_before_the_engine_and_tops_the_queue(clinic: Clinic) -> None:
    lin, zhou = await clinic.patient(), clinic.doctor("周医生")
    advice = await lin.says("头疼得厉害，吐了两次")
    assert "120" in [line.strip() for line in advice.splitlines()], "the number has a line of its own"
    assert lin.last.seconds < 2
    alert = await zhou.phone.waits_for(str((await lin.question())["number"]), within=15, since=0)
    assert "紧急" in alert.words()
    number = str((await lin.question())["number"])
    assert any(one["body"].get("number") == number for one in clinic.stage.world.alerts), "the gateway rings as well"
    queue = await zhou.opens(clinic.stage.app.url + "/doctor")
    first_emergency, first_other = queue.find("紧急"), queue.find("常规")
    assert 0 <= first_emergency < (first_other if first_other >= 0 else len(queue))
    assert await lin.holder() == "alarm"
