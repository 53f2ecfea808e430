"""What only a real browser shows: pages that change by themselves, and never under the hands of somebody who writes."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright
from sqlalchemy import update

from bot import clock
from bot.care.consultations.states import Level
from bot.web.sessions import StaffSession

pytestmark = pytest.mark.browser
PASSWORD = "correct horse 电池"


@pytest.fixture
async def ward(clinic):
    hospital = await clinic.hospital("江南一院")
    await clinic.staff("li", "李慧", hospital, on_duty=True)
    account, person = await clinic.patient("o-lin", "林晓雨", hospital)
    question = await clinic.asks(account, person, "艾曲泊帕要不要加量")
    return hospital, account, person, question


@pytest.fixture
async def doctor(server, ward) -> AsyncIterator[Page]:
    """A doctor's phone, logged in. What the browser's console complains about fails the test."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(
            viewport={"width": 375, "height": 812}, base_url=str(server.make_url("/")), has_touch=True
        )
        page = await context.new_page()
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" and "401" not in said.text else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto("/login")
        await page.fill("#login", "li")
        await page.fill("#password", PASSWORD)
        await page.click("button[type=submit]")
        await page.wait_for_selector("#queue")
        yield page
        await browser.close()
    assert complaints == []


async def test_a_queue_shows_an_emergency_by_itself(doctor, ward, clinic):
    hospital, *_ = ward
    await doctor.clock.install()
    await doctor.goto("/doctor")
    await doctor.clock.fast_forward(5000)  # nobody has touched the page for a while
    account, person = await clinic.patient("o-new", None, hospital)
    await clinic.asks(account, person, "头疼", level=Level.EMERGENCY, reason="剧烈头痛")

    await doctor.wait_for_selector("text=剧烈头痛")
    assert (await doctor.title()).startswith("紧急1")
    first = await doctor.inner_text(".queue > li:first-child")
    assert "剧烈头痛" in first


async def test_nothing_moves_under_a_reader_and_the_news_waits_at_the_edge(doctor, ward, clinic):
    hospital, *_ = ward
    await doctor.mouse.move(100, 300)
    await doctor.mouse.down()
    await doctor.mouse.up()
    account, person = await clinic.patient("o-new", None, hospital)
    await clinic.asks(account, person, "头疼", reason="新来的问题")
    await doctor.wait_for_selector("#edge:not([hidden])")
    assert await doctor.locator("text=新来的问题").count() == 0

    await doctor.click("#edge")
    await doctor.wait_for_selector("text=新来的问题")


async def test_an_answer_being_written_survives_what_arrives(doctor, ward, clinic):
    _, account, person, question = ward
    await doctor.goto(f"/doctor/consultations/{question}")
    await doctor.click("text=认领，我来回复")
    await doctor.click("text=今天来看")
    await doctor.type("#answer", "别着急。")
    written = await doctor.input_value("#answer")
    assert written.endswith("别着急。")
    assert "血液科门诊" in written

    await clinic.asks(account, person, "还有一句新的")
    await doctor.wait_for_selector("#edge:not([hidden])")
    await doctor.click("#edge")
    await doctor.wait_for_selector("#thread >> text=还有一句新的")
    assert await doctor.input_value("#answer") == written

    await doctor.click("text=发给患者")
    await doctor.wait_for_selector("text=已回复，送达情况见下方")
    assert await doctor.locator(".entry-doctor >> text=别着急").count() == 1
    assert await doctor.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_session_that_ended_elsewhere_leaves_the_page_as_it_was_and_says_so(doctor, ward, clinic):
    *_, question = ward
    await doctor.goto(f"/doctor/consultations/{question}")
    await doctor.click("text=认领，我来回复")
    await doctor.fill("#answer", "写了一半")
    async with clinic.database.transaction() as session:
        await session.execute(update(StaffSession).values(ended_at=clock.real_now()))
    await doctor.evaluate("document.getElementById('live').dispatchEvent(new CustomEvent('refresh'))")

    await doctor.wait_for_selector("text=登录已过期，请重新登录")
    assert await doctor.input_value("#answer") == "写了一半"
    assert await doctor.locator("#thread >> text=艾曲泊帕要不要加量").count() == 1


async def test_a_touched_time_tells_the_exact_minute(doctor, ward):
    *_, question = ward
    await doctor.goto(f"/doctor/consultations/{question}")
    time = doctor.locator("#standing time.when")
    assert "刚刚" in await time.inner_text()
    await time.click()
    assert "年" in await time.inner_text()
