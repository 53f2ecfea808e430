"""Tokens, templates, files, codes, menus and people, with the error codes of WeChat."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from bot.simulator.errors import Refused
from bot.simulator.history import Channel
from bot.simulator.phone import CannotDo, Phone
from bot.simulator.tokens import Tokens

from .account import AMR, APP_ID, APP_SECRET, PNG, TEMPLATE, Start, WeChat

CREDENTIALS = {"grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET}
SEND = "/cgi-bin/message/custom/send"


# tokens


async def test_the_stable_token_stays_the_same_until_it_is_forced(wechat: WeChat, lin: Phone) -> None:
    again = await wechat.call("/cgi-bin/stable_token", CREDENTIALS)
    assert again["access_token"] == wechat.token and 7000 < again["expires_in"] <= 7200
    forced = await wechat.call("/cgi-bin/stable_token", CREDENTIALS | {"force_refresh": True})
    assert forced["access_token"] != wechat.token
    assert await wechat.tells(lin, "旧的") == 40001
    wechat.token = forced["access_token"]
    assert await wechat.tells(lin, "新的") == 0
    twice = await wechat.call("/cgi-bin/stable_token", CREDENTIALS | {"force_refresh": True})
    assert twice["access_token"] == forced["access_token"], "forced twice within 30 seconds refreshes once"


def test_a_token_is_forced_twenty_times_a_day_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    tokens = Tokens()
    tokens.give_stable(force=False)
    for n in range(20):
        monkeypatch.setattr(time, "time", lambda n=n: now + 60 * n)
        tokens.give_stable(force=True)
    monkeypatch.setattr(time, "time", lambda: now + 60 * 21)
    with pytest.raises(Refused) as refused:
        tokens.give_stable(force=True)
    assert refused.value.code == 45009


def test_a_stable_token_near_its_end_is_followed_by_another_and_works_until_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    tokens = Tokens()
    first, _ = tokens.give_stable(force=False)
    monkeypatch.setattr(time, "time", lambda: now + 7000)
    second, left = tokens.give_stable(force=False)
    assert second != first and left == 7200
    tokens.check(first)
    monkeypatch.setattr(time, "time", lambda: now + 7201)
    with pytest.raises(Refused) as refused:
        tokens.check(first)
    assert refused.value.code == 42001


def test_a_plain_token_ends_five_minutes_after_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    tokens = Tokens()
    first, _ = tokens.give_plain()
    second, _ = tokens.give_plain()
    tokens.check(first)
    monkeypatch.setattr(time, "time", lambda: now + 301)
    with pytest.raises(Refused):
        tokens.check(first)
    tokens.check(second)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"grant_type": "password"}, 40002),
        ({"appid": ""}, 41002),
        ({"appid": "wxother"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "wrong"}, 40125),
        ({"colour": "blue"}, 40035),
    ],
)
async def test_a_token_is_refused_to_strangers(wechat: WeChat, change: dict[str, str], code: int) -> None:
    assert await wechat.code("/cgi-bin/stable_token", CREDENTIALS | change) == code
    if "colour" not in change:
        assert (await wechat.call("/cgi-bin/token", **(CREDENTIALS | change)))["errcode"] == code


async def test_the_plain_token_opens_the_api_too(wechat: WeChat, lin: Phone) -> None:
    wechat.token = (await wechat.call("/cgi-bin/token", **CREDENTIALS))["access_token"]
    assert await wechat.tells(lin, "你好") == 0


async def test_missing_invalid_and_expired_tokens_are_told_apart(wechat: WeChat, lin: Phone) -> None:
    kept = wechat.token
    wechat.token = ""
    assert await wechat.tells(lin, "x") == 41001
    wechat.token = "invented"
    assert await wechat.tells(lin, "x") == 40001
    wechat.token = kept
    await wechat.control("/faults", {"expire_token": True})
    assert await wechat.tells(lin, "x") == 42001
    wechat.token = (await wechat.call("/cgi-bin/stable_token", CREDENTIALS))["access_token"]
    assert await wechat.tells(lin, "x") == 0
    await wechat.control("/faults", {"revoke_token": True})
    assert await wechat.tells(lin, "x") == 40001


# the gate


async def test_the_wrong_method_and_bodies_that_are_no_json_are_refused(wechat: WeChat, lin: Phone) -> None:
    assert (await wechat.call(SEND, method="GET"))["errcode"] == 43002
    assert (await wechat.call("/cgi-bin/menu/get", {}, method="POST"))["errcode"] == 43001
    body = {"touser": lin.openid, "msgtype": "text", "text": {"content": "中文"}}
    for raw, code in (
        (b"", 44002),
        (b"{", 47001),
        (b"[]", 47001),
        (b"\xff\xfe", 47001),
        (json.dumps(body).encode(), 40033),
        (json.dumps(body | {"text": {"content": "C:\\u4e2d is text"}}, ensure_ascii=False).encode(), 0),
    ):
        assert (await wechat.call(SEND, raw=raw, method="POST"))["errcode"] == code, raw


async def test_every_call_is_in_the_ledger_without_its_secrets(wechat: WeChat, lin: Phone) -> None:
    await wechat.tells(lin, "你好")
    entries = (await wechat.control("/ledger"))["entries"]
    sent = [e for e in entries if e["path"] == SEND][-1]
    assert sent["phone"] == "林女士" and sent["errcode"] == 0
    assert sent["request"]["body"]["text"]["content"] == "你好"
    text = json.dumps(entries)
    assert wechat.token not in text and APP_SECRET not in text
    newer = (await wechat.control(f"/ledger?after={sent['id'] - 1}&direction=api&path={SEND}"))["entries"]
    assert [e["id"] for e in newer] == [sent["id"]]


# templates and notices


@pytest.fixture
async def clinic(start: Start) -> WeChat:
    wechat: WeChat = await start(templates=(TEMPLATE,))
    await wechat.world.add_phone("林女士").follows()
    return wechat


def answer(openid: str, **changes: Any) -> dict[str, Any]:
    data = {"name1": {"value": "李医生"}, "thing2": {"value": "请看回复", "color": "#173177"}}
    return {"touser": openid, "template_id": TEMPLATE.id, "url": "http://127.0.0.1/answer", "data": data} | changes


async def test_a_template_reaches_outside_every_window_and_its_end_is_pushed(clinic: WeChat) -> None:
    lin = clinic.world.phone("林女士")
    await clinic.world.advance(30 * 86400)
    sent = await clinic.call("/cgi-bin/message/template/send", answer(lin.openid))
    assert sent["errcode"] == 0
    await clinic.world.settled()
    card = lin.hears()[-1]
    assert (card.channel, card.title, card.url) == (Channel.TEMPLATE, "有新的回复", "http://127.0.0.1/answer")
    assert card.fields == [("回复医生", "李医生"), ("内容", "请看回复")]
    end = clinic.callback.seen[-1]
    assert (end["Event"], end["Status"], end["MsgID"]) == ("TEMPLATESENDJOBFINISH", "success", str(sent["msgid"]))
    assert end["FromUserName"] == lin.openid


async def test_the_same_client_msg_id_is_sent_once(clinic: WeChat) -> None:
    lin = clinic.world.phone("林女士")
    first = await clinic.call("/cgi-bin/message/template/send", answer(lin.openid, client_msg_id="a-1"))
    again = await clinic.call("/cgi-bin/message/template/send", answer(lin.openid, client_msg_id="a-1"))
    assert (first["errcode"], again["errcode"]) == (0, 45065)
    assert len(lin.hears().by(Channel.TEMPLATE)) == 1
    await clinic.world.settled()
    assert clinic.callback.events().count("TEMPLATESENDJOBFINISH") == 1
    await clinic.world.advance(601)
    assert await clinic.code("/cgi-bin/message/template/send", answer(lin.openid, client_msg_id="a-1")) == 0


async def test_who_refuses_templates_gets_none_and_the_account_is_told(clinic: WeChat) -> None:
    lin = clinic.world.phone("林女士")
    await clinic.control("/phones/林女士/refuse", {})
    assert await clinic.code("/cgi-bin/message/template/send", answer(lin.openid)) == 0
    await clinic.control("/phones/林女士/refuse", {"refuses": False})
    await clinic.control("/faults", {"template_status": ["failed: system failed"]})
    assert await clinic.code("/cgi-bin/message/template/send", answer(lin.openid)) == 0
    await clinic.world.settled()
    assert [m["Status"] for m in clinic.callback.seen if "Status" in m] == [
        "failed:user block",
        "failed: system failed",
    ]
    assert not lin.hears().by(Channel.TEMPLATE)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template_id": "other"}, 40037),
        ({"touser": "oNobody"}, 40003),
        ({"data": {"name1": {"value": "李医生"}}}, 47003),
        ({"data": {"name1": {"value": "李医生"}, "thing2": {"value": ""}}}, 47003),
        ({"data": {"name1": {"value": "李医生"}, "thing2": {"value": "长" * 21}}}, 47003),
        ({"data": {"name1": "李医生"}}, 47001),
        ({"link": "http://x"}, 40035),
    ],
)
async def test_a_template_that_does_not_fit_is_refused(clinic: WeChat, change: dict[str, Any], code: int) -> None:
    lin = clinic.world.phone("林女士")
    assert await clinic.code("/cgi-bin/message/template/send", answer(lin.openid, **change)) == code
    assert not lin.hears().by(Channel.TEMPLATE)


async def test_a_template_does_not_reach_who_unfollowed(clinic: WeChat) -> None:
    lin = clinic.world.phone("林女士")
    await lin.unfollows()
    assert await clinic.code("/cgi-bin/message/template/send", answer(lin.openid)) == 43004


async def test_the_accounts_templates_are_listed(clinic: WeChat) -> None:
    listed = await clinic.call("/cgi-bin/template/get_all_private_template")
    assert [t["template_id"] for t in listed["template_list"]] == [TEMPLATE.id]


async def test_one_agreement_lets_one_subscription_notice_through(clinic: WeChat) -> None:
    lin = clinic.world.phone("林女士")
    body = answer(lin.openid, page="http://127.0.0.1/checkin")
    del body["url"]
    path = "/cgi-bin/message/subscribe/bizsend"
    assert await clinic.code(path, body) == 43101
    await lin.answers_notice(TEMPLATE.id, accepts=False)
    assert await clinic.code(path, body) == 43101
    await lin.answers_notice(TEMPLATE.id, accepts=True)
    assert "subscribe_msg_popup_event" in clinic.callback.events()
    assert [await clinic.code(path, body), await clinic.code(path, body)] == [0, 43101]
    notice = lin.hears()[-1]
    assert (notice.channel, notice.url) == (Channel.NOTICE, "http://127.0.0.1/checkin")
    await clinic.world.settled()
    assert clinic.callback.events()[-1] == "subscribe_msg_sent_event"


async def test_without_a_list_any_template_id_passes_but_no_empty_value(wechat: WeChat, lin: Phone) -> None:
    assert await wechat.code("/cgi-bin/message/template/send", answer(lin.openid, template_id="any")) == 0
    assert await wechat.code("/cgi-bin/message/template/send", answer(lin.openid, template_id="")) == 40037
    assert await wechat.code("/cgi-bin/message/template/send", answer(lin.openid, data={})) == 47003


# files


async def test_a_file_is_there_for_three_days(wechat: WeChat, lin: Phone) -> None:
    kept = await wechat.upload("image", PNG)
    assert kept["type"] == "image" and kept["created_at"]
    assert await wechat.call("/cgi-bin/media/get", media_id=kept["media_id"]) == PNG
    await wechat.world.advance(timedelta(days=3).total_seconds())
    assert (await wechat.call("/cgi-bin/media/get", media_id=kept["media_id"]))["errcode"] == 40007
    await lin.says("你好")
    picture = {"touser": lin.openid, "msgtype": "image", "image": {"media_id": kept["media_id"]}}
    assert await wechat.code(SEND, picture) == 40007
    assert (await wechat.call("/cgi-bin/media/get"))["errcode"] == 41006


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("poster", PNG, 40004),
        ("image", b"", 44001),
        ("image", b"%PDF-1.4", 40005),
        ("image", AMR, 40005),
        ("voice", AMR + bytes(2 << 20), 45001),
        ("thumb", PNG, 40005),
    ],
)
async def test_a_file_is_refused_by_kind_content_and_size(wechat: WeChat, kind: str, data: bytes, code: int) -> None:
    assert (await wechat.upload(kind, data))["errcode"] == code


async def test_an_upload_without_a_file_is_refused(wechat: WeChat) -> None:
    assert (await wechat.call("/cgi-bin/media/upload", {"media": "x"}, type="image"))["errcode"] == 41005
    assert "media_id" in await wechat.upload("voice", AMR)


# people and codes


async def test_a_temporary_code_binds_its_scene_to_who_follows_by_it(wechat: WeChat) -> None:
    made = await wechat.call(
        "/cgi-bin/qrcode/create",
        {"expire_seconds": 600, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "staff-7"}}},
    )
    async with wechat.http.get(f"{wechat.url}/cgi-bin/showqrcode", params={"ticket": made["ticket"]}) as response:
        assert (await response.read()).startswith(b"\x89PNG")
    li = wechat.world.add_phone("李医生")
    await li.follows("staff-7")
    followed = wechat.callback.seen[-1]
    assert (followed["Event"], followed["EventKey"], followed["Ticket"]) == (
        "subscribe",
        "qrscene_staff-7",
        made["ticket"],
    )
    await li.scans(made["ticket"])
    assert (wechat.callback.seen[-1]["Event"], wechat.callback.seen[-1]["EventKey"]) == ("SCAN", "staff-7")
    person = await wechat.call("/cgi-bin/user/info", openid=li.openid)
    assert (person["subscribe"], person["qr_scene_str"]) == (1, "staff-7")
    await wechat.world.advance(601)
    with pytest.raises(CannotDo):
        await li.scans("staff-7")


async def test_a_lasting_code_with_a_number_does_not_end(wechat: WeChat, lin: Phone) -> None:
    made = await wechat.call(
        "/cgi-bin/qrcode/create", {"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 12}}}
    )
    assert "expire_seconds" not in made
    await wechat.world.advance(400 * 86400)
    await lin.scans("12")
    assert wechat.callback.seen[-1]["EventKey"] == "12"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action_name": "QR_ART", "action_info": {"scene": {"scene_id": 1}}}, 40052),
        ({"action_info": {"scene": {"scene_id": 1}}}, 40052),
        ({"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 0}}}, 40053),
        ({"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 100001}}}, 40053),
        ({"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "x" * 65}}}, 40053),
        ({"action_name": "QR_STR_SCENE", "action_info": {}}, 40053),
        ({"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 1}}, "expire_seconds": 2592001}, 40035),
    ],
)
async def test_a_code_that_cannot_be_is_refused(wechat: WeChat, body: dict[str, Any], code: int) -> None:
    assert await wechat.code("/cgi-bin/qrcode/create", body) == code


async def test_people_are_known_while_they_follow(wechat: WeChat, lin: Phone) -> None:
    person = await wechat.call("/cgi-bin/user/info", openid=lin.openid, lang="zh_CN")
    assert person["subscribe"] == 1 and person["subscribe_time"] > 0
    assert (await wechat.call("/cgi-bin/user/get"))["data"]["openid"] == [lin.openid]
    await lin.unfollows()
    assert await wechat.call("/cgi-bin/user/info", openid=lin.openid) == {"subscribe": 0, "openid": lin.openid}
    assert (await wechat.call("/cgi-bin/user/get"))["total"] == 0
    assert (await wechat.call("/cgi-bin/user/info", openid="oNobody"))["errcode"] == 40003


# the menu


async def test_a_menu_is_made_shown_and_taken_away(wechat: WeChat) -> None:
    assert (await wechat.call("/cgi-bin/menu/get"))["errcode"] == 46003
    button = {"type": "click", "name": "问医生", "key": "ask"}
    below = {"name": "更多", "sub_button": [{"type": "view", "name": "我的记录", "url": "http://127.0.0.1/me"}]}
    assert await wechat.code("/cgi-bin/menu/create", {"button": [button, below]}) == 0
    got = await wechat.call("/cgi-bin/menu/get")
    assert got["menu"]["button"][0] == button | {"sub_button": []}
    assert await wechat.code("/cgi-bin/menu/delete") == 0
    assert (await wechat.call("/cgi-bin/menu/get"))["errcode"] == 46003


@pytest.mark.parametrize(
    ("buttons", "code"),
    [
        ([], 40016),
        ([{"type": "click", "name": "一", "key": "k"}] * 4, 40016),
        ([{"type": "dance", "name": "一", "key": "k"}], 40017),
        ([{"type": "click", "name": "名字太长了啊", "key": "k"}], 40018),
        ([{"type": "click", "name": "一", "key": "k" * 129}], 40019),
        ([{"type": "view", "name": "一", "url": "http://x/" + "y" * 1024}], 40020),
        ([{"type": "view", "name": "一", "url": "x"}], 40055),
        ([{"type": "click", "name": "一"}], 40035),
        ([{"name": "一", "sub_button": [{"type": "click", "name": "二", "key": "k"}] * 6}], 40023),
        ([{"name": "一", "sub_button": [{"type": "click", "name": "长" * 21, "key": "k"}]}], 40025),
    ],
)
async def test_a_menu_that_wechat_would_not_take_is_refused(wechat: WeChat, buttons: list[Any], code: int) -> None:
    assert await wechat.code("/cgi-bin/menu/create", {"button": buttons}) == code
    assert wechat.world.menu is None
