"""What a doctor's browser does, for stories played without a screen: log in, open a page, send one of its forms."""

import re
from dataclasses import dataclass, field
from html import unescape

from bot.simulator.browser import Browser, Page

_FORM = re.compile(r"<form\b[^>]*action=\"(?P<action>[^\"]*)\"[^>]*>(?P<inside>.*?)</form>", re.S)
_HIDDEN = re.compile(r"<input\b[^>]*type=\"hidden\"[^>]*>")
_NAME, _VALUE = re.compile(r"name=\"([^\"]*)\""), re.compile(r"value=\"([^\"]*)\"")


class NoSuchForm(Exception):
    """The page has no form that goes there."""


@dataclass
class StaffBrowser:
    """A browser of a member of staff."""

    browser: Browser
    page: Page | None = field(default=None)

    async def log_in(self, base: str, login: str, password: str) -> Page:
        """Log in on the page."""
        self.page = await self.browser.open(f"{base}/login")
        return await self.send("/login", login=login, password=password)

    async def open(self, url: str) -> Page:
        """Open an address."""
        self.page = await self.browser.open(url)
        return self.page

    async def send(self, action: str, **fields: str) -> Page:
        """Fill and send the form of the page whose address ends in `action`.

        Raises:
            NoSuchForm: there is none.
        """
        assert self.page is not None
        for found in _FORM.finditer(self.page.text):
            if found["action"].endswith(action):
                hidden = {
                    unescape(_one(_NAME, tag)): unescape(_one(_VALUE, tag)) for tag in _HIDDEN.findall(found["inside"])
                }
                base = self.page.url.split("/", 3)
                url = "/".join(base[:3]) + unescape(found["action"])
                self.page = await self.browser.submit(url, {**hidden, **fields})
                return self.page
        raise NoSuchForm(action)


def _one(pattern: re.Pattern[str], tag: str) -> str:
    found = pattern.search(tag)
    return found[1] if found else ""
