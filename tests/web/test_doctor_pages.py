"""The doctors' queue and a question's page: who sees what, and what each act does."""

import asyncio
import uuid
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text, update

from bot import clock
from bot.care.attachments import keep
from bot.care.consultations import answering
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.rows import Consultation, ConsultationEntry, EntryKind
from bot.care.consultations.states import Level, Outcome, Stage
from bot.care.followups.rows import CheckIn, FollowupPlan
from bot.care.patients import Person
from bot.care.records import Medicine
from bot.care.roster import Role
from bot.outbox.rows import Kind, Outbox, State
from bot.store.accounts import Account
from bot.store.audit import AuditEntry
from bot.store.base import new_id


@pytest.fixture
async def ward(clinic, now):
    """Two hospitals and the platform, a doctor of each on duty, one patient of the first with a question."""

    one = await clinic.hospital("江南一院")
    two = await clinic.hospital("市二院", 2)
    platform = await clinic.hospital("平台值班", 0)
    account, lin = await clinic.patient("o-lin", "林晓雨", one, sex="female", born_on=date(1990, 1, 1))
    return SimpleNamespace(
        one=one,
        two=two,
        account=account,
        lin=lin,
        li=await clinic.staff("li", "李慧", one, on_duty=True),
        wang=await clinic.staff("wang", "王建国", one, Role.LEAD_DOCTOR),
        far=await clinic.staff("far", "远方", two, on_duty=True),
        ping=await clinic.staff("ping", "平安", platform, on_duty=True),
        question=await clinic.asks(account, lin, "艾曲泊帕要不要加量"),
    )


def address(question: uuid.UUID) -> str:
    return f"/doctor/consultations/{question}"


async def entered(browser, login):
    page = await browser()
    await page.logs_in(login)
    return page


async def entries(clinic, question, kind):
    return await clinic.rows(
        ConsultationEntry, ConsultationEntry.consultation_id == question, ConsultationEntry.kind == kind
    )


# --- the queue -------------------------------------------------------------------------------------------------


async def test_the_queue_shows_reason_level_waiting_time_and_last_words(ward, browser):
    page = await entered(browser, "li")
    assert "用药问题" in page.html
    assert "常规" in page.html
    assert "艾曲泊帕要不要加量" in page.html
    assert "刚刚" in page.html
    assert "还剩" in page.html


async def test_an_emergency_stands_first_and_then_the_least_time_left(ward, clinic, browser):
    for number, (level, reason) in enumerate(
        [(Level.URGENT, "当天的"), (Level.EMERGENCY, "最急的"), (Level.ROUTINE, "常规的")]
    ):
        account, person = await clinic.patient(f"o-{number}", None, ward.one)
        await clinic.asks(account, person, "话", level=level, reason=reason)
    page = await entered(browser, "li")
    places = [page.html.index(reason) for reason in ("最急的", "当天的", "用药问题")]
    assert places == sorted(places)
    assert page.html.index("<title>紧急1 · ") >= 0


async def test_a_doctor_of_another_hospital_sees_nothing_of_it(ward, browser):
    page = await entered(browser, "far")
    assert "现在没有等待认领的咨询" in page.html
    html = await page.opens(address(ward.question))
    assert page.status == 404
    assert "艾曲泊帕" not in html
    await page.opens("/doctor")
    await page.sends(address(ward.question) + "/claim", csrf=page.hidden("csrf"))
    assert page.status == 404


async def test_the_platform_sees_a_question_only_once_it_reached_it_and_its_words_only_after_claiming(
    ward, clinic, browser
):
    page = await entered(browser, "ping")
    assert "现在没有等待认领的咨询" in page.html
    await page.opens(address(ward.question))
    assert page.status == 404

    async with clinic.database.transaction() as session:
        await session.execute(update(Consultation).where(Consultation.id == ward.question).values(rung=3))
    html = await page.opens("/doctor")
    assert "用药问题" in html
    assert "艾曲泊帕" not in html
    html = await page.opens(address(ward.question))
    assert "认领以后才能看到" in html
    assert "艾曲泊帕" not in html
    assert "林晓雨" not in html
    html = await page.acts(ward.question, "claim")
    assert "已认领" in html
    assert "艾曲泊帕" in html
    assert "林晓雨" in html


