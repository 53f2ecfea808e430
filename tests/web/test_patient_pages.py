"""What patients open: only their own, and only after WeChat has said who they are."""

import re
import uuid
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import delete, select, update

from bot import clock
from bot.care.consultations import answering
from bot.care.consultations.rows import Consultation
from bot.care.followups.course import start_plan
from bot.care.followups.rows import CheckIn
from bot.care.followups.states import State
from bot.care.patients import Consent, Person
from bot.knowledge.faq import FaqRevision, RevisionState, import_baseline
from bot.web.sessions import PatientSession


@pytest.fixture
async def ward(clinic, now):
    """A doctor, and two patients who each were answered."""

    one = await clinic.hospital("江南一院")
    li = await clinic.staff("li", "李慧", one, on_duty=True)
    account, lin = await clinic.patient("o-lin", "林晓雨", one)
    other_account, other = await clinic.patient("o-other", "别人", one)
    question = await clinic.asks(account, lin, "能打篮球吗")
    others = await clinic.asks(other_account, other, "别人的问题")
    async with clinic.database.transaction() as session:
        for asked, text in (
            (question, "先不要打，等血小板到50以上再说。\n<b>记住</b>"),
            (others, "别人的回答"),
        ):
            await answering.answer(session, consultation_id=asked, doctor=li, text=text, key=str(asked))
            await answering.note(session, consultation_id=asked, doctor=li, text="同事才看", key=f"n{asked}")
    return SimpleNamespace(li=li, account=account, lin=lin, other=other, question=question, others=others)


class Phone:
    """A patient's browser inside WeChat."""

    def __init__(self, page, wechat, openid: str) -> None:
        self.page, self.wechat, self.openid = page, wechat, openid

    async def hop(self, path: str) -> str:
        """Open a page; when it sends to WeChat, the state it sends along."""
        async with self.page.client.get(path, allow_redirects=False) as answer:
            await self.page._took(answer)
            location = answer.headers.get("Location", "")
        if "open.weixin.example" not in location:
            return ""
        return parse_qs(urlsplit(location).query)["state"][0]

    async def comes_back(self, state: str, code: str | None = None) -> str:
        given = code if code is not None else uuid.uuid4().hex
        if code is None:
            self.wechat.codes[given] = self.openid
        return await self.page.opens("/p/back", params={"code": given, "state": state})

    async def opens(self, path: str) -> str:
        state = await self.hop(path)
        return await self.comes_back(state) if state else self.page.html


@pytest.fixture
def phone(browser, wechat):
    async def of(openid: str) -> Phone:
        return Phone(await browser(), wechat, openid)

    return of


async def test_a_patient_reads_the_doctors_answer_in_full(ward, phone):
    lin = await phone("o-lin")
    html = await lin.opens(f"/p/answers/{ward.question}")
    assert lin.page.status == 200
    assert lin.page.url == f"/p/answers/{ward.question}"
    assert "等血小板到50以上再说" in html
    assert "李慧医生·江南一院" in html
    assert "&lt;b&gt;" in html
    assert "同事才看" not in html
    assert "认领" not in html


@pytest.mark.parametrize("which", ["others", "none", "garbage"])
async def test_somebody_elses_answer_does_not_exist(ward, phone, which):
    wanted = {"others": str(ward.others), "none": str(uuid.uuid4()), "garbage": "x.y"}[which]
    lin = await phone("o-lin")
    html = await lin.opens(f"/p/answers/{wanted}")
    assert lin.page.status == 404
    assert "别人" not in html


async def test_the_login_happens_once_and_ends_after_two_idle_hours(ward, clinic, phone):
    lin = await phone("o-lin")
    await lin.opens("/p/record")
    assert await lin.hop("/p/checkins") == ""
    assert lin.page.status == 200
    async with clinic.database.transaction() as session:
        await session.execute(update(PatientSession).values(seen_at=clock.real_now() - timedelta(hours=2, seconds=1)))
    assert await lin.hop("/p/checkins") != ""


async def test_a_state_is_bound_to_its_browser_and_good_once(ward, clinic, phone):
    lin, thief = await phone("o-lin"), await phone("o-other")
    state = await lin.hop("/p/record")
    await thief.comes_back(state)
    assert thief.page.status == 400
    assert "登录没有完成" in thief.page.html
    await lin.comes_back(state)
    assert lin.page.status == 200
    await lin.comes_back(state)
    assert lin.page.status == 400
    assert len(await clinic.rows(PatientSession)) == 1


@pytest.mark.parametrize("code", ["", "used-before", "x" * 5000])
async def test_a_code_that_is_no_good_starts_the_login_again(ward, clinic, phone, code):
    lin = await phone("o-lin")
    state = await lin.hop("/p/record")
    html = await lin.comes_back(state, code=code)
    assert lin.page.status == 400
    assert 'href="/p/record"' in html
    assert await clinic.rows(PatientSession) == []
    assert "我的血小板" in await lin.opens("/p/record")


async def test_two_pages_opened_at_once_do_not_spoil_each_other(ward, phone):
    lin = await phone("o-lin")
    first, second = await lin.hop("/p/record"), await lin.hop("/p/checkins")
    assert "我的血小板" in await lin.comes_back(first)
    assert "我的随访" in await lin.comes_back(second)


