"""The engine dies: messages are kept and answered later, and what matters most works without it."""

import os
import signal

import pytest
from conversations.clinic import Clinic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_the_engine_messages_are_kept_red_flags_work_and_answers_follow(no_engine: Clinic) -> None:
    clinic = no_engine
    lin, chen, zhou = await clinic.patient(), await clinic.patient(), clinic.doctor("周医生")
    await lin.says("艾曲泊帕要不要加量")
    engine = clinic.engine()
    os.kill(engine.pid, signal.SIGKILL)

    kept = await chen.says("血小板低能不能打篮球")
    assert "已经收到并保存" in kept
    assert "120" in kept
    assert "120" in await lin.says("头疼得厉害，吐了两次")
    await zhou.takes(lin)
    await zhou.answers("马上去急诊。")
    await lin.hears("马上去急诊")

    await chen.hears("篮球", within=60, since=0)
    assert (await chen.outcomes())[-1] == "answered"
    assert chen.heard("已经收到并保存") == 1, "said once, however often it is tried"
