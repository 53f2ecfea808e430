"""The phone page in a real browser: what a person at the demo does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.setup.browser import find
from bot.simulator.config import Person, Role

from .account import PNG, Start, WeChat, reply, staged

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
PEOPLE = (Person(name="林女士"), Person(name="王阿姨"), Person(name="李医生", role=Role.DOCTOR))
PICTURES = Path(__file__).resolve().parents[2] / "var" / "screenshots"
CHOICE = '<a href="weixin://bizmsgmenu?msgmenucontent=%E5%90%8C%E6%84%8F&msgmenuid=agree">1 同意</a>'


@pytest_asyncio.fixture(loop_scope="module")
async def start() -> AsyncIterator[Start]:
    """Start simulators in the loop that the browser runs in."""
    async with staged() as begin:
        yield begin


@pytest_asyncio.fixture(loop_scope="module")
async def demo(start: Start) -> WeChat:
    """Two patients and a doctor before an account with a menu."""
    wechat: WeChat = await start(people=PEOPLE)
    wechat.callback.answers = lambda m: reply(
        m["FromUserName"],
        f'你好\n<a href="{wechat.callback.url}/page?who=someone">说明</a>\n{CHOICE}'
        if m.get("Event") == "subscribe"
        else f"收到：{m.get('Content') or m.get('EventKey') or m['MsgType']}",
    )
    buttons = [{"name": "我的", "sub_button": [{"type": "click", "name": "血小板", "key": "count"}]}]
    await wechat.call("/cgi-bin/menu/create", {"button": buttons})
    return wechat


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page; an error in its scripts fails the test."""
    problems: list[str] = []
    page = await browser.new_page(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield page
    await page.close()
    assert not problems


async def test_a_conversation_is_had_on_the_page(demo: WeChat, page: Page) -> None:
    await page.goto(f"{demo.url}/phones")
    lin, wang = page.locator('[data-phone="林女士"]'), page.locator('[data-phone="王阿姨"]')
    await lin.locator("[data-follow]").click()
    await lin.locator('[data-choice="agree"]').click()
    await expect(lin.locator("[data-message]").last).to_have_text("收到：同意")
    await lin.locator("[data-input]").fill("血小板 2.3万 <b>")
    await lin.locator("[data-send]").click()
    await expect(lin.locator(".mine").last).to_contain_text("血小板 2.3万 <b>")
    await expect(lin.locator("[data-message]").last).to_have_text("收到：血小板 2.3万 <b>")
    await lin.locator("[data-menu-open]").click()
    await lin.locator('[data-menu-key="count"]').click()
    await expect(lin.locator("[data-message]").last).to_have_text("收到：count")
    await lin.locator("[data-photo]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": PNG})
    await expect(lin.locator("[data-message]").last).to_have_text("收到：image")
    await expect(wang.locator("[data-message]")).to_have_count(0)
    await demo.tells(demo.world.phone("林女士"), "李医生：请今天复查")
    await expect(lin.locator('[data-channel="active"]')).to_have_text("李医生：请今天复查")
    assert demo.callback.seen[1]["bizmsgmenuid"] == "agree"
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / "phones-desktop.png")


async def test_two_phones_on_one_page_do_not_share_a_login(demo: WeChat, page: Page) -> None:
    await page.goto(f"{demo.url}/phones")
    for name in ("林女士", "王阿姨"):
        phone = page.locator(f'[data-phone="{name}"]')
        await phone.locator("[data-follow]").click()
        await phone.locator("[data-open]").click()
        inside = phone.frame_locator("[data-page]")
        await expect(inside.locator("body")).to_contain_text("who=nobody")
        await inside.locator("a").click()
        await expect(inside.locator("body")).to_contain_text("who=someone")
        await phone.locator("[data-close-browser]").click()
        await expect(phone.locator("[data-browser]")).to_be_hidden()


async def test_a_code_is_scanned_and_the_clock_is_moved(demo: WeChat, page: Page) -> None:
    body = {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "staff-7"}}, "expire_seconds": 600}
    await demo.call("/cgi-bin/qrcode/create", body)
    await page.goto(f"{demo.url}/phones?show=李医生")
    li = page.locator('[data-phone="李医生"]')
    await li.locator(".profile [data-scan]").click()
    await li.locator("[data-ticket]").click()
    await expect(li).to_have_attribute("data-follows", "yes")
    assert demo.callback.seen[-1]["EventKey"] == "qrscene_staff-7"
    await page.locator(".turn summary").click()
    await page.locator('[data-advance="86400"]').click()
    await expect(page.locator("[data-moved]")).to_have_text("拨快了1天")
    await expect(li.locator(".time").first).to_contain_text("昨天")


async def test_a_narrow_screen_shows_one_phone_and_counts_what_others_received(demo: WeChat, page: Page) -> None:
    lin = demo.world.phone("林女士")
    await lin.follows()
    await page.set_viewport_size({"width": 375, "height": 812})
    await page.goto(f"{demo.url}/phones")
    await page.locator('[data-name="王阿姨"]').click()
    await expect(page.locator(".phone:visible")).to_have_count(1)
    await demo.tells(lin, "您有一条新回复")
    badge = page.locator('[data-name="林女士"] [data-unread]')
    await expect(badge).to_have_text("1")
    await page.locator('[data-name="林女士"]').click()
    await expect(page.locator('[data-phone="林女士"] [data-message]').last).to_be_in_viewport()
    await expect(badge).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_phone_is_added_and_a_failure_is_told(demo: WeChat, page: Page) -> None:
    await page.goto(f"{demo.url}/phones")
    await page.locator(".add summary").click()
    await page.locator("[data-add] [name=name]").fill("赵奶奶")
    await page.locator("[data-add] button").click()
    zhao = page.locator('[data-phone="赵奶奶"]')
    await zhao.locator(".profile [data-scan]").click()
    await zhao.locator("[name=scene]").fill("没有的")
    await zhao.locator("[data-scan-form] button:not(.plain)").click()
    await expect(zhao.locator("[data-toast]")).to_have_text("二维码不存在或已过期")


async def test_calls_appear_while_the_page_is_open(demo: WeChat, page: Page) -> None:
    await page.goto(f"{demo.url}/calls?direction=push")
    await expect(page.locator("[data-call]")).to_have_count(0)
    await demo.world.phone("林女士").follows()
    await expect(page.locator("[data-call]")).to_have_count(1)
    await page.locator("[data-call] summary").click()
    await expect(page.locator("[data-call] pre").first).to_contain_text("subscribe")
