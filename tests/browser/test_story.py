"""The story of a first patient, played by hand on the demo's phones, and the staff's pages on both kinds of screen."""

import re
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from bot.demo.stage import App
from bot.demo.world import PASSWORD

from .seeing import DESKTOP, HANDSET, Handset, Screens, fits, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
PATIENT, DOCTOR, LOGIN = "新朋友", "周医生", "zhou"
BASKETBALL = "血小板低能不能打篮球"
DOSE = "我早上血小板 2.3万，艾曲泊帕要不要加量"
ANSWER = "先不要自己加量，明天上午带化验单来门诊复查。"
DOSES = {HANDSET: "艾曲泊帕我吃了两周了，要不要加量", DESKTOP: "我的泼尼松从这周起要不要减量"}
EMERGENCY = "头疼得厉害，吐了两次"


async def test_a_first_patient_is_helped_from_following_to_an_emergency(demo: App, screens: Screens) -> None:
    desk = await screens.open(f"{demo.url}/phones?show={quote(PATIENT)},{quote(DOCTOR)}", DESKTOP)
    await expect(desk.locator(".phone:visible")).to_have_count(2)
    # The same phones on a small screen, one at a time: what happens on one page is seen on the other.
    small = await screens.open(desk.url, HANDSET)
    lin, zhou = Handset(desk, PATIENT), Handset(desk, DOCTOR)

    await follows_reads_and_agrees(desk, small, lin)
    await asks(desk, small, lin)
    await is_answered(desk, small, lin, zhou)
    await has_an_emergency(desk, small, lin, zhou)


async def follows_reads_and_agrees(desk: Page, small: Page, lin: Handset) -> None:
    await pictures(desk, small, "story-0-before")
    await lin.screen.locator("[data-follow]").click()
    greeting = await lin.hears("智能助手")
    await expect(greeting).to_contain_text("不是医生")
    await pictures(desk, small, "story-1-follows")
    await greeting.get_by_text("服务说明与知情同意").click()
    await expect(lin.inside).to_contain_text("不是急救通道")
    await expect(lin.inside).to_contain_text("知情同意书")
    await picture(desk, "story-1-reads")
    await lin.closes_browser()
    await lin.heard.last.get_by_role("button", name="同意").click()
    await lin.hears("谢谢")
    await expect(lin.screen.locator('[data-menu-key="ask_doctor"]')).to_be_visible()
    await pictures(desk, small, "story-1-agrees")


async def asks(desk: Page, small: Page, lin: Handset) -> None:
    await lin.says(BASKETBALL)
    answer = await lin.hears("篮球")
    await expect(answer).to_have_attribute("data-channel", "passive")
    await answer.get_by_text("看完整说明").click()
    await expect(lin.inside).to_contain_text("来源")
    await picture(desk, "story-2-reads")
    await lin.closes_browser()
    await pictures(desk, small, "story-2-asks")
    await lin.says(DOSE)
    receipt = await lin.hears("周医生")
    await expect(receipt).to_contain_text("23 ×10⁹/L（2.3万）")
    await pictures(desk, small, "story-3-dose")


async def is_answered(desk: Page, small: Page, lin: Handset, zhou: Handset) -> None:
    alert = await zhou.hears("患者咨询提醒")
    await pictures(desk, small, "story-4-alert", DOCTOR)
    await alert.locator("[data-open]").click()
    await zhou.inside.locator("#login").fill(LOGIN)
    await zhou.inside.locator("#password").fill(PASSWORD)
    await picture(desk, "story-4-login")
    await zhou.inside.get_by_role("button", name="登录").click()
    await expect(zhou.inside).to_contain_text("艾曲泊帕要不要加量")
    await expect(zhou.inside).to_contain_text("23 ×10⁹/L（2.3万）")
    await picture(desk, "story-4-opened")
    await zhou.inside.get_by_role("button", name="认领，我来回复").click()
    await lin.hears("正在看您的问题")
    send = zhou.inside.get_by_role("button", name="发给患者")
    # Within reach without scrolling, below who asks, how urgent it is and the course of the counts.
    await expect(send).to_be_in_viewport(ratio=1)
    await zhou.inside.locator("#answer").fill(ANSWER)
    await picture(desk, "story-4-claimed")
    await send.click()
    await expect(await lin.hears(ANSWER)).to_contain_text("周平")
    await expect(zhou.inside).to_contain_text("已送达")
    await pictures(desk, small, "story-4-answered")
    await lin.says("好的，谢谢医生")
    await expect(zhou.inside.locator("#thread")).to_contain_text("好的，谢谢医生")
    await zhou.closes_browser()


