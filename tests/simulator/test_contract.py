"""What must hold for any WeChat: for the simulator always, for WeChat itself when its credentials are there.

With `WECHAT_CONTRACT_APP_ID`, `WECHAT_CONTRACT_APP_SECRET` and `WECHAT_CONTRACT_OPENID` (a follower) in the environment
the same tests run against the real API. They only read. Run them by themselves, since other tests may reach no other
machine: `WECHAT_CONTRACT_APP_ID=... python -m pytest --noconftest -p tests.simulator.conftest
tests/simulator/test_contract.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from .account import APP_ID, APP_SECRET, Start

TARGETS = ["simulator", *(["wechat"] if os.environ.get("WECHAT_CONTRACT_APP_ID") else [])]


@dataclass
class Target:
    """A WeChat to ask, and a follower of its account."""

    url: str
    app_id: str
    app_secret: str
    openid: str
    http: aiohttp.ClientSession
    token: str = ""

    async def get(self, path: str, **query: str) -> Any:
        async with self.http.get(self.url + path, params=query) as response:
            return json.loads(await response.read())

    async def post(self, path: str, body: Any, **query: str) -> Any:
        data = json.dumps(body, ensure_ascii=False).encode()
        async with self.http.post(self.url + path, params=query, data=data) as response:
            return json.loads(await response.read())

    def credentials(self, **changes: str) -> dict[str, str]:
        return {"grant_type": "client_credential", "appid": self.app_id, "secret": self.app_secret} | changes


@pytest.fixture(params=TARGETS)
async def target(request: pytest.FixtureRequest, start: Start) -> AsyncIterator[Target]:
    """The simulator, or WeChat."""
    async with aiohttp.ClientSession() as http:
        if request.param == "simulator":
            wechat = await start()
            lin = wechat.world.add_phone("林女士")
            await lin.follows()
            made = Target(wechat.url, APP_ID, APP_SECRET, lin.openid, http)
        else:
            app_id, app_secret, openid = (
                os.environ[f"WECHAT_CONTRACT_{name}"] for name in ("APP_ID", "APP_SECRET", "OPENID")
            )
            url = os.environ.get("WECHAT_CONTRACT_URL", "https://api.weixin.qq.com")
            made = Target(url, app_id, app_secret, openid, http)
        made.token = (await made.post("/cgi-bin/stable_token", made.credentials()))["access_token"]
        yield made


async def test_a_stable_token_is_shared_and_lasts_two_hours_at_most(target: Target) -> None:
    again = await target.post("/cgi-bin/stable_token", target.credentials())
    assert again["access_token"] == target.token
    assert 0 < again["expires_in"] <= 7200


@pytest.mark.parametrize(
    ("change", "code"), [({"grant_type": "password"}, 40002), ({"appid": "wx0000000000000000"}, 40013)]
)
async def test_a_token_is_refused_with_the_code_for_its_reason(
    target: Target, change: dict[str, str], code: int
) -> None:
    answer = await target.post("/cgi-bin/stable_token", target.credentials(**change))
    assert answer["errcode"] == code and answer["errmsg"]


async def test_a_call_without_or_with_an_invented_token_is_refused(target: Target) -> None:
    assert (await target.get("/cgi-bin/menu/get"))["errcode"] == 41001
    assert (await target.get("/cgi-bin/menu/get", access_token="invented"))["errcode"] in (40001, 40014)


async def test_the_menu_is_there_or_said_not_to_be(target: Target) -> None:
    answer = await target.get("/cgi-bin/menu/get", access_token=target.token)
    if "menu" in answer:
        assert 1 <= len(answer["menu"]["button"]) <= 3
    else:
        assert answer["errcode"] == 46003


async def test_a_follower_is_described(target: Target) -> None:
    person = await target.get("/cgi-bin/user/info", access_token=target.token, openid=target.openid, lang="zh_CN")
    assert person["openid"] == target.openid and person["subscribe"] == 1
    assert {"subscribe_time", "subscribe_scene", "qr_scene", "qr_scene_str", "tagid_list"} <= set(person)


async def test_an_unknown_openid_is_refused(target: Target) -> None:
    answer = await target.get("/cgi-bin/user/info", access_token=target.token, openid="oInvented")
    assert answer["errcode"] == 40003


async def test_followers_are_listed(target: Target) -> None:
    answer = await target.get("/cgi-bin/user/get", access_token=target.token)
    assert answer["count"] <= answer["total"] and len(answer["data"]["openid"]) == answer["count"]


async def test_templates_are_listed(target: Target) -> None:
    answer = await target.get("/cgi-bin/template/get_all_private_template", access_token=target.token)
    assert all({"template_id", "title", "content"} <= set(t) for t in answer["template_list"])


async def test_an_unknown_file_and_an_unknown_login_code_are_refused(target: Target) -> None:
    gone = await target.get("/cgi-bin/media/get", access_token=target.token, media_id="invented")
    assert gone["errcode"] == 40007
    login = {"appid": target.app_id, "secret": target.app_secret, "grant_type": "authorization_code"}
    assert (await target.get("/sns/oauth2/access_token", code="invented", **login))["errcode"] == 40029
