"""Who is asking: sessions of staff, roles, and the token that every form carries."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from aiohttp import web
from multidict import MultiMapping
from sqlalchemy import select

from bot import clock
from bot.care.roster import Role, Staff
from bot.web.cookies import cookie, same, token_hash
from bot.web.keys import DATABASE
from bot.web.protection import field, form_of
from bot.web.render import Typed, trouble
from bot.web.sessions import StaffSession

SESSION = "itp_staff"
IDLE = timedelta(hours=12)
_SEEN_EVERY = timedelta(minutes=1)
LIVE = "Itp-Live"
"""The header of requests that a page makes by itself: they do not keep a session alive."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The member of staff behind a request. `csrf` goes into every form of theirs."""

    staff: Staff
    csrf: str
    session_hash: bytes


ACTOR = web.RequestKey("actor", Actor)
FORM = web.RequestKey("form", MultiMapping)
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def actor_of(request: web.Request, *, by_hand: bool = True) -> Actor | None:
    """Whose session the request carries, or None. `by_hand` False: nobody did anything, the session grows older.

    A session's life runs on real time: the demo's clock may jump by days.
    """
    token = cookie(request, SESSION)
    if not token:
        return None
    now = clock.real_now()
    async with request.app[DATABASE].transaction() as session:
        statement = (
            select(StaffSession, Staff)
            .join(Staff, Staff.id == StaffSession.staff_id)
            .where(StaffSession.token_hash == token_hash(token), StaffSession.ended_at.is_(None))
            .where(StaffSession.seen_at > now - IDLE, Staff.active.is_(True))
        )
        found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        login, staff = found
        if by_hand and now - login.seen_at > _SEEN_EVERY:
            login.seen_at = now
    return Actor(staff, login.csrf, login.token_hash)


async def still_in(request: web.Request, actor: Actor, now: datetime) -> bool:
    """Whether a page that stays open may go on hearing of changes."""
    async with request.app[DATABASE].reading() as session:
        login = await session.get(StaffSession, actor.session_hash)
        staff = await session.get(Staff, actor.staff.id)
    return (
        login is not None
        and login.ended_at is None
        and login.seen_at > now - IDLE
        and staff is not None
        and staff.active
        and staff.role is actor.staff.role
    )


def require(*roles: Role) -> Callable[[Page], Page]:
    """Let only these roles through; a form must carry its session's token.

    Without a session a page sends to the log-in and comes back; a form is refused with what was typed into it.
    """

    def around(page: Page) -> Page:
        async def guarded(request: web.Request) -> web.StreamResponse:
            posted = await form_of(request) if request.method == "POST" else None
            live = LIVE in request.headers
            actor = await actor_of(request, by_hand=not live)
            if actor is None:
                return _nobody(request, live=live)
            request[ACTOR] = actor
            if posted is not None:
                if not same(field(posted, "csrf"), actor.csrf):
                    return refused_form(request)
                request[FORM] = posted
            if actor.staff.role not in roles:
                raise web.HTTPForbidden
            return await page(request)

        return guarded

    return around


def _nobody(request: web.Request, *, live: bool) -> web.StreamResponse:
    back = "/login?next=" + quote(request.path_qs if request.method == "GET" else "/doctor", safe="")
    if request.method == "GET" and not live:
        raise web.HTTPSeeOther(back)
    return trouble(
        401,
        "请重新登录",
        "您的登录已经过期，这一步没有完成。",
        kept="您刚写的内容在下面，没有发出，请先复制。" if request.get(Typed) else "",
        todo="重新登录后再做一次。",
        typed=request.get(Typed, ""),
        link=(back, "去登录"),
    )


def refused_form(request: web.Request) -> web.Response:
    """The form does not come from a page that we gave to this session."""
    return trouble(
        403,
        "这一步没有完成",
        "页面打开得太久，或者不是从本站打开的，为了安全没有提交。",
        kept="您刚写的内容在下面，没有发出，请先复制。" if request.get(Typed) else "",
        todo="请返回上一页刷新后再试。",
        typed=request.get(Typed, ""),
        link=("/doctor", "回到咨询列表"),
    )