async def has_an_emergency(desk: Page, small: Page, lin: Handset, zhou: Handset) -> None:
    typed_small = Handset(small, PATIENT)
    before = await zhou.heard.count()
    await typed_small.says(EMERGENCY)
    advice = await lin.hears("马上去最近的医院急诊")
    await expect(advice).to_have_attribute("data-channel", "passive")
    assert "120" in (await advice.inner_text()).splitlines()
    await expect(zhou.heard).to_have_count(before + 1)
    alert = zhou.heard.last
    await expect(alert).to_contain_text("紧急")
    # The bar of alerts that appeared above took no line of the advice.
    await expect(desk.locator("[data-alerts]")).to_be_visible()
    await expect(advice).to_be_in_viewport(ratio=1)
    await pictures(desk, small, "story-5-emergency")
    await alert.locator("[data-open]").click()
    await expect(zhou.inside).to_contain_text(EMERGENCY)
    await expect(zhou.inside.locator(".head .level")).to_contain_text("紧急")
    await picture(desk, "story-5-opened")
    await zhou.inside.locator(".back").click()
    await expect(zhou.inside.locator(".queue > li").first).to_contain_text("紧急")
    await picture(desk, "story-5-queue")


async def pictures(desk: Page, small: Page, name: str, who: str = PATIENT) -> None:
    """The moment on both screens; the small one shows one phone."""
    await picture(desk, name)
    await small.locator(f'[data-name="{who}"]').click()
    await expect(small.locator(".phone:visible")).to_have_count(1)
    assert await fits(small)
    await picture(small, name)


@pytest.mark.parametrize("size", [HANDSET, DESKTOP], ids=["phone", "desktop"])
async def test_a_new_question_comes_into_the_open_queue_by_itself(
    demo: App, screens: Screens, size: tuple[int, int]
) -> None:
    staff = await screens.open(f"{demo.url}/doctor", size)
    await picture(staff, "staff-login")
    await staff.locator("#login").fill(LOGIN)
    await staff.locator("#password").fill("wrong")
    await staff.get_by_role("button", name="登录").click()
    await expect(staff.get_by_role("alert")).to_be_visible()
    await picture(staff, "staff-login-refused")
    await staff.locator("#password").fill(PASSWORD)
    await staff.get_by_role("button", name="登录").click()
    await expect(staff.locator("#queue")).to_be_visible()
    await staff.get_by_role("link", name=re.compile("待认领|未认领")).click()
    await expect(staff.locator("#queue")).to_be_visible()
    await picture(staff, "staff-queue-before")
    opened_at = await staff.evaluate("window.notReloaded = performance.timeOrigin")

    name = "王阿姨" if size == HANDSET else "张伯"
    phones = await screens.open(f"{demo.url}/phones", DESKTOP)
    await phones.locator(".add summary").click()
    await phones.locator("[data-add] [name=name]").fill(name)
    await phones.locator("[data-add] button").click()
    patient = Handset(phones, name)
    await patient.screen.locator("[data-follow]").click()
    await patient.heard.last.get_by_role("button", name="同意").click()
    await patient.hears("谢谢")
    question = DOSES[size]
    await patient.says(question)
    await patient.hears("值班")

    row = staff.locator(".queue > li").filter(has_text=question)
    await expect(row).to_be_visible()
    assert await staff.evaluate("window.notReloaded") == opened_at, "the page was loaded again"
    assert await fits(staff)
    await picture(staff, "staff-queue-live")
    await row.locator("a").click()
    await expect(staff.locator(".head")).to_be_visible()
    assert await fits(staff)
    await picture(staff, "staff-question")
    await staff.get_by_role("button", name="认领，我来回复").click()
    await expect(staff.locator("#answer")).to_be_visible()
    await patient.says("补充一句：昨天查的血小板是52")
    await expect(staff.locator("#thread")).to_contain_text("昨天查的血小板是52")
    assert await fits(staff)
    await picture(staff, "staff-question-claimed")
