"""What a new follower reads: what the service is and is not, and what agreeing covers. The texts are data."""

from dataclasses import dataclass
from functools import cache

import yaml

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
    return Welcome(greeting=texts["welcome"]["text"].strip(), help=texts["help"]["text"].strip())
