"""The control API, the clock, the state file and the command line."""

from __future__ import annotations

import argparse
import ast
import io
import json
from pathlib import Path

import pytest

import bot.simulator
from bot.simulator.__main__ import DEFAULT_PEOPLE, Unusable, arguments, configuration
from bot.simulator.config import Mode, Person, Role, SimulatorConfig
from bot.simulator.ledger import Direction
from bot.simulator.phone import Phone

from .account import AES_KEY, APP_ID, APP_SECRET, PNG, TOKEN, Callback, Start, WeChat, reply

SECRETS = {
    "WECHAT_APP_ID": APP_ID,
    "WECHAT_APP_SECRET": APP_SECRET,
    "WECHAT_TOKEN": TOKEN,
    "WECHAT_AES_KEY": AES_KEY,
}


def test_the_simulator_imports_nothing_of_the_app() -> None:
    for path in Path(bot.simulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("bot.") or name.startswith("bot.simulator"), f"{path.name}: {name}"
                assert name.split(".")[0] not in ("wechatpy", "actions", "server"), f"{path.name}: {name}"


async def test_a_conversation_is_had_over_the_control_api(wechat: WeChat) -> None:
    added = await wechat.control("/phones", {"name": "王阿姨", "role": "patient"})
    assert added["openid"].startswith("o") and len(added["openid"]) == 28
    assert "error" in await wechat.control("/phones", {"name": "王阿姨"}, status=400)
    assert "error" in await wechat.control("/phones/王阿姨/say", {"text": "没关注"}, status=409)
    await wechat.control("/phones/王阿姨/follow", {})
    assert (await wechat.control("/phones/王阿姨/say", {"text": "你好"}))["text"] == "你说：你好"
    assert "error" in await wechat.control("/phones/王阿姨/say", {"text": " "}, status=400)
    assert "error" in await wechat.control("/phones/王阿姨/sing", {}, status=400)
    async with wechat.http.post(
        f"{wechat.url}/control/phones/王阿姨/photo", data={"file": io.BytesIO(PNG)}
    ) as response:
        assert (await response.json())["text"] == "你说：image"
    async with wechat.http.post(f"{wechat.url}/control/phones/王阿姨/voice", data=b"#!AMR\n") as response:
        assert (await response.json())["text"] == "你说：voice"
    await wechat.control("/phones/王阿姨/raw", {"kind": "event", "xml": "<Event>unheard_of</Event>"})
    assert wechat.callback.events()[-1] == "unheard_of"
    history = (await wechat.control("/phones/王阿姨"))["history"]
    assert [m["channel"] for m in history][-2:] == ["passive", "passive"]
    assert [p["name"] for p in (await wechat.control("/phones"))["phones"]] == ["王阿姨"]
    await wechat.control("/phones/王阿姨/unfollow", {})
    assert wechat.callback.events()[-1] == "unsubscribe"


async def test_nobody_who_is_not_there_acts(wechat: WeChat) -> None:
    async with wechat.http.post(f"{wechat.url}/control/phones/无名/say", json={"text": "x"}) as response:
        assert response.status == 404


async def test_the_same_name_has_the_same_openid_in_every_world(start: Start) -> None:
    first, second = await start(), await start()
    assert first.world.add_phone("林女士").openid == second.world.add_phone("林女士").openid
    assert first.world.add_phone("李医生").openid != first.world.phone("林女士").openid


async def test_moving_the_clock_moves_the_apps_clock_with_it(start: Start) -> None:
    callback = Callback()
    seed = await start(callback)
    wechat = await start(callback, clock_url=f"{callback.url}/clock")
    assert seed.callback is callback
    moved = await wechat.control("/clock", {"advance_seconds": 3600})
    await wechat.control("/clock", {"advance_seconds": 86400})
    assert moved["app_clock"] == "ok"
    assert callback.clock_moves == [{"offset_seconds": 3600}, {"offset_seconds": 90000}]
    await wechat.control("/clock", {"reset": True})
    assert callback.clock_moves[-1] == {"offset_seconds": 0}
    assert (await wechat.control("/clock"))["offset_seconds"] == 0
    for wrong in ({"advance_seconds": "tomorrow"}, {"advance_seconds": True}, {}, {"advance_seconds": 1e12}):
        assert "error" in await wechat.control("/clock", wrong, status=400)


async def test_an_app_whose_clock_did_not_follow_is_named(start: Start) -> None:
    wechat = await start(clock_url="http://127.0.0.1:9/clock")
    assert (await wechat.control("/clock", {"advance_seconds": 60}))["app_clock"] != "ok"
    assert wechat.world.ledger.of(direction=Direction.CLOCK)[0].note


async def test_reset_goes_back_to_the_people_of_the_start(start: Start) -> None:
    wechat = await start(people=(Person(name="林女士", follows=True), Person(name="李医生", role=Role.DOCTOR)))
    lin = wechat.world.phone("林女士")
    assert lin.follows_account and not wechat.callback.seen
    await lin.says("你好")
    wechat.world.add_phone("王阿姨")
    await wechat.control("/clock", {"advance_seconds": 3600})
    await wechat.control("/faults", {"drop": 3})
    await wechat.control("/reset", {})
    assert [p["name"] for p in (await wechat.control("/phones"))["phones"]] == ["林女士", "李医生"]
    assert not wechat.world.phone("林女士").history
    assert wechat.world.clock.offset_seconds == 0 and wechat.world.faults.drop == 0


async def test_other_sites_and_other_machines_may_not_control(wechat: WeChat) -> None:
    async with wechat.http.post(f"{wechat.url}/control/reset", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
    async with wechat.http.get(f"{wechat.url}/phones", headers={"Host": "evil.example"}) as response:
        assert response.status == 403


async def test_everything_said_is_there_after_a_restart(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    callback = Callback()
    callback.answers = lambda m: reply(
        m["FromUserName"], '选 <a href="weixin://bizmsgmenu?msgmenucontent=a&msgmenuid=1">a</a>'
    )
    first = await start(callback, state_path=path)
    lin = first.world.add_phone("林女士")
    await lin.follows()
    await lin.says("你好")
    await lin.sends_photo(PNG)
    await first.call("/cgi-bin/menu/create", {"button": [{"type": "click", "name": "问", "key": "ask"}]})
    await first.control("/clock", {"advance_seconds": 120})
    await first.world.stop()
    assert path.stat().st_mode & 0o077 == 0

    second = await start(callback, state_path=path, people=(Person(name="林女士"), Person(name="李医生")))
    back = second.world.phone("林女士")
    assert [m.as_json() for m in back.history] == [m.as_json() for m in lin.history]
    assert back.follows_account and second.world.menu == first.world.menu
    assert second.world.clock.offset_seconds == 120
    assert back.window.left(second.world.clock.now()) == 5
    assert await second.call("/cgi-bin/media/get", media_id=back.history[-2].media_id) == PNG
    await back.taps_choice("a")
    assert callback.seen[-1]["bizmsgmenuid"] == "1"
    assert second.world.phone("李医生")


async def test_a_file_that_is_no_state_is_refused_and_kept(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"phones": 5}')
    with pytest.raises(ValueError, match=r"state\.json"):
        await start(state_path=path)
    assert path.read_text() == '{"phones": 5}'


def options(*words: str) -> argparse.Namespace:
    return arguments().parse_args(words)


def test_the_command_line_and_the_environment_make_a_configuration(tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"name": "林女士", "follows": True}, {"name": "李医生", "role": "doctor"}]))
    config = configuration(options("--port", "8101", "--people", str(people)), SECRETS | {"WECHAT_MODE": "compatible"})
    assert config.mode is Mode.COMPATIBLE and config.base_url == "http://127.0.0.1:8101"
    assert config.people[0].follows and config.people[1].role is Role.DOCTOR
    assert configuration(options(), SECRETS).people == DEFAULT_PEOPLE


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"WECHAT_TOKEN": ""}, "WECHAT_TOKEN"),
        ({"WECHAT_AES_KEY": ""}, "WECHAT_AES_KEY"),
        ({"WECHAT_AES_KEY": "short"}, "43"),
        ({"WECHAT_MODE": "secret"}, "WECHAT_MODE"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(Unusable, match=named):
        configuration(options(), SECRETS | change)


@pytest.mark.parametrize("content", ["{", "{}", '[{"nom": "x"}]', '[{"name": "x", "role": "king"}]'])
def test_a_people_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "people.json"
    path.write_text(content)
    with pytest.raises(Unusable):
        configuration(options("--people", str(path)), SECRETS)


def test_secrets_are_not_in_a_printed_configuration() -> None:
    config = SimulatorConfig(
        callback_url="http://127.0.0.1/wechat", app_id=APP_ID, app_secret=APP_SECRET, token=TOKEN, aes_key=AES_KEY
    )
    assert not any(secret in repr(config) for secret in (APP_SECRET, TOKEN, AES_KEY))


def test_an_empty_token_is_a_start_up_error() -> None:
    with pytest.raises(ValueError, match="WECHAT_TOKEN"):
        SimulatorConfig(callback_url="http://127.0.0.1/wechat", app_id=APP_ID, app_secret="x", token="")


async def test_a_phone_is_found_by_name_openid_and_slug(lin: Phone) -> None:
    assert lin.world.phone(lin.openid) is lin.world.phone("林女士") is lin.world.phone(lin.slug) is lin
    with pytest.raises(KeyError):
        lin.world.phone("无名")
