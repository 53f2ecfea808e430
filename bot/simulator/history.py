"""What stands on a phone's screen, and how a test asks about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.simulator.richtext import Choice, segments


class Channel(StrEnum):
    """By which way a message came onto the screen."""

    SENT = "sent"
    PASSIVE = "passive"
    ACTIVE = "active"
    TEMPLATE = "template"
    NOTICE = "notice"
    MASS = "mass"
    SYSTEM = "system"


@dataclass(frozen=True)
class Article:
    """A picture with a headline that opens a page."""

    title: str
    description: str = ""
    url: str = ""
    picture: str = ""


@dataclass(kw_only=True)
class Message:
    """One item of the chat. `at` is the phone's time; `text` holds all words that a person would read.

    `kind` is a WeChat message type, or `menu`, `template`, `notice`, `system`.
    """

    id: int = 0
    at: datetime
    channel: Channel
    kind: str
    text: str = ""
    title: str = ""
    url: str = ""
    media_id: str = ""
    sender: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    tail: str = ""
    articles: list[Article] = field(default_factory=list)

    @property
    def mine(self) -> bool:
        """Whether the phone's owner sent it."""
        return self.channel is Channel.SENT

    def tappable(self) -> list[Choice]:
        """The in-message menu: its items and the choices inside the text."""
        return [*self.choices, *(s.choice for s in segments(self.text) if s.choice)]

    def links(self) -> list[str]:
        """Addresses that a tap on this message may open."""
        inside = [s.url for s in segments(self.text) if s.url]
        return [u for u in [self.url, *inside, *(a.url for a in self.articles)] if u]

    def words(self) -> str:
        """Everything readable as one text."""
        lines = [
            self.title,
            self.text,
            *(f"{k}：{v}" for k, v in self.fields),
            *(c.content for c in self.choices),
        ]
        lines += [self.tail, *(f"{a.title} {a.description}" for a in self.articles)]
        return "\n".join(line for line in lines if line.strip())

    def as_json(self) -> dict[str, Any]:
        """For the state file and the control API."""
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Message:
        """Read what `as_json` wrote."""
        given = dict(stored)
        return cls(
            **given
            | {
                "at": datetime.fromisoformat(given["at"]),
                "channel": Channel(given["channel"]),
                "fields": [(k, v) for k, v in given["fields"]],
                "choices": [Choice(**c) for c in given["choices"]],
                "articles": [Article(**a) for a in given["articles"]],
            }
        )


class Heard(Sequence[Message]):
    """Messages that reached a phone. `"120" in phone.hears()` asks whether any of them says so."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = tuple(messages)

    def __getitem__(self, index: Any) -> Any:
        return self._messages[index]

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __contains__(self, wanted: object) -> bool:
        if isinstance(wanted, str):
            return any(wanted in m.words() for m in self._messages)
        return wanted in self._messages

    def by(self, channel: Channel) -> Heard:
        """Those that came this way."""
        return Heard([m for m in self._messages if m.channel is channel])

    @property
    def text(self) -> str:
        """All that was read, one message a paragraph."""
        return "\n\n".join(m.words() for m in self._messages)

    def __repr__(self) -> str:
        return f"Heard({self.text!r})"
