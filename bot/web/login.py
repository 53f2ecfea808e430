"""Logging in and out of the staff's pages."""

import math
import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from aiohttp import web
from sqlalchemy import delete, func, select, update
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care.roster import Role, Staff
from bot.store import audit
from bot.store.base import new_id
from bot.store.database import vault_of
from bot.web.cookies import cookie, drop_cookie, new_token, same, set_cookie, token_hash
from bot.web.guard import ACTOR, SESSION, actor_of, require
from bot.web.keys import DATABASE, HASHING
from bot.web.passwords import verify_password
from bot.web.protection import field, form_of
from bot.web.render import page
from bot.web.sessions import LoginTrouble, StaffSession

_FORM = "itp_form"
_DEVICE = "itp_device"
_KNOWN_FOR = timedelta(days=180)
TRIES = 5
WITHIN = timedelta(minutes=15)
_PATH = re.compile(r"^/(?![/\\])[\x21-\x7e]*$")


def safe_next(wanted: str) -> str:
    """A path of ours to go on to after the log-in, or the queue."""
    return wanted if _PATH.match(wanted) and not urlsplit(wanted).netloc and "\\" not in wanted else "/doctor"


async def login_page(request: web.Request) -> web.StreamResponse:
    """The form. Somebody who is in already goes on."""
    target = safe_next(request.query.get("next", ""))
    if await actor_of(request) is not None:
        raise web.HTTPSeeOther(target)
    return _form(request, target)


def _form(
    request: web.Request, target: str, *, login: str = "", refusal: str = "", status: int = 200
) -> web.StreamResponse:
    token = cookie(request, _FORM) or new_token()
    response = page("login.html", status=status, target=target, login=login, refusal=refusal, token=token)
    set_cookie(request, response, _FORM, token, seconds=None)
    return response


async def log_in(request: web.Request) -> web.StreamResponse:
    """Check login name and password; a fresh session when they are right."""
    form = await form_of(request)
    login = field(form, "login").strip()[:200]
    password = form.get("password", "")[:1000].encode("utf-8", "replace").decode()
    target = safe_next(field(form, "next"))
    if not same(field(form, "token"), cookie(request, _FORM)):
        return _form(request, target, login=login, refusal="页面打开得太久了，请再试一次。", status=403)
    if not login or not password:
        return _form(request, target, login=login, refusal="请填写账号和密码。", status=400)
    database, now = request.app[DATABASE], clock.real_now()
    async with database.transaction() as session:
        guesser = _guesser(request, session, login)
        wait = await _wait_or_count(session, guesser, now)
        staff = await session.scalar(select(Staff).where(Staff.login == login))
    if wait is not None:
        refusal = f"这个账号刚才输错了{TRIES}次密码，为了安全，请等{wait}分钟再试。忘记密码请联系管理员。"
        return _form(request, target, login=login, refusal=refusal, status=429)
    stored = staff.password_hash if staff is not None and staff.active else None
    right, renewed = await verify_password(stored, password, request.app[HASHING])
    if not right or staff is None:
        return _form(request, target, login=login, refusal="账号或密码不对，请检查后再试。", status=401)
    token = new_token()
    async with database.transaction() as session:
        await session.execute(delete(LoginTrouble).where(LoginTrouble.login_blind == guesser))
        if renewed is not None:
            await session.execute(update(Staff).where(Staff.id == staff.id).values(password_hash=renewed))
        await _end(session, cookie(request, SESSION), now)
        session.add(
            StaffSession(
                token_hash=token_hash(token),
                staff_id=staff.id,
                csrf=new_token(),
                created_at=now,
                seen_at=now,
                device=request.headers.get("User-Agent", "")[:200] or None,
            )
        )
        _audited(session, staff, "signed_in")
        device = _device_mark(session, login, new_token())
    response = web.HTTPSeeOther(target)
    set_cookie(request, response, SESSION, token, seconds=None)
    set_cookie(request, response, _DEVICE, device, seconds=int(_KNOWN_FOR.total_seconds()))
    drop_cookie(request, response, _FORM)
    raise response


def _device_mark(session: AsyncSession, login: str, nonce: str) -> str:
    return f"{nonce}.{vault_of(session).blind(f'{login}\0{nonce}', 'device').hex()}"


def _guesser(request: web.Request, session: AsyncSession, login: str) -> bytes:
    """Whose failures are counted together: those for a login name, or those on a device that this login came from before.

    Somebody who guesses at a doctor's password must not keep the doctor out during an emergency.
    """
    mark = cookie(request, _DEVICE)
    nonce = mark.partition(".")[0]
    known = bool(nonce) and same(mark, _device_mark(session, login, nonce))
    return vault_of(session).blind(f"{login}\0{nonce}" if known else login, "login")


async def _wait_or_count(session: AsyncSession, guesser: bytes, now: datetime) -> int | None:
    """Minutes to wait, or None and this try is counted as a failure until it proves right.

    Counting first means that a hundred guesses sent at once are five guesses. Unknown names wait like known ones.
    """
    number = int.from_bytes(guesser[:8], "big", signed=True)
    await session.execute(sql("select pg_advisory_xact_lock(:n)"), {"n": number})
    await session.execute(delete(LoginTrouble).where(LoginTrouble.at < now - WITHIN))
    statement = select(func.count(), func.min(LoginTrouble.at)).where(LoginTrouble.login_blind == guesser)
    failures, first = (await session.execute(statement)).one()
    if failures >= TRIES:
        return max(1, math.ceil((first + WITHIN - now) / timedelta(minutes=1)))
    session.add(LoginTrouble(id=new_id(), login_blind=guesser, at=now))
    return None


@require(*Role)
async def log_out(request: web.Request) -> web.StreamResponse:
    """End the session, here and in every open page of it."""
    async with request.app[DATABASE].transaction() as session:
        await _end(session, cookie(request, SESSION), clock.real_now())
        _audited(session, request[ACTOR].staff, "signed_out")
    response = web.HTTPSeeOther("/login")
    drop_cookie(request, response, SESSION)
    raise response


async def _end(session: AsyncSession, token: str, now: datetime) -> None:
    if token:
        statement = update(StaffSession).where(StaffSession.token_hash == token_hash(token))
        await session.execute(statement.where(StaffSession.ended_at.is_(None)).values(ended_at=now))


def _audited(session: AsyncSession, staff: Staff, act: str) -> None:
    audit.record(session, act, actor_kind="staff", actor_id=staff.id, subject_kind="staff", subject_id=staff.id)