async def test_a_doctor_on_duty_for_another_hospital_sees_the_words_only_after_claiming(ward, clinic, browser):
    await clinic.shift(ward.far, ward.one)
    page = await entered(browser, "far")
    assert "用药问题" in page.html
    assert "艾曲泊帕" not in page.html
    html = await page.acts(ward.question, "claim")
    assert page.status == 200
    assert "艾曲泊帕" in html
    assert "林晓雨" in html


async def test_an_administrator_sees_only_what_nobody_is_on_duty_for_and_none_of_its_words(ward, clinic, browser):
    await clinic.staff("boss", "管理", None, Role.ADMINISTRATOR)
    page = await entered(browser, "boss")
    await page.opens(address(ward.question))
    assert page.status == 404
    async with clinic.database.transaction() as session:
        await session.execute(update(Consultation).values(nobody_on_duty=True))
    html = await page.opens(address(ward.question))
    assert page.status == 200
    assert "无人值班" in html
    assert "艾曲泊帕" not in html
    await page.opens("/doctor")
    await page.sends(address(ward.question) + "/claim", csrf=page.hidden("csrf"))
    assert page.status == 403


async def test_mine_shows_what_i_hold(ward, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    html = await page.opens("/doctor?tab=mine")
    assert "用药问题" in html
    html = await page.opens("/doctor?tab=unclaimed")
    assert "用药问题" not in html


# --- a question's page -----------------------------------------------------------------------------------------


async def test_the_page_shows_the_patient_at_a_glance(ward, clinic, browser):
    today = clock.today()
    async with clinic.database.transaction() as session:
        held = await session.get_one(Person, ward.lin.id)
        held.diagnosed_on = today - timedelta(days=90)
        medicine = Medicine(
            id=new_id(), person_id=held.id, name="艾曲泊帕", source="doctor", cause="seed", recorded_at=clock.now()
        )
        session.add(medicine)
    await clinic.counts(ward.lin, (today - timedelta(days=7), 41), (today, 23))
    page = await entered(browser, "li")

    html = await page.opens(address(ward.question))

    assert "林晓雨" in html
    assert "36岁" in html
    assert "女" in html
    assert "持续性，确诊第90天" in html
    assert "23 ×10⁹/L（2.3万）" in html
    assert "比上次低18" in html
    assert "<svg" in html
    assert "艾曲泊帕" in html


async def test_looking_at_a_record_leaves_a_trace(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.opens(address(ward.question))
    opened = await clinic.rows(AuditEntry, AuditEntry.act == "record_opened")
    assert [(row.actor_id, row.subject_id, row.details["consultation"]) for row in opened] == [
        (ward.li.id, ward.lin.id, str(ward.question))
    ]


async def test_words_of_a_patient_are_words_and_never_markup(ward, clinic, browser):
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    account, person = await clinic.patient("o-x", '<b onmouseover="x">名</b>', ward.one)
    question = await clinic.asks(
        account, person, nasty, reason="<i>理由</i>", marks=([0, 8, "x<y"], [4, 500, "z"], ["a"], [9, 3, "w"])
    )
    page = await entered(browser, "li")
    for path in ("/doctor", address(question)):
        html = await page.opens(path)
        assert page.status == 200
        assert "alert(1)" in html
        for markup in ("<script>alert", "<img src=x", "<b onmouseover", "<i>理由"):
            assert markup not in html


async def test_words_that_alarmed_are_marked_with_what_they_mean(ward, clinic, browser):
    account, person = await clinic.patient("o-m", None, ward.one)
    question = await clinic.asks(
        account, person, "头疼得厉害，吐了", level=Level.EMERGENCY, marks=([0, 5, "none_such"],)
    )
    page = await entered(browser, "li")
    html = await page.opens(address(question))
    assert "<mark>头疼得厉害</mark>，吐了" in html


async def test_an_unregistered_user_is_only_said_to_have_been_advised(ward, clinic, browser):
    stranger = await clinic.stranger("o-stranger")
    question = await clinic.asks(stranger, None, level=Level.EMERGENCY, reason="未登记的用户：已给出急救建议")
    page = await entered(browser, "ping")
    html = await page.opens(address(question))
    assert "没有同意转发" in html
    assert 'class="glance' not in html

    await clinic.asks(stranger, None, "我吐血了", level=Level.EMERGENCY, reason="未登记的用户")
    html = await page.opens(address(question))
    assert "我吐血了" in html
    assert "没有同意转发" not in html


async def test_a_photo_is_shown_to_who_sees_the_thread_and_to_nobody_else(ward, clinic, browser):
    message = uuid.uuid4()
    async with clinic.database.transaction() as session:
        account = await session.get_one(Account, ward.account.id)
        person = await session.get_one(Person, ward.lin.id)
        file = keep(session, account, message_id=message, kind="image", data=b"\xff\xd8jpeg", content_type="image/jpeg")
        evil = keep(session, account, message_id=uuid.uuid4(), kind="file", data=b"<script>", content_type="text/html")
        await session.flush()
        told = [Told("", clock.now(), message, file.id), Told("", clock.now(), uuid.uuid4(), evil.id)]
        await ask(session, account, person, told, level=Level.ROUTINE, reason="图片", cause="photo")
    page = await entered(browser, "li")
    html = await page.opens(address(ward.question))
    assert f'<img src="{address(ward.question)}/files/{file.id}"' in html
    async with page.client.get(f"{address(ward.question)}/files/{file.id}") as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/jpeg", b"\xff\xd8jpeg")
    async with page.client.get(f"{address(ward.question)}/files/{evil.id}") as answer:
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
    stranger = await entered(browser, "far")
    await stranger.opens(f"{address(ward.question)}/files/{file.id}")
    assert stranger.status == 404


async def test_a_long_thread_shows_its_end_and_offers_the_rest(ward, clinic, browser):
    await clinic.asks(ward.account, ward.lin, *[f"第{number}句。" for number in range(120)])
    page = await entered(browser, "li")
    html = await page.opens(address(ward.question))
    assert "第119句。" in html
    assert "第20句。" not in html
    assert "看更早的101条" in html
    assert "第20句。" in await page.opens(address(ward.question) + "?whole=1")


# --- acts ------------------------------------------------------------------------------------------------------


async def test_claiming_puts_it_into_my_hands_and_tells_the_patient(ward, clinic, browser):
    page = await entered(browser, "li")
    html = await page.acts(ward.question, "claim")
    assert "已认领，患者已知道您在看" in html
    one = await clinic.consultation(ward.question)
    assert (one.stage, one.holder_id) == (Stage.CLAIMED, ward.li.id)
    assert len(await clinic.rows(Outbox, Outbox.kind == Kind.NOTICE)) == 1


async def test_a_colleague_who_was_first_is_named(ward, clinic, browser):
    li, wang = await entered(browser, "li"), await entered(browser, "wang")
    await li.opens(address(ward.question))
    await wang.acts(ward.question, "claim")
    html = await li.sends(address(ward.question) + "/claim", csrf=li.hidden("csrf"))
    assert li.status == 409
    assert "王建国医生已在" in html
    assert (await clinic.consultation(ward.question)).holder_id == ward.wang.id


async def test_an_answer_is_owed_once_however_often_its_form_is_sent(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    await page.opens(address(ward.question))
    form = {name: page.hidden(name) for name in ("csrf", "form", "seen")} | {"text": "先别加，明天来门诊。"}

    await page.sends(address(ward.question) + "/answer", **form)
    assert "已回复，送达情况见下方" in page.html
    await page.sends(address(ward.question) + "/answer", **form)

    assert page.status == 200
    assert len(await entries(clinic, ward.question, EntryKind.DOCTOR)) == 1
    owed = await clinic.rows(Outbox, Outbox.kind == Kind.DOCTOR_ANSWER)
    assert [row.link for row in owed] == [f"/p/answers/{ward.question}"]


async def test_a_form_of_mine_cannot_stand_for_a_colleagues(ward, clinic, browser):
    li, wang = await entered(browser, "li"), await entered(browser, "wang")
    await li.acts(ward.question, "claim")
    await li.opens(address(ward.question))
    form = {"form": li.hidden("form"), "seen": li.hidden("seen")}
    await li.sends(address(ward.question) + "/answer", csrf=li.hidden("csrf"), text="李写的", **form)
    await li.acts(ward.question, "release")
    await wang.acts(ward.question, "claim")
    await wang.opens(address(ward.question))
    await wang.sends(address(ward.question) + "/answer", csrf=wang.hidden("csrf"), text="王写的", form=form["form"])
    assert len(await entries(clinic, ward.question, EntryKind.DOCTOR)) == 2


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (State.SENT_ACTIVE, None, "已送达"),
        (State.PARKED, "window_closed", "等患者下次发消息时送达"),
        (State.FAILED, "not_following", "发送失败：患者已取消关注"),
        (State.MAYBE_SENT, "no_answer", "可能已送达"),
    ],
)
async def test_what_became_of_an_answer_stands_beside_it(ward, clinic, browser, state, reason, words):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    await page.acts(ward.question, "answer", text="明天来门诊")
    async with clinic.database.transaction() as session:
        owed = update(Outbox).where(Outbox.kind == Kind.DOCTOR_ANSWER)
        await session.execute(owed.values(state=state, reason=reason))
    assert words in await page.opens(address(ward.question))


async def test_an_answer_that_crossed_a_colleagues_is_refused_with_both_texts(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    await page.opens(address(ward.question))
    form = {name: page.hidden(name) for name in ("csrf", "form", "seen")}
    async with clinic.database.transaction() as session:
        await answering.release(session, consultation_id=ward.question, doctor=ward.li)
        await answering.answer(session, consultation_id=ward.question, doctor=ward.wang, text="先停药", key="w")

    html = await page.sends(address(ward.question) + "/answer", text="加半片", **form)
    assert page.status == 409
    assert "您的回复没有发出" in html
    assert html.count("先停药") >= 1
    assert html.count("加半片") >= 1

    async with clinic.database.transaction() as session:
        await answering.release(session, consultation_id=ward.question, doctor=ward.wang)
        await answering.claim(session, consultation_id=ward.question, doctor=ward.li)
    html = await page.sends(address(ward.question) + "/answer", text="加半片", **form)
    assert page.status == 409
    assert "同事已经回复了患者" in html
    assert "同事刚刚回复了" in html
    assert "required>加半片</textarea>" in html
    assert [e.staff_id for e in await entries(clinic, ward.question, EntryKind.DOCTOR)] == [ward.wang.id]


@pytest.mark.parametrize("typed", ["", "   \n ", "字" * 2001])
async def test_an_answer_that_cannot_be_sent_keeps_what_was_typed(ward, clinic, browser, typed):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    html = await page.acts(ward.question, "answer", text=typed)
    assert page.status == 409
    assert typed.strip() in html
    assert await entries(clinic, ward.question, EntryKind.DOCTOR) == []


async def test_a_form_without_its_token_does_nothing_and_keeps_what_was_typed(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    for token in ("", "x" * 43):
        html = await page.acts(ward.question, "answer", text="很长的一段话", csrf=token)
        assert page.status == 403
        assert "很长的一段话" in html
    assert await entries(clinic, ward.question, EntryKind.DOCTOR) == []


async def test_what_was_typed_survives_the_end_of_the_session(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    await page.opens(address(ward.question))
    form = {name: page.hidden(name) for name in ("csrf", "form", "seen")}
    page.client.session.cookie_jar.clear()
    html = await page.sends(address(ward.question) + "/answer", text="写了半天", **form)
    assert page.status == 401
    assert "写了半天" in html
    assert "请重新登录" in html


async def test_a_note_is_for_colleagues_and_never_owed_to_the_patient(ward, clinic, browser):
    page = await entered(browser, "wang")
    html = await page.acts(ward.question, "note", text="上次住院也是这样")
    assert "备注已保存" in html
    assert "上次住院也是这样" in html
    assert "患者看不到" in html
    assert await clinic.rows(Outbox, Outbox.account_id == ward.account.id) == []


async def test_a_nurse_notes_but_does_not_claim(ward, clinic, browser):
    await clinic.staff("nurse", "护士", ward.one, Role.NURSE)
    page = await entered(browser, "nurse")
    html = await page.acts(ward.question, "note", text="已电话联系")
    assert "已电话联系" in html
    await page.acts(ward.question, "claim")
    assert page.status == 403
    assert (await clinic.consultation(ward.question)).stage is Stage.QUEUED


async def test_giving_back_asks_the_next_one_and_tells_the_patient(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    html = await page.acts(ward.question, "release")
    assert "已放回" in html
    one = await clinic.consultation(ward.question)
    assert (one.stage, one.holder_id) == (Stage.QUEUED, None)
    assert one.rung > 0
    notices = await clinic.rows(Outbox, Outbox.account_id == ward.account.id, Outbox.kind == Kind.NOTICE)
    assert len(notices) == 2


async def test_only_the_holder_ends_a_question(ward, clinic, browser):
    li, wang = await entered(browser, "li"), await entered(browser, "wang")
    html = await li.acts(ward.question, "close", outcome="advised")
    assert "请先认领" in html
    await li.acts(ward.question, "claim")
    html = await wang.acts(ward.question, "close", outcome="advised")
    assert "李慧医生正在处理" in html
    html = await li.acts(ward.question, "close", outcome="nonsense")
    assert "请先选择结果" in html
    html = await li.acts(ward.question, "close", outcome=Outcome.COME_TO_CLINIC.value)
    assert "已结束" in html
    one = await clinic.consultation(ward.question)
    assert (one.stage, one.outcome) == (Stage.CLOSED, Outcome.COME_TO_CLINIC)
    html = await li.acts(ward.question, "close", outcome="advised")
    assert li.status == 409
    assert "状态刚刚变了" in html


async def test_a_follow_up_is_started_from_the_page(ward, clinic, browser):
    page = await entered(browser, "li")
    html = await page.opens(address(ward.question))
    assert "新治疗" in html
    html = await page.acts(ward.question, "followup", plan="new_treatment", anchor=clock.today().isoformat())
    assert "随访已开始" in html
    plans = await clinic.rows(FollowupPlan)
    assert [(plan.person_id, plan.plan_key) for plan in plans] == [(ward.lin.id, "new_treatment")]
    assert await clinic.rows(CheckIn, CheckIn.plan_id == plans[0].id)
    html = await page.acts(ward.question, "followup", plan="new_treatment", anchor=clock.today().isoformat())
    assert page.status == 409
    assert "已经在这个随访方案里" in html


@pytest.mark.parametrize(
    ("plan", "anchor"), [("none_such", "2026-03-04"), ("new_treatment", "昨天"), ("new_treatment", "0001-01-01")]
)
async def test_a_follow_up_that_makes_no_sense_is_refused(ward, clinic, browser, plan, anchor):
    page = await entered(browser, "li")
    await page.acts(ward.question, "followup", plan=plan, anchor=anchor)
    assert page.status == 409
    assert await clinic.rows(FollowupPlan) == []


async def test_two_doctors_claiming_at_once_one_wins(ward, clinic, browser):
    li, wang = await entered(browser, "li"), await entered(browser, "wang")
    for page in (li, wang):
        await page.opens(address(ward.question))
    await asyncio.gather(
        *(page.sends(address(ward.question) + "/claim", csrf=page.hidden("csrf")) for page in (li, wang))
    )
    assert sorted([li.status, wang.status]) == [200, 409]


# --- live ------------------------------------------------------------------------------------------------------


async def hears(stream, event: str) -> str:
    """The data of the next event of this name."""
    name = ""
    async with asyncio.timeout(5):
        async for raw in stream.content:
            line = raw.decode().strip()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data:") and name == event:
                return line.removeprefix("data:").strip()
    raise AssertionError("the stream ended")


async def test_a_change_is_heard_by_who_may_see_it(ward, clinic, browser):
    li, far = await entered(browser, "li"), await entered(browser, "far")
    async with li.client.get("/doctor/events") as near, far.client.get("/doctor/events") as distant:
        assert near.content_type == "text/event-stream"
        await hears(near, "ready")
        await hears(distant, "ready")
        await clinic.asks(ward.account, ward.lin, "还有一句")
        other, person = await clinic.patient("o-two", None, ward.two)
        elsewhere = await clinic.asks(other, person, "二院的")

        assert await hears(near, "changed") == str(ward.question)
        assert await hears(distant, "changed") == str(elsewhere)


async def test_a_stream_ends_with_its_session_and_with_the_server(ward, clinic, browser, server):
    li, wang = await entered(browser, "li"), await entered(browser, "wang")
    async with li.client.get("/doctor/events") as mine, wang.client.get("/doctor/events") as theirs:
        await hears(mine, "ready")
        await hears(theirs, "ready")
        await li.sends("/logout", csrf=li.hidden("csrf"))
        await clinic.asks(ward.account, ward.lin, "还有一句")

        assert await hears(mine, "bye") == ""
        assert await mine.content.read() == b"\r\n"
        assert await hears(theirs, "changed") == str(ward.question)
        async with asyncio.timeout(10):
            await server.close()


async def test_a_page_that_asks_again_gets_only_what_changes(ward, browser):
    page = await entered(browser, "li")
    live = {"headers": {"Itp-Live": "1"}}
    html = await page.opens("/doctor?tab=unclaimed", **live)
    assert "用药问题" in html
    assert "<html" not in html
    html = await page.opens(address(ward.question), **live)
    assert "艾曲泊帕" in html
    assert "<textarea" not in html
    page.client.session.cookie_jar.clear()
    await page.opens("/doctor", **live)
    assert page.status == 401


# --- garbage ---------------------------------------------------------------------------------------------------

GARBAGE = ["x", "0", "%00", "..%2f..", str(uuid.UUID(int=0)), "%F0%9F%98%80", "a" * 3000, "%ff%fe", "' or 1=1"]


async def test_nothing_answers_500_on_garbage(ward, browser):
    page = await entered(browser, "li")
    token = page.hidden("csrf")
    mine = address(ward.question)
    for wild in GARBAGE:
        for path in (f"/doctor/consultations/{wild}", f"{mine}/files/{wild}", f"/doctor?tab={wild}"):
            await page.opens(path)
            assert page.status < 500, path
        for act in ("claim", "answer", "note", "release", "close", "followup"):
            await page.sends(f"/doctor/consultations/{wild}/{act}", csrf=token, text="\x00\u200d", form=wild, seen=wild)
            assert page.status in (403, 404), wild
            fields = {"csrf": token, "text": "话\x00", "outcome": wild, "plan": wild, "anchor": wild}
            await page.sends(f"{mine}/{act}", form=wild, seen=wild, **fields)
            assert page.status < 500, (act, wild)


NO_FORMS = [
    (b"\xff\xfe=\xff", "application/x-www-form-urlencoded"),
    (b"csrf=%ff%fe&token=%ed%a0%80", "application/x-www-form-urlencoded"),
    (b"csrf=a", "application/x-www-form-urlencoded; charset=none-such"),
    (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
    (b"--x\r\nnonsense", "multipart/form-data"),
    (b"{}", "application/json"),
    (b"", ""),
]


async def test_a_body_that_is_no_form_is_refused(ward, browser):
    page = await entered(browser, "li")
    for body, kind in NO_FORMS:
        for path in ("/login", address(ward.question) + "/claim"):
            async with page.client.post(path, data=body, headers={"Content-Type": kind}) as answer:
                assert answer.status in (400, 403), (kind, body)
                assert "<h1>" in await answer.text()


async def test_the_failures_of_a_database_are_told_and_keep_what_was_typed(ward, clinic, browser):
    page = await entered(browser, "li")
    await page.acts(ward.question, "claim")
    await page.opens(address(ward.question))
    form = {name: page.hidden(name) for name in ("csrf", "form", "seen")}
    async with clinic.database.connection() as connection:
        await connection.execute(text("alter table outbox rename to hidden_away"))
    html = await page.sends(address(ward.question) + "/answer", text="写好的回复", **form)
    assert page.status == 500
    assert "写好的回复" in html
    assert "没有成功" in html
    async with clinic.database.reading() as session:
        assert await session.scalar(select(Consultation.stage).where(Consultation.id == ward.question)) is Stage.CLAIMED
