"""The text that people agree to, as the page shows it: `data/texts/welcome.yml`."""

from functools import cache
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints

from bot.settings import ROOT

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Section(_Part):
    """One thing that is told before somebody agrees."""

    title: Text
    text: Text


class Service(_Part):
    """What the service is and is not."""

    title: Text
    does: tuple[Text, ...]
    does_not: tuple[Text, ...]


class ConsentText(_Part):
    """The agreement itself, in its version."""

    version: int
    title: Text
    intro: Text
    sections: tuple[Section, ...]
    agree: Text


class Welcome(_Part):
    """Everything on the page."""

    status: Literal["draft", "approved"]
    service: Service
    consent: ConsentText
    without_consent: Section


@cache
def welcome() -> Welcome:
    """The texts, read once.

    Raises:
        pydantic.ValidationError: the file lacks something that must be told.
    """
    return Welcome.model_validate(yaml.safe_load((ROOT / "data" / "texts" / "welcome.yml").read_text("utf-8")))
