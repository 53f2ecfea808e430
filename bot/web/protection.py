"""What surrounds every page: headers that a browser enforces, and failures in plain words.

Only our pages are touched; the callback, health and metrics of the same listener answer machines.
"""

import traceback
from pathlib import Path
from unicodedata import category
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict, MultiMapping

from bot.settings import Settings
from bot.web.keys import SETTINGS
from bot.web.render import Typed, trouble

log = structlog.get_logger(__name__)

_PAGES = ("/login", "/logout", "/doctor", "/p", "/assets")
_PATHS_OF_MACHINES = ("/wechat", "/healthz", "/readyz", "/metrics", "/actions", "/control")
_LONGEST_TYPED = 20_000


def _is_under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def headers_of(settings: Settings) -> dict[str, str]:
    """The headers of every page: nothing foreign, nothing inline, no frame but the demo's phones."""
    ancestors = "'none'"
    if settings.demo:
        # The demo's phones open links of a chat in a frame beside it.
        host = urlsplit(settings.page_url).hostname or "127.0.0.1"
        hosts = dict.fromkeys((host, "127.0.0.1", "localhost"))
        port = settings.simulator_port or "*"
        ancestors = " ".join(f"http://{name}:{port}" for name in hosts)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; font-src 'self'; "
        f"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if not settings.demo:
        headers["X-Frame-Options"] = "DENY"
    if settings.page_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


@web.middleware
async def protected(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn failures into pages, and put the headers on every page."""
    unknown = request.match_info.http_exception is not None
    if _is_under(request.path, _PATHS_OF_MACHINES) or not (unknown or _is_under(request.path, _PAGES)):
        return await handler(request)
    response = await _in_words(request, handler)
    if not response.prepared:
        for name, value in headers_of(request.app[SETTINGS]).items():
            response.headers.setdefault(name, value)
    return response


async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            for name, value in headers_of(request.app[SETTINGS]).items():
                answer.headers.setdefault(name, value)
            raise
        return _told(request, answer)
    except Exception as error:
        # No words of the request: only which page and which kind of failure.
        # Neither the exception's words nor any variable: they may hold a patient's.
        frames = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
        log.error("page.failed", path=_without_ids(request), error=type(error).__name__, frames=frames)
        typed = request.get(Typed, "")
        return trouble(
            500,
            "刚才没有成功",
            "服务出了点问题，这一步没有完成。",
            kept="之前已经提交的内容都还在。" + ("您刚写的内容在下面，没有发出。" if typed else ""),
            todo="请稍等一会儿再试一次；仍然不行，请联系管理员。情况紧急的患者，请直接打电话。",
            typed=typed,
        )


def _without_ids(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "?"


def _told(request: web.Request, answer: web.HTTPException) -> web.Response:
    typed = request.get(Typed, "")
    kept = "您刚写的内容在下面，没有发出。" if typed else ""
    match answer.status:
        case 403:
            return trouble(
                403,
                "不能看这一页",
                "您的账号没有这一页的权限。",
                kept=kept,
                todo="需要的话，请联系管理员。",
                typed=typed,
            )
        case 404:
            return trouble(
                404,
                "没有找到这一页",
                "这个地址不存在，或者不是给您看的。",
                kept=kept,
                todo="请回到微信里重新点开消息中的链接。",
                typed=typed,
                link=("/doctor", "回到咨询列表") if _is_under(request.path, ("/doctor",)) else None,
            )
        case 405:
            response = trouble(
                405, "不能这样打开", "这个地址不能直接打开。", kept=kept, todo="请返回上一页重试。", typed=typed
            )
            response.headers["Allow"] = answer.headers.get("Allow", "GET")
            return response
        case 413:
            return trouble(413, "内容太长", "提交的内容太长，没有保存。", todo="请返回上一页，缩短后再发。")
        case _:
            return trouble(
                answer.status, "没有成功", "这一步没有完成。", kept=kept, todo="请返回上一页重试。", typed=typed
            )


async def form_of(request: web.Request) -> MultiMapping[str]:
    """The fields of a posted form; what stands in `text` is kept for a page that has to refuse.

    Raises:
        web.HTTPBadRequest: it is not a form as our pages send it (they carry no files).
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest
    try:
        posted = await request.post()
    except (ValueError, LookupError):
        raise web.HTTPBadRequest from None
    form: MultiMapping[str] = MultiDict((name, value) for name, value in posted.items() if isinstance(value, str))
    request[Typed] = field(form, "text")[:_LONGEST_TYPED]
    return form


def field(form: MultiMapping[str], name: str) -> str:
    """One field without control characters; empty when it is missing."""
    value = form.get(name, "").replace("\r\n", "\n")
    return "".join(c for c in value if c in "\n\t" or category(c) not in ("Cc", "Cs"))
