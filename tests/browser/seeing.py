"""What a person does and sees: one phone of the phone page, and pages on both kinds of screen."""

from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

PICTURES = Path(__file__).resolve().parents[2] / "var" / "screenshots"
DESKTOP, HANDSET = (1440, 900), (375, 812)
PATIENCE_MS = 20_000


@dataclass(frozen=True)
class Handset:
    """One phone of the phone page, as the person who holds it uses it."""

    page: Page
    name: str

    @property
    def screen(self) -> Locator:
        """The phone."""
        return self.page.locator(f'[data-phone="{self.name}"]')

    @property
    def heard(self) -> Locator:
        """What the phone received."""
        return self.screen.locator("[data-message]:not(.mine):not([data-kind=system])")

    @property
    def inside(self) -> Locator:
        """The page in the phone's browser."""
        return self.screen.frame_locator("[data-page]").locator("body")

    async def says(self, words: str) -> None:
        """Type and send."""
        await self.screen.locator("[data-input]").fill(words)
        await self.screen.locator("[data-send]").click()

    async def hears(self, words: str) -> Locator:
        """The newest message with these words, once it is there."""
        message = self.heard.filter(has_text=words).last
        await expect(message).to_be_visible()
        return message

    async def closes_browser(self) -> None:
        """Back to the chat."""
        await self.screen.locator("[data-close-browser]").click()
        await expect(self.screen.locator("[data-browser]")).to_be_hidden()


@dataclass(frozen=True)
class Screens:
    """Opens pages; what their scripts complain of is kept."""

    browser: Browser
    complaints: list[str]

    async def open(self, url: str, size: tuple[int, int]) -> Page:
        """A page in a browser of its own: with cookies of its own, and Chinese time."""
        width, height = size
        context = await self.browser.new_context(
            viewport={"width": width, "height": height}, locale="zh-CN", timezone_id="Asia/Shanghai"
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if _is_complaint(line) else None)
        await page.goto(url)
        return page


def _is_complaint(line: ConsoleMessage) -> bool:
    # A page in a phone's browser is a frame, which may not take the focus; a refused log-in is a 401 on purpose.
    expected = ("Blocked autofocusing", "the server responded with a status of 401")
    return line.type == "error" and not any(words in line.text for words in expected)


async def picture(page: Page, name: str) -> None:
    """Keep how a page looks now, below var/screenshots."""
    size = "phone" if await page.evaluate("innerWidth") < 1000 else "desktop"
    await page.screenshot(path=PICTURES / f"{name}-{size}.png", animations="disabled")


async def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
