"""What a new follower reads: what the service is and is not, and what agreeing covers. The texts are data."""

from dataclasses import dataclass
from functools import cache

import yaml

from bot.dialogue.phrases import page_url
from bot.settings import ROOT


@dataclass(frozen=True, slots=True)
class Welcome:
    """The greeting after following, and the help text."""

    greeting: str
    help: str


@cache
def welcome() -> Welcome:
    """Read once from `data/texts/welcome.yml`."""
    texts = yaml.safe_load((ROOT / "data" / "texts" / "welcome.yml").read_text("utf-8"))
    link = f'<a href="{page_url()}/p/consent">{texts["welcome"]["link"]}</a>'
    return Welcome(greeting=f"{texts['welcome']['text'].strip()}\n{link}", help=texts["help"]["text"].strip())
