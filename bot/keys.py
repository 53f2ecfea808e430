"""Secrets that nobody configured: made once for a demo, kept in a file that only its owner may read.

Production refuses to start without those that protect data; the secrets between app and engine may always be made here.
"""

import base64
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from bot.settings import Settings


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Every secret in force."""

    data_keys: tuple[str, ...]
    engine_data_key: str
    engine_secret: str
    engine_token: str
    action_secret: str
    app_id: str
    app_secret: str
    token: str
    aes_key: str


def _32_bytes() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def random_aes_key() -> str:
    """An EncodingAESKey as WeChat's console makes them: 43 letters and digits."""
    while True:
        key = _32_bytes().rstrip("=")
        if key.isalnum():
            return key


_MADE: dict[str, Callable[[], str]] = {
    "data_key": _32_bytes,
    "engine_data_key": _32_bytes,
    "engine_secret": lambda: secrets.token_urlsafe(32),
    "engine_token": lambda: secrets.token_hex(32),
    "action_secret": lambda: secrets.token_urlsafe(32),
    "wechat_app_id": lambda: "wx" + secrets.token_hex(8),
    "wechat_app_secret": lambda: secrets.token_hex(16),
    "wechat_token": lambda: secrets.token_hex(8),
    "wechat_aes_key": random_aes_key,
}


def load(settings: Settings) -> Secrets:
    """What is configured, and for the rest what was made before or is made now."""
    path = settings.var_dir / "keys.json"
    kept: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def value(name: str) -> str:
        given = getattr(settings, name)
        if given is not None:
            return given.get_secret_value() if isinstance(given, SecretStr) else str(given)
        if name not in kept:
            kept[name] = _MADE[name]()
        return kept[name]

    before = dict(kept)
    previous = settings.data_key_previous
    found = Secrets(
        data_keys=(value("data_key"), *([previous.get_secret_value()] if previous is not None else [])),
        engine_data_key=value("engine_data_key"),
        engine_secret=value("engine_secret"),
        engine_token=value("engine_token"),
        action_secret=value("action_secret"),
        app_id=value("wechat_app_id"),
        app_secret=value("wechat_app_secret"),
        token=value("wechat_token"),
        aes_key=value("wechat_aes_key"),
    )
    if kept != before:
        settings.var_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        draft.replace(path)
    return found
