"""The browser inside a phone: its own cookies, its own user in the OAuth hop.

Phones on one page would share one cookie jar, and the second patient would read the first one's pages. So each phone's
pages go through here, under a host name of its own (`p1.localhost`), and their cookies stay here.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urljoin, urlsplit

import aiohttp
from yarl import URL

from bot.simulator.api.oauth import AUTHORIZE, authorize
from bot.simulator.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.simulator.phone import Phone

USER_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "MicroMessenger/8.0.60(0x18003c2f) NetType/WIFI Language/zh_CN"
)
_HOPS = 10


@dataclass(frozen=True)
class Page:
    """What a phone's browser ended up with; `url` is the address after all redirects."""

    status: int
    url: str
    text: str


class Browser:
    """Requests of one phone to the app, redirects not followed, cookies kept per phone."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.cookies: dict[str, str] = {}

    def cookie_header(self) -> dict[str, str]:
        """The Cookie header of the next request."""
        return {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}

    def keep_cookies(self, headers: list[str]) -> None:
        """Take over what `Set-Cookie` lines say; an expired or emptied one is forgotten."""
        for header in headers:
            try:
                jar = SimpleCookie(header)
            except CookieError:
                continue
            for name, morsel in jar.items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.coded_value

    def reachable(self, url: str) -> str:
        """The address that the app really listens at, for one that carries its public address."""
        config = self.phone.world.config
        if config.public_origin != config.callback_origin and url.startswith(config.public_origin):
            return config.callback_origin + url.removeprefix(config.public_origin)
        return url

    async def open(self, url: str) -> Page:
        """GET an address, follow redirects, go through the OAuth hop as this phone's user."""
        return await self.request("GET", url)

    async def submit(self, url: str, form: Mapping[str, str]) -> Page:
        """POST a form and follow where it leads."""
        return await self.request("POST", url, form)

    async def request(self, method: str, url: str, form: Mapping[str, str] | None = None) -> Page:
        """One request with all its redirects."""
        for _ in range(_HOPS):
            parts = urlsplit(url)
            if parts.path == AUTHORIZE:
                try:
                    url = authorize(self.phone.world, self.phone, dict(parse_qsl(parts.query)))
                except Refused as error:
                    return Page(200, url, error.message)
                continue
            headers = self.cookie_header() | {"User-Agent": USER_AGENT}
            target = URL(self.reachable(url.split("#")[0]), encoded=True)
            async with self.phone.world.http.request(
                method,
                target,
                data=form,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(30),
            ) as response:
                self.keep_cookies(response.headers.getall("Set-Cookie", []))
                location = response.headers.get("Location")
                if response.status not in (301, 302, 303, 307, 308) or location is None:
                    return Page(response.status, url, await response.text(errors="replace"))
                url = urljoin(url, location)
                if response.status < 307:
                    method, form = "GET", None
        return Page(310, url, "too many redirects")
