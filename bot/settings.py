"""All settings, read once from the environment and an optional `.env`.

A wrong or missing value is refused at start, in one sentence each, with its name and what was expected. Values of secrets
are never printed: neither `repr` nor an error shows them.
"""

import base64
import binascii
import hashlib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


_TEMPLATE = re.compile(r"[^\s=]+(\s+[a-z]+=\w+)*")


class Env(StrEnum):
    """Where this runs. The demo alone has a movable clock, a made-up world and a reset."""

    DEMO = "demo"
    PRODUCTION = "production"


class WeChatMode(StrEnum):
    """Message encryption as chosen in the official account's console."""

    PLAIN = "plain"
    COMPATIBLE = "compatible"
    SAFE = "safe"


class SettingsRefused(Exception):
    """The environment is not usable; each line names a setting and what was expected of it."""


class Settings(BaseSettings):
    """What can be configured. Field names are the environment's names in lower case."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)

    env: Env = Env.DEMO
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    host: str = "127.0.0.1"
    internal_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    simulator_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    public_url: AnyHttpUrl | None = None
    var_dir: Path = ROOT / "var"

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    data_key: SecretStr | None = None
    data_key_previous: SecretStr | None = None

    wechat_app_id: str | None = None
    wechat_app_secret: SecretStr | None = None
    wechat_token: SecretStr | None = None
    wechat_aes_key: SecretStr | None = None
    wechat_aes_key_previous: SecretStr | None = None
    wechat_mode: WeChatMode = WeChatMode.SAFE
    wechat_api_url: AnyHttpUrl = AnyHttpUrl("https://api.weixin.qq.com")
    wechat_open_url: AnyHttpUrl = AnyHttpUrl("https://open.weixin.qq.com")
    wechat_max_age_seconds: Annotated[int, Field(ge=30, le=86400)] = 600

    wechat_template_alert: str | None = None
    wechat_template_answer: str | None = None
    wechat_template_checkin: str | None = None
    alert_webhook_url: AnyHttpUrl | None = None

    engine_urls: str | None = None
    engine_secret: SecretStr | None = None
    engine_token: SecretStr | None = None
    engine_python: Path = ROOT / ".venv-engine" / "bin" / "python"
    engine_data_key: SecretStr | None = None
    action_secret: SecretStr | None = None

    @field_validator("data_key", "data_key_previous", "engine_data_key")
    @classmethod
    def _32_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            raw = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error:
            raw = b""
        if len(raw) != 32:
            raise ValueError("expected 32 random bytes in base64 (44 characters; `openssl rand -base64 32` makes one)")
        return value

    @field_validator("wechat_aes_key", "wechat_aes_key_previous")
    @classmethod
    def _43_characters(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            ok = len(base64.b64decode(value.get_secret_value() + "=", validate=True)) == 32
        except binascii.Error:
            ok = False
        if not ok:
            raise ValueError("expected the 43 letters and digits of the EncodingAESKey in the account's console")
        return value

    @field_validator("wechat_template_alert", "wechat_template_answer", "wechat_template_checkin")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None and not _TEMPLATE.fullmatch(value.strip()):
            raise ValueError("expected a template's id, then names of its fields where they differ: ID level=phrase1 …")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("expected an address like postgresql://user@host:5432/itp")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected an address like redis://host:6379/0")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        required: list[str] = []
        if self.env is Env.PRODUCTION:
            required += ["database_url", "redis_url", "data_key", "public_url", "engine_data_key"]
        if self.env is Env.PRODUCTION or self.wechat_app_id is not None:
            required += ["wechat_app_id", "wechat_app_secret", "wechat_token"]
            if self.wechat_mode is not WeChatMode.PLAIN:
                required.append("wechat_aes_key")
        missing = [name for name in required if not _given(getattr(self, name))]
        if self.data_key is not None and self.data_key_previous is not None:
            _told_apart(self.data_key, self.data_key_previous)
        if missing:
            names = ", ".join(name.upper() for name in missing)
            raise ValueError(f"{names}: missing (ENV={self.env})")
        if self.env is Env.PRODUCTION and self.wechat_mode is WeChatMode.PLAIN:
            raise ValueError("WECHAT_MODE: plain is not signed over its body, production expects safe or compatible")
        return self

    @property
    def demo(self) -> bool:
        """Whether the movable clock, the made-up world and the reset are there."""
        return self.env is Env.DEMO

    @property
    def simulated(self) -> bool:
        """Whether our own simulator stands in for WeChat: the demo without credentials."""
        return self.demo and self.wechat_app_id is None

    @property
    def page_url(self) -> str:
        """Where people reach the pages, without a slash at the end."""
        return str(self.public_url).rstrip("/") if self.public_url else f"http://127.0.0.1:{self.port}"


def _told_apart(key: SecretStr, previous: SecretStr) -> None:
    """A wrapped key names its wrapping key by one byte of a hash (`bot.store.vault`): two must differ in it."""
    names = [hashlib.sha256(base64.b64decode(one.get_secret_value())).digest()[0] for one in (key, previous)]
    if key.get_secret_value() != previous.get_secret_value() and names[0] == names[1]:
        raise ValueError("DATA_KEY: goes by the same one-byte name as DATA_KEY_PREVIOUS, make another")


def _given(value: object) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return bool(text and str(text).strip())


def read(**overrides: object) -> Settings:
    """Read the environment once.

    Raises:
        SettingsRefused: one line for each setting that is wrong or missing.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_context=False, include_url=False):
            name = str(problem["loc"][0]).upper() + ": " if problem["loc"] else ""
            lines.append(name + problem["msg"].removeprefix("Value error, "))
        raise SettingsRefused("\n".join(lines)) from None
