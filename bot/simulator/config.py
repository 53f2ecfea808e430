"""What a simulator is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit


class Mode(StrEnum):
    """How pushes are written, as chosen in an official account's console."""

    PLAIN = "plain"
    COMPATIBLE = "compatible"
    SAFE = "safe"


class Role(StrEnum):
    """Whose phone it is; WeChat knows no roles, the phone page sorts by them."""

    PATIENT = "patient"
    DOCTOR = "doctor"


@dataclass(frozen=True, kw_only=True)
class Person:
    """A phone that is there from the start.

    `follows` makes it a follower already, without an event, as in a world whose database was seeded. `note` is shown
    beside the name on the phone page.
    """

    name: str
    role: Role = Role.PATIENT
    openid: str | None = None
    follows: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template message as approved in the console; `content` names its fields as 「标签：{{key.DATA}}」 lines."""

    id: str
    title: str
    content: str


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Everything a simulator needs; seconds are real seconds.

    Args:
        callback_url: where messages are pushed, path included.
        public_url: the address that links and OAuth redirects carry; the callback's origin when not given.
        templates: the templates that exist; `None` lets any id pass.
        service_accounts: customer service accounts that exist, such as `doctor@gh_demo`.
        state_path: a JSON file that keeps phones and history across restarts.
        clock_url: asked with `{"offset_seconds": N}` after the clock was moved.
        base_url: this simulator's own address, for picture addresses inside pushes.
    """

    callback_url: str
    app_id: str
    app_secret: str = field(repr=False)
    token: str = field(repr=False)
    aes_key: str = field(default="", repr=False)
    mode: Mode = Mode.SAFE
    original_id: str = "gh_itpcompanion"
    account_name: str = "ITP 医患互动平台"
    public_url: str | None = None
    people: tuple[Person, ...] = ()
    templates: tuple[Template, ...] | None = None
    service_accounts: tuple[str, ...] = ()
    state_path: Path | None = None
    clock_url: str | None = None
    base_url: str = "http://127.0.0.1"
    deadline_seconds: float = 5.0
    attempts: int = 3
    handshake_on_start: bool = True

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("WECHAT_TOKEN is empty: WeChat refuses an account without one")
        if self.mode is not Mode.PLAIN and len(self.aes_key) != 43:
            raise ValueError(f"WECHAT_AES_KEY has {len(self.aes_key)} characters, 43 are expected")

    @property
    def callback_origin(self) -> str:
        """Scheme, host and port that the app is reached at."""
        return origin(self.callback_url)

    @property
    def public_origin(self) -> str:
        """Scheme, host and port that the app's links carry."""
        return origin(self.public_url or self.callback_url)


def origin(url: str) -> str:
    """`http://host:port` of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
