"""Templates, and what every page may use in them."""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot import clock
from bot.web import words
from bot.web.assets import asset_url

Typed = web.RequestKey("typed", str)
"""What somebody typed into the form of this request, so that no failure loses it."""


def when(moment: datetime | None) -> Markup:
    """A moment as people say it, exact on pointing or touch."""
    if moment is None:
        return Markup("")
    stamp, full, said = moment.isoformat(), words.exact(moment), words.ago(moment, clock.now())
    return Markup('<time class="when" datetime="{}" title="{}" data-exact="{}">{}</time>').format(
        stamp, full, full, said
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=asset_url, when=when, words=words)
    return environment


def page(template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A page of ours as a response. Pages of people's affairs are never kept by a cache."""
    html = _environment().get_template(template).render(context)
    return web.Response(
        text=html, status=status, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-store"}
    )


def trouble(
    status: int,
    title: str,
    what: str,
    *,
    kept: str = "",
    todo: str = "",
    typed: str = "",
    link: tuple[str, str] | None = None,
) -> web.Response:
    """A page that says what happened, what was kept and what to do. `link` is (address, words)."""
    return page("trouble.html", status=status, title=title, what=what, kept=kept, todo=todo, typed=typed, link=link)
