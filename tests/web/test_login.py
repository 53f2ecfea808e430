"""Logging in and out: who gets in, who waits, and when a session ends."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from bot import clock
from bot.care.roster import Role, Staff
from bot.settings import Settings
from bot.store.audit import AuditEntry
from bot.web.login import TRIES, safe_next
from bot.web.sessions import LoginTrouble, StaffSession


async def test_a_doctor_logs_in_and_sees_the_queue(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()

    html = await page.logs_in("li")

    assert page.status == 200
    assert page.url == "/doctor"
    assert "李慧" in html
    assert [entry.act for entry in await clinic.rows(AuditEntry, AuditEntry.act == "signed_in")] == ["signed_in"]


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_only_its_hash_is_stored(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    await page.opens("/login")
    sent = {"login": "li", "password": "correct horse 电池", "token": page.hidden("token"), "next": "/doctor"}
    async with page.client.post("/login", data=sent, allow_redirects=False) as answer:
        cookie = next(line for line in answer.headers.getall("Set-Cookie") if line.startswith("itp_staff="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    token = re.match(r"itp_staff=([^;]+)", cookie)[1]
    stored = await clinic.rows(StaffSession)
    assert len(stored) == 1
    assert token.encode() not in stored[0].token_hash


@pytest.mark.parametrize(
    ("login", "password"), [("li", "wrong"), ("nobody", "correct horse 电池"), ("gone", "correct horse 电池")]
)
async def test_a_wrong_password_an_unknown_login_and_a_former_colleague_are_told_the_same(
    clinic, browser, login, password
):
    hospital = await clinic.hospital("一院")
    await clinic.staff("li", "李慧", hospital)
    gone = await clinic.staff("gone", "走了", hospital)
    async with clinic.database.transaction() as session:
        await session.execute(update(Staff).where(Staff.id == gone.id).values(active=False))
    page = await browser()

    html = await page.logs_in(login, password)

    assert page.status == 401
    assert "账号或密码不对" in html
    assert f'value="{login}"' in html
    assert await clinic.rows(StaffSession) == []


@pytest.mark.parametrize("login", ["li", "nobody"])
async def test_after_five_failures_a_login_waits_even_with_the_right_password(clinic, browser, login):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    for _ in range(TRIES):
        await page.logs_in(login, "wrong")
        assert page.status == 401

    html = await page.logs_in(login)

    assert page.status == 429
    assert "请等15分钟再试" in html
    assert await clinic.rows(StaffSession) == []


async def test_others_are_not_held_up_and_the_wait_ends(clinic, browser):
    hospital = await clinic.hospital("一院")
    await clinic.staff("li", "李慧", hospital)
    await clinic.staff("wang", "王建国", hospital)
    page = await browser()
    for _ in range(TRIES):
        await page.logs_in("li", "wrong")
    await page.logs_in("wang")
    assert page.url == "/doctor"

    async with clinic.database.transaction() as session:
        await session.execute(update(LoginTrouble).values(at=LoginTrouble.at - timedelta(minutes=16)))
    other = await browser()
    await other.logs_in("li")
    assert other.url == "/doctor"


async def test_somebody_who_guesses_does_not_keep_a_doctor_out_of_their_own_device(clinic, browser):
    hospital = await clinic.hospital("一院")
    await clinic.staff("li", "李慧", hospital)
    await clinic.staff("wang", "王建国", hospital)
    own, guesser = await browser(), await browser()
    await own.logs_in("li")
    await own.sends("/logout", csrf=own.hidden("csrf"))
    for _ in range(TRIES):
        await guesser.logs_in("li", "wrong")
    assert (await guesser.logs_in("li"), guesser.status)[1] == 429

    await own.logs_in("li")
    assert own.url == "/doctor"

    await own.sends("/logout", csrf=own.hidden("csrf"))
    for _ in range(TRIES):
        await own.logs_in("li", "wrong")
    await own.logs_in("li")
    assert own.status == 429


async def test_a_right_password_forgets_the_failures_before_it(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    for _ in range(TRIES - 1):
        await page.logs_in("li", "wrong")
    await page.logs_in("li")
    assert page.url == "/doctor"
    assert await clinic.rows(LoginTrouble) == []


async def test_a_login_form_from_elsewhere_is_refused(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    html = await page.sends("/login", login="li", password="correct horse 电池", token="")
    assert page.status == 403
    assert "请再试一次" in html
    assert await clinic.rows(StaffSession) == []


async def test_leaving_ends_the_session_in_every_window(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    await page.logs_in("li")
    kept = page.client.session.cookie_jar.filter_cookies(page.client.make_url("/"))["itp_staff"].value

    await page.sends("/logout", csrf=page.hidden("csrf"))
    assert page.url == "/login"

    thief = await browser()
    html = await thief.opens("/doctor", cookies={"itp_staff": kept})
    assert thief.url.startswith("/login")
    assert "李慧" not in html


async def test_a_session_ends_after_twelve_idle_hours_and_open_pages_do_not_keep_it(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    await page.logs_in("li")
    async with clinic.database.transaction() as session:
        await session.execute(update(StaffSession).values(seen_at=clock.real_now() - timedelta(hours=11)))
    await page.opens("/doctor", headers={"Itp-Live": "1"})
    assert page.status == 200
    async with clinic.database.transaction() as session:
        await session.execute(update(StaffSession).values(seen_at=StaffSession.seen_at - timedelta(hours=1, minutes=1)))
    await page.opens("/doctor")
    assert page.url.startswith("/login")


async def test_the_demos_clock_may_jump_a_day_without_logging_anybody_out(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    await page.logs_in("li")
    clock.set_offset(timedelta(days=1))
    await page.opens("/doctor")
    assert page.url == "/doctor"


async def test_a_link_from_an_alert_is_reached_after_logging_in(clinic, browser):
    await clinic.staff("li", "李慧", await clinic.hospital("一院"))
    page = await browser()
    await page.opens("/doctor?tab=mine")
    assert page.url.startswith("/login?next=")
    assert page.hidden("next") == "/doctor?tab=mine"


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "javascript:1", ""]
)
def test_nobody_is_sent_elsewhere_after_logging_in(wanted):
    assert safe_next(wanted) == "/doctor"


@pytest.mark.parametrize(
    "role", [role for role in Role if role not in (Role.DOCTOR, Role.LEAD_DOCTOR, Role.NURSE, Role.ADMINISTRATOR)]
)
async def test_other_roles_are_refused_the_doctors_pages(clinic, browser, role):
    await clinic.staff("who", "某人", await clinic.hospital("一院"), role)
    page = await browser()
    html = await page.logs_in("who")
    assert page.status == 403
    assert "没有这一页的权限" in html


async def test_every_page_carries_headers_that_allow_nothing_foreign(browser):
    page = await browser()
    await page.opens("/login")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    assert "<script>" not in page.html
    assert "style=" not in page.html


async def test_only_the_demos_phones_may_frame_a_page(browser):
    page = await browser()
    await page.opens("/login")
    ancestors = page.headers["Content-Security-Policy"].partition("frame-ancestors ")[2]
    assert ancestors
    assert all(one.startswith(("http://127.0.0.1:", "http://localhost:")) for one in ancestors.split())


class TestInProduction:
    """An https address: cookies tied to the host, no frames at all."""

    @pytest.fixture
    def settings(self) -> Settings:
        key = "A" * 43 + "="
        return Settings(  # type: ignore[call-arg]
            _env_file=None,
            env="production",
            database_url="postgresql://nobody@127.0.0.1/none",
            redis_url="redis://127.0.0.1:1/0",
            data_key=key,
            engine_data_key=key,
            public_url="https://itp.example",
            wechat_app_id="wx0",
            wechat_app_secret="s",
            wechat_token="t",
            wechat_aes_key="A" * 43,
        )

    async def test_cookies_are_secure_and_bound_to_the_host(self, browser):
        page = await browser()
        await page.opens("/login")
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-itp_form=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie

    async def test_nobody_may_frame_a_page(self, browser):
        page = await browser()
        await page.opens("/login")
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "Strict-Transport-Security" in page.headers
