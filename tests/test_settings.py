"""Settings: refused by name with what was expected, secrets never shown, nothing missing in production."""

import base64
import os
from pathlib import Path

import pytest

from bot import settings
from bot.settings import Settings, SettingsRefused

ROOT = Path(__file__).resolve().parent.parent
KEY = base64.b64encode(bytes(range(32))).decode()
AES_KEY = base64.b64encode(bytes(range(32, 64))).decode().rstrip("=")

PRODUCTION = {
    "ENV": "production",
    "DATABASE_URL": "postgresql://itp@db.internal/itp",
    "REDIS_URL": "redis://cache.internal/0",
    "DATA_KEY": KEY,
    "ENGINE_DATA_KEY": KEY,
    "PUBLIC_URL": "https://itp.example.org",
    "WECHAT_APP_ID": "wx0123456789abcdef",
    "WECHAT_APP_SECRET": "an-app-secret",
    "WECHAT_TOKEN": "a-token",
    "WECHAT_AES_KEY": AES_KEY,
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine, and no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        for spelling in (name, name.upper()):
            monkeypatch.delenv(spelling, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return settings.read()


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    with pytest.raises(SettingsRefused) as refused:
        given(monkeypatch, **values)
    return str(refused.value)


def test_with_nothing_set_it_is_a_complete_demo_on_loopback() -> None:
    found = settings.read()
    assert found.demo
    assert found.simulated
    assert found.host == "127.0.0.1"
    assert found.page_url == "http://127.0.0.1:8000"
    assert found.wechat_mode == "safe"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "eighty", "integer"),
        ("PORT", "0", "greater than or equal to 1"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("INTERNAL_PORT", "-1", "greater than or equal to 1"),
        ("SIMULATOR_PORT", "70000", "less than or equal to 65535"),
        ("ENV", "staging", "'demo' or 'production'"),
        ("DATABASE_URL", "sqlite:///itp.db", "postgresql://"),
        ("DATABASE_URL", "mysql://itp@db/itp", "postgresql://"),
        ("REDIS_URL", "http://cache:6379", "redis://"),
        ("PUBLIC_URL", "itp.example.org", "URL"),
        ("PUBLIC_URL", "ftp://itp.example.org", "'http' or 'https'"),
        ("DATA_KEY", "short", "32 random bytes"),
        ("DATA_KEY", base64.b64encode(bytes(31)).decode(), "32 random bytes"),
        ("DATA_KEY_PREVIOUS", "not base64 at all!", "32 random bytes"),
        ("ENGINE_DATA_KEY", KEY + "AAAA", "32 random bytes"),
        ("WECHAT_AES_KEY", AES_KEY[:-1], "43 letters and digits"),
        ("WECHAT_AES_KEY", AES_KEY + "=", "43 letters and digits"),
        ("WECHAT_AES_KEY_PREVIOUS", "x" * 42, "43 letters and digits"),
        ("WECHAT_MODE", "clear", "'plain', 'compatible' or 'safe'"),
        ("WECHAT_API_URL", "api.weixin.qq.com", "URL"),
        ("WECHAT_OPEN_URL", "open.weixin.qq.com", "URL"),
        ("WECHAT_MAX_AGE_SECONDS", "5", "greater than or equal to 30"),
        ("WECHAT_MAX_AGE_SECONDS", "86401", "less than or equal to 86400"),
        ("ALERT_WEBHOOK_URL", "the gateway", "URL"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert said.startswith(f"{name}: ")
    assert expected in said
    assert "\n" not in said


def test_each_wrong_setting_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, PORT="x", DATA_KEY="y", WECHAT_MODE="z")
    assert sorted(line.partition(":")[0] for line in said.splitlines()) == ["DATA_KEY", "PORT", "WECHAT_MODE"]


def test_an_empty_value_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = settings.read()
    assert given(monkeypatch, **dict.fromkeys((name.upper() for name in Settings.model_fields), "")) == bare
    assert bare.simulated


def test_production_starts_with_all_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = given(monkeypatch, **PRODUCTION)
    assert not found.demo
    assert not found.simulated
    assert found.page_url == "https://itp.example.org"


@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"ENV"}))
def test_production_refuses_to_start_without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rest = {key: value for key, value in PRODUCTION.items() if key != name}
    said = refusal(monkeypatch, **rest)
    assert said.startswith(f"{name}: missing")


@pytest.mark.parametrize("name", ["WECHAT_APP_ID", "WECHAT_APP_SECRET", "WECHAT_TOKEN"])
def test_blanks_are_no_credential(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert name in refusal(monkeypatch, **(PRODUCTION | {name: "  "}))


def test_production_refuses_messages_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "WECHAT_MODE" in refusal(monkeypatch, **(PRODUCTION | {"WECHAT_MODE": "plain"}))


def test_a_demo_with_a_real_account_needs_all_of_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, WECHAT_APP_ID="wx0123456789abcdef")
    for name in ("WECHAT_APP_SECRET", "WECHAT_TOKEN", "WECHAT_AES_KEY"):
        assert name in said


def test_a_demo_with_a_real_account_is_not_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = {name: value for name, value in PRODUCTION.items() if name.startswith("WECHAT_")}
    found = given(monkeypatch, **credentials)
    assert found.demo
    assert not found.simulated


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)]
)
def test_a_secret_is_shown_neither_by_an_error_nor_by_repr(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shown = "hidden-4f1c9a"
    monkeypatch.setenv("PORT", "x")
    said = refusal(monkeypatch, **{name.upper(): shown})
    assert shown not in said
    monkeypatch.delenv("PORT")
    usable = {"database_url": f"postgresql://itp:{shown}@db/itp", "redis_url": f"redis://:{shown}@cache/0"}
    value = usable.get(name, KEY if "data_key" in name else AES_KEY if "aes" in name else shown)
    found = given(monkeypatch, **{name.upper(): value})
    assert getattr(found, name).get_secret_value() == value
    assert value not in repr(found)
    assert value not in str(found.model_dump())


def test_the_environment_stands_above_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nINTERNAL_PORT=9002\n")
    found = given(monkeypatch, PORT="9101")
    assert (found.port, found.internal_port) == (9101, 9002)


def test_a_wrong_value_in_the_file_is_refused_like_any_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATA_KEY=short\n")
    assert refusal(monkeypatch).startswith("DATA_KEY: expected 32 random bytes")


def test_every_setting_is_explained_in_the_example_file() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = {line.partition("=")[0].lower() for line in lines if "=" in line and not line.startswith("#")}
    assert named == set(Settings.model_fields)


def test_the_example_file_holds_no_value_and_can_be_used_as_it_is(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    assert all(line.startswith("#") or line.endswith("=") or not line for line in text.splitlines())
    (tmp_path / ".env").write_text(text)
    assert os.getcwd() == str(tmp_path)
    assert settings.read() == Settings(_env_file=None)
