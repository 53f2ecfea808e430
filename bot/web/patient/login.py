"""Patients' page login through WeChat: no password, a single-use `state` bound to the browser, a session of two hours."""

import base64
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from aiohttp import web
from sqlalchemy import select

from bot import clock
from bot.store.accounts import Account, blind_openid
from bot.web.cookies import cookie, drop_cookie, new_token, same, set_cookie, token_hash
from bot.web.keys import DATABASE, SETTINGS, WECHAT_LOGIN
from bot.web.render import trouble
from bot.web.sessions import PatientSession

log = structlog.get_logger(__name__)

_SESSION = "itp_patient"
_STATE = "itp_state_"
IDLE = timedelta(hours=2)
_STATE_SECONDS = 600
_TARGET = re.compile(r"^/p/[A-Za-z0-9/_.-]{1,200}$")

ACCOUNT = web.RequestKey("account", Account)
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


def patient_only(page: Page) -> Page:
    """Know who is asking, through WeChat when they come for the first time."""

    async def known(request: web.Request) -> web.StreamResponse:
        account = await _account_of(request)
        if account is None:
            return _to_wechat(request, request.path)
        request[ACCOUNT] = account
        return await page(request)

    return known


async def _account_of(request: web.Request) -> Account | None:
    token = cookie(request, _SESSION)
    if not token:
        return None
    now = clock.real_now()
    async with request.app[DATABASE].transaction() as session:
        login = await session.get(PatientSession, token_hash(token))
        if login is None or login.ended_at is not None or login.seen_at <= now - IDLE:
            return None
        login.seen_at = now
        return await session.get(Account, login.account_id)


def _to_wechat(request: web.Request, target: str) -> web.StreamResponse:
    wechat = request.app[WECHAT_LOGIN]
    if wechat is None:
        return trouble(
            503, "现在打不开", "微信登录还没有开通，所以不能确认是您本人。", todo="请直接在微信里给我们发消息。"
        )
    if not _TARGET.match(target):
        raise web.HTTPNotFound
    state = new_token()
    back = request.app[SETTINGS].page_url + "/p/back"
    response = web.HTTPFound(wechat.oauth_url(back, state))
    # One cookie a login, so that two pages opened at once do not spoil each other's.
    kept = f"{state}.{base64.urlsafe_b64encode(target.encode()).decode()}"
    set_cookie(request, response, _STATE + state[:8], kept, seconds=_STATE_SECONDS)
    raise response


async def came_back(request: web.Request) -> web.StreamResponse:
    """Back from WeChat with a code: find the account, open a session, go on to the page that was asked for."""
    state, code = request.query.get("state", ""), request.query.get("code", "")
    name = _STATE + (state[:8] if re.fullmatch(r"[A-Za-z0-9_-]{43}", state) else "none")
    kept, _, packed = cookie(request, name).partition(".")
    target = _unpacked(packed)
    if target is None or not same(state, kept):
        return _again(None)
    if not code or len(code) > 512:
        return _dropped(request, name, _again(target))
    wechat = request.app[WECHAT_LOGIN]
    if wechat is None:
        return _dropped(request, name, _again(target))
    try:
        openid = await wechat.oauth_openid(code)
    except Exception as error:
        log.warning("page_login.failed", error=type(error).__name__)
        return _dropped(request, name, _again(target))
    token, now = new_token(), clock.real_now()
    database = request.app[DATABASE]
    async with database.transaction() as session:
        found = await session.scalar(
            select(Account).where(Account.openid_blind == blind_openid(database.vault, openid))
        )
        if found is not None:
            session.add(
                PatientSession(
                    token_hash=token_hash(token), account_id=found.id, csrf=new_token(), created_at=now, seen_at=now
                )
            )
    if found is None:
        unknown = trouble(
            404, "还不认识您", "这个微信还没有关注我们的公众号。", todo="请先关注公众号，再从消息里打开链接。"
        )
        return _dropped(request, name, unknown)
    response = web.HTTPFound(target)
    set_cookie(request, response, _SESSION, token, seconds=None)
    drop_cookie(request, response, name)
    raise response


def _dropped(request: web.Request, name: str, response: web.Response) -> web.Response:
    drop_cookie(request, response, name)
    return response


def _unpacked(packed: str) -> str | None:
    try:
        target = base64.urlsafe_b64decode(packed.encode("ascii")).decode("ascii")
    except (ValueError, UnicodeError):
        return None
    return target if _TARGET.match(target) else None


def _again(target: str | None) -> web.Response:
    return trouble(
        400,
        "登录没有完成",
        "微信登录中断或者过期了。",
        kept="您的消息和记录都还在。",
        todo="再点一次就好。" if target else "请回到微信，重新点开消息里的链接。",
        link=(target, "再试一次") if target else None,
    )