async def test_somebody_who_does_not_follow_us_is_told_so(ward, clinic, phone):
    stranger = await phone("o-nobody")
    html = await stranger.opens("/p/record")
    assert stranger.page.status == 404
    assert "请先关注公众号" in html
    assert await clinic.rows(PatientSession) == []


async def test_ones_own_counts_as_a_picture_and_a_list(ward, clinic, phone):
    today = clock.today()
    await clinic.counts(ward.lin, (today - timedelta(days=3), 18), (today, 23))
    await clinic.counts(ward.other, (today, 777))
    lin = await phone("o-lin")
    html = await lin.opens("/p/record")
    assert "23 ×10⁹/L（2.3万）" in html
    assert "18 ×10⁹/L（1.8万）" in html
    assert "<svg" in html
    assert "777" not in html


async def test_without_agreement_there_is_no_record_to_show(ward, clinic, phone):
    await clinic.counts(ward.lin, (clock.today(), 23))
    async with clinic.database.transaction() as session:
        await session.execute(delete(Consent).where(Consent.account_id == ward.account.id))
    lin = await phone("o-lin")
    html = await lin.opens("/p/record")
    assert "还没有同意" in html
    assert "2.3万" not in html


async def test_a_waiting_check_in_says_how_to_begin(ward, clinic, phone):
    async with clinic.database.transaction() as session:
        person = await session.get_one(Person, ward.lin.id)
        plan = await start_plan(
            session, person=person, plan_key="new_treatment", anchor_on=clock.today(), doctor=ward.li
        )
        await session.flush()
        first = await session.scalar(select(CheckIn.id).where(CheckIn.plan_id == plan.id).limit(1))
        await session.execute(update(CheckIn).where(CheckIn.id == first).values(state=State.INVITED))
    lin = await phone("o-lin")
    html = await lin.opens("/p/checkins")
    assert "有1次随访在等您" in html
    assert "<b>开始</b>" in html
    other = await phone("o-other")
    assert "现在没有要回答的随访" in await other.opens("/p/checkins")


async def test_anybody_reads_a_published_text_with_its_sources_and_that_it_is_a_draft(clinic, browser, now):
    async with clinic.database.transaction() as session:
        await import_baseline(session, approve_as="demo")
    page = await browser()
    html = await page.opens("/p/faq/what_is_itp")
    assert page.status == 200
    assert "它不传染" in html
    assert "<strong>" in html
    assert "草稿，未经临床审核" in html
    assert "中华血液学杂志" in html

    async with clinic.database.transaction() as session:
        await session.execute(update(FaqRevision).values(approved_by="reviewer"))
    assert "草稿" not in await page.opens("/p/faq/what_is_itp")
    async with clinic.database.transaction() as session:
        await session.execute(update(FaqRevision).values(state=RevisionState.DRAFT))
    await page.opens("/p/faq/what_is_itp")
    assert page.status == 404


async def test_what_one_agrees_to_is_there_for_everybody(browser):
    page = await browser()
    html = await page.opens("/p/consent")
    assert page.status == 200
    for words in ("知情同意书", "谁能看", "怎样撤回", "保存多久", "不同意也可以用"):
        assert words in html


async def test_no_address_answers_500(browser):
    page = await browser()
    wild = ["/p/faq/%00", "/p/faq/x%27y", "/p/faq/" + "a" * 500, "/p/nothing", "/nothing", "/p/answers/%00"]
    for path in wild:
        await page.opens(path, allow_redirects=False)
        assert page.status == 404, path
        assert "没有找到这一页" in page.html


async def test_coming_back_with_nonsense_is_told_in_words(browser):
    page = await browser()
    for query in ("", "?state=x", "?state=%00&code=%00", "?code=a&state=" + "A" * 43):
        await page.opens("/p/back" + query)
        assert page.status == 400, query
        assert "重新点开消息里的链接" in page.html


async def test_style_script_and_font_come_from_here_and_may_be_kept(browser):
    page = await browser()
    for path in ("/login", "/p/consent"):
        html = await page.opens(path)
        links = re.findall(r'(?:href|src)="(/assets/[^"]+)"', html)
        assert links
        assert not re.findall(r'(?:href|src)="(?:https?:)?//', html)
        for link in links:
            async with page.client.get(link) as answer:
                assert answer.status == 200
                assert "immutable" in answer.headers["Cache-Control"]
    style = next(link for link in links if link.endswith("app.css"))
    async with page.client.get(style) as answer:
        fonts = re.findall(r'url\("([^"]+)"\)', await answer.text())
    for font in fonts:
        async with page.client.get(f"{style.rsplit('/', 1)[0]}/{font}") as answer:
            assert answer.content_type == "font/woff2"
    async with page.client.get("/assets/000000000000/app.css") as answer:
        assert "immutable" not in answer.headers["Cache-Control"]
    await page.opens("/assets/000000000000/..%2fpages.py")
    assert page.status == 404


async def test_opening_a_page_changes_nothing_about_the_question(ward, clinic, phone):
    before = await clinic.consultation(ward.question)
    lin = await phone("o-lin")
    await lin.opens(f"/p/answers/{ward.question}")
    after = await clinic.consultation(ward.question)
    assert (before.stage, before.holder_id) == (after.stage, after.holder_id)
    assert await clinic.rows(Consultation, Consultation.account_id == ward.account.id)
