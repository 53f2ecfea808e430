"""Cookies: random ids only, out of reach of scripts, tied to our host where the address is https."""

import hashlib
import hmac
import secrets

from aiohttp import web

from bot.web.keys import SETTINGS


def _secure(request: web.Request) -> bool:
    return request.app[SETTINGS].page_url.startswith("https://")


def _name(request: web.Request, name: str) -> str:
    return f"__Host-{name}" if _secure(request) else name


def cookie(request: web.Request, name: str) -> str:
    """The value of one of our cookies, or empty."""
    return request.cookies.get(_name(request, name), "")


def set_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, *, seconds: int | None
) -> None:
    """Give the browser one of our cookies; until it is closed when `seconds` is None."""
    response.set_cookie(
        _name(request, name), value, max_age=seconds, path="/", httponly=True, samesite="Lax", secure=_secure(request)
    )


def drop_cookie(request: web.Request, response: web.StreamResponse, name: str) -> None:
    """Take it back."""
    response.del_cookie(_name(request, name), path="/", httponly=True, samesite="Lax", secure=_secure(request))


def new_token() -> str:
    """A value nobody can guess (256 bits)."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def same(given: str, expected: str) -> bool:
    """Whether two tokens are the same, in a time that tells nothing; an empty one never is."""
    return bool(expected) and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )
