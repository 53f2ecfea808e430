"""What we ask of WeChat, and what each of its error codes makes us do (section 5)."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from redis.asyncio import Redis

from bot.wechat import errors
from bot.wechat.client import Sent, WeChat
from bot.wechat.media import MediaRefused

from .other_side import Connect, FakeApi

SEND = "cgi-bin/message/custom/send"
TEMPLATE = "cgi-bin/message/template/send"
NOTICE = "cgi-bin/message/subscribe/bizsend"
OK = {"errcode": 0, "errmsg": "ok"}
JPEG = b"\xff\xd8\xff\xe0" + b"\x00\x10JFIF" + bytes(range(256)) * 40
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 100
AMR = b"#!AMR\n" + b"\x3c" * 100


async def hang(_request: Any) -> None:
    await asyncio.sleep(5)


async def cut(request: Any) -> web.Response:
    """Read the request and close the connection without a word."""
    await request.read()
    request.transport.abort()
    return web.Response()


def failing(code: int) -> dict[str, object]:
    return {"errcode": code, "errmsg": "in words, rid: 6a1b2c3d-11112222-33334444"}


async def test_a_text_is_sent_as_it_is_read(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, OK)
    assert await client.send_text("o1", "医生回复了：\n先休息 🙂") == Sent()
    [call] = api.of(SEND)
    assert call["json"] == {"touser": "o1", "msgtype": "text", "text": {"content": "医生回复了：\n先休息 🙂"}}
    assert call["query"] == {"access_token": "token-1"}
    assert "医生" in call["raw"].decode(), "escaped characters would be shown as they stand"


async def test_control_characters_and_lone_surrogates_do_not_leave(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, OK)
    await client.send_text("o1", "先\x00休\ud800息")
    assert api.of(SEND)[0]["json"]["text"]["content"] == "先休息"


async def test_a_menu_is_sent_with_the_ids_that_taps_bring_back(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, OK)
    await client.send_menu("o1", "急不急？", {"urgent": "很急", "calm": "不急"}, "也可以直接写字")
    assert api.of(SEND)[0]["json"] == {
        "touser": "o1",
        "msgtype": "msgmenu",
        "msgmenu": {
            "head_content": "急不急？",
            "list": [{"id": "urgent", "content": "很急"}, {"id": "calm", "content": "不急"}],
            "tail_content": "也可以直接写字",
        },
    }


async def test_pictures_and_voice_are_sent_by_their_media_id(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, OK)
    await client.send_image("o1", "m1")
    await client.send_voice("o1", "m2")
    assert [call["json"] for call in api.of(SEND)] == [
        {"touser": "o1", "msgtype": "image", "image": {"media_id": "m1"}},
        {"touser": "o1", "msgtype": "voice", "voice": {"media_id": "m2"}},
    ]


async def test_a_template_is_sent_with_its_id_link_and_values(api: FakeApi, client: WeChat) -> None:
    api.tell(TEMPLATE, OK | {"msgid": 200228332})
    sent = await client.send_template(
        "o1", "tpl", {"thing1": "血小板", "time2": "9:00"}, url="https://x.cn/q/1", client_msg_id="out-1"
    )
    assert sent == Sent("200228332")
    assert api.of(TEMPLATE)[0]["json"] == {
        "touser": "o1",
        "template_id": "tpl",
        "url": "https://x.cn/q/1",
        "client_msg_id": "out-1",
        "data": {"thing1": {"value": "血小板"}, "time2": {"value": "9:00"}},
    }


async def test_a_notice_is_sent_to_its_page(api: FakeApi, client: WeChat) -> None:
    api.tell(NOTICE, OK)
    await client.send_subscription("o1", "tpl", {"thing1": "复查"}, page="https://x.cn/c/1")
    assert api.of(NOTICE)[0]["json"] == {
        "touser": "o1",
        "template_id": "tpl",
        "page": "https://x.cn/c/1",
        "data": {"thing1": {"value": "复查"}},
    }


async def test_a_busy_answer_is_asked_again_with_pauses_between(api: FakeApi, connect: Connect) -> None:
    api.tell(SEND, failing(-1), failing(-1), OK)
    began = asyncio.get_running_loop().time()
    assert await connect(pauses=(0.05, 0.1)).send_text("o1", "好") == Sent()
    assert asyncio.get_running_loop().time() - began >= 0.15
    assert len(api.of(SEND)) == 3


async def test_a_wechat_that_stays_busy_is_left_alone_after_three_times(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, failing(-1))
    with pytest.raises(errors.Unavailable) as error:
        await client.send_text("o1", "好")
    assert (error.value.code, len(api.of(SEND))) == (-1, 3)


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_a_message_refused_for_its_token_is_sent_once_more_with_a_new_one(
    code: int, api: FakeApi, client: WeChat
) -> None:
    api.tell(SEND, failing(code), OK)
    assert await client.send_text("o1", "好") == Sent()
    assert [call["query"]["access_token"] for call in api.of(SEND)] == ["token-1", "token-2"]
    api.tell(SEND, failing(code))
    api.calls.clear()
    with pytest.raises(errors.TokenRejected):
        await client.send_text("o1", "好")
    assert len(api.of(SEND)) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40003, errors.Unreachable),
        (43004, errors.Unreachable),
        (43019, errors.Unreachable),
        (45015, errors.WindowClosed),
        (45047, errors.WindowClosed),
        (45009, errors.RateLimited),
        (45011, errors.RateLimited),
        (48001, errors.CapabilityMissing),
        (40200, errors.CapabilityMissing),
        (40164, errors.Misconfigured),
        (40125, errors.Misconfigured),
        (40013, errors.Misconfigured),
        (40007, errors.MediaGone),
        (45002, errors.TooLong),
        (99999, errors.Unknown),
    ],
)
async def test_each_error_code_ends_a_message_at_once_with_its_meaning(
    code: int, kind: type[errors.WeChatError], api: FakeApi, client: WeChat
) -> None:
    api.tell(SEND, failing(code))
    with pytest.raises(errors.WeChatError) as error:
        await client.send_image("oSomebody", "m1")
    assert type(error.value) is kind
    assert (error.value.code, error.value.call) == (code, SEND)
    assert str(error.value) == f"{SEND} ({code}) rid 6a1b2c3d-11112222-33334444"
    assert len(api.of(SEND)) == 1


@pytest.mark.parametrize("code", [43101, 47003, 40037])
async def test_a_refused_notice_and_a_wrong_template_lead_to_the_next_channel(
    code: int, api: FakeApi, client: WeChat
) -> None:
    for path, send in (
        (TEMPLATE, client.send_template("o1", "tpl", {}, client_msg_id="1")),
        (NOTICE, client.send_subscription("o1", "tpl", {})),
    ):
        api.tell(path, failing(code))
        with pytest.raises(errors.NoticeRefused):
            await send
        assert len(api.of(path)) == 1


async def test_a_template_already_sent_with_its_id_counts_as_sent(api: FakeApi, client: WeChat) -> None:
    api.tell(TEMPLATE, {"errcode": 45065, "errmsg": "clientmsgid exist", "msgid": 42})
    assert await client.send_template("o1", "tpl", {}, client_msg_id="1") == Sent("42", repeated=True)
    api.tell("cgi-bin/message/mass/sendall", {"errcode": 45065, "errmsg": "clientmsgid exist", "msg_id": 43})
    assert await client.mass_send("科普", client_msg_id="1") == Sent("43", repeated=True)


@pytest.mark.parametrize("code", [45072, 45080, 45081])
async def test_a_typing_state_that_cannot_be_shown_is_ignored(code: int, api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/message/custom/typing", failing(code))
    await client.typing("o1", True)
    await client.typing("o1", False)
    assert [call["json"] for call in api.of("cgi-bin/message/custom/typing")] == [
        {"touser": "o1", "command": "Typing"},
        {"touser": "o1", "command": "CancelTyping"},
    ]


@pytest.mark.parametrize("code", [40029, 40163])
async def test_a_used_login_code_starts_the_login_again(code: int, api: FakeApi, client: WeChat) -> None:
    api.tell("sns/oauth2/access_token", failing(code))
    with pytest.raises(errors.LoginStale):
        await client.oauth_openid("code")
    assert len(api.of("sns/oauth2/access_token")) == 1


async def test_every_row_of_the_table_of_error_codes_has_its_class() -> None:
    rows = {-1, 40001, 40014, 42001, 40003, 43004, 43019, 45015, 45047, 45009, 45011, 48001, 40200, 40164, 40125, 40013}
    rows |= {40007, 43101, 47003, 40037, 45002, 45065, 45072, 45080, 45081, 40029, 40163}
    assert set(errors.CODES) == rows


async def test_a_text_too_long_is_not_sent_at_all(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, OK)
    await client.send_text("o1", "血" * 682)
    with pytest.raises(errors.TooLong):
        await client.send_text("o1", "血" * 683)
    with pytest.raises(errors.TooLong):
        await client.send_menu("o1", "血" * 600, {"a": "板" * 100})
    assert len(api.of(SEND)) == 1


@pytest.mark.parametrize("answer", [hang, cut, web.Response(status=502), web.Response(text="<html>"), {}])
async def test_a_message_without_a_proper_answer_may_have_been_sent_and_is_not_sent_again(
    answer: Any, api: FakeApi, connect: Connect
) -> None:
    api.tell(SEND, answer)
    with pytest.raises(errors.MaybeSent):
        await connect(timeout=1.0).send_text("o1", "好")
    assert len(api.of(SEND)) == 1


async def test_a_notice_without_an_answer_may_have_been_sent_and_is_not_sent_again(
    api: FakeApi, connect: Connect
) -> None:
    api.tell(NOTICE, cut)
    with pytest.raises(errors.MaybeSent):
        await connect().send_subscription("o1", "tpl", {})
    assert len(api.of(NOTICE)) == 1


@pytest.mark.parametrize("first", [hang, cut, web.Response(status=503)])
async def test_a_template_without_an_answer_is_sent_again_under_the_same_id(
    first: Any, api: FakeApi, connect: Connect
) -> None:
    api.tell(TEMPLATE, first, {"errcode": 45065, "errmsg": "clientmsgid exist"})
    client = connect(timeout=1.0)
    assert await client.send_template("o1", "tpl", {}, client_msg_id="out-1") == Sent("", repeated=True)
    assert [call["json"]["client_msg_id"] for call in api.of(TEMPLATE)] == ["out-1", "out-1"]


async def test_a_wechat_that_cannot_be_reached_has_certainly_not_sent(redis: Redis, unused_tcp_port: int) -> None:
    async with WeChat("wx", "s", f"http://127.0.0.1:{unused_tcp_port}", redis, pauses=(0.0,)) as client:
        await redis.set("wechat:wx:token", "t")
        with pytest.raises(errors.Unavailable) as error:
            await client.send_text("o1", "好")
    assert "t=" not in str(error.value) and str(unused_tcp_port) not in str(error.value)


async def test_a_wrong_address_is_not_taken_for_a_message_under_way(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, web.Response(status=404))
    with pytest.raises(errors.Unavailable, match="HTTP 404"):
        await client.send_text("o1", "好")
    assert len(api.of(SEND)) == 1


async def test_a_redirect_is_not_followed_with_the_token(api: FakeApi, client: WeChat) -> None:
    api.tell(SEND, web.Response(status=302, headers={"Location": "/elsewhere"}))
    with pytest.raises(errors.Unavailable, match="HTTP 302"):
        await client.send_text("o1", "好")
    assert not api.of("elsewhere")


async def test_an_upload_refused_for_its_token_sends_the_whole_file_again(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/upload", failing(40001), failing(-1), {"type": "image", "media_id": "m9", "created_at": 1})
    assert await client.upload_media(JPEG, "林女士的化验单.jpg", "image") == "m9"
    calls = api.of("cgi-bin/media/upload")
    assert [call["file"]["data"] for call in calls] == [JPEG, JPEG, JPEG]
    assert [call["query"]["access_token"] for call in calls] == ["token-1", "token-2", "token-2"]
    assert calls[0]["file"] | {"data": b""} == {"name": "image.jpg", "field": "media", "data": b""}
    assert calls[0]["query"]["type"] == "image"


async def test_a_file_is_named_by_its_letters_and_its_content(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/upload", {"media_id": "m9"})
    await client.upload_media(AMR, '../a"b\r\nc-1.exe', "voice")
    assert api.of("cgi-bin/media/upload")[0]["file"]["name"] == "abc1.amr"


async def test_a_file_that_is_not_what_it_says_is_not_uploaded(api: FakeApi, client: WeChat) -> None:
    with pytest.raises(MediaRefused):
        await client.upload_media(b"MZ" + b"\x00" * 100, "photo.jpg", "image")
    assert not api.of("cgi-bin/media/upload")


@pytest.mark.parametrize(
    ("data", "mime"), [(JPEG, "image/jpeg"), (AMR, "audio/amr"), (b"??", "application/octet-stream")]
)
async def test_a_download_is_typed_by_its_content_whatever_its_header_says(
    data: bytes, mime: str, api: FakeApi, client: WeChat
) -> None:
    headers = {"Content-Disposition": 'attachment; filename="x.jpg"'}
    api.tell("cgi-bin/media/get", web.Response(body=data, content_type="text/plain", headers=headers))
    assert await client.get_media("m1") == (data, mime)
    assert api.of("cgi-bin/media/get")[0]["query"] == {"media_id": "m1", "access_token": "token-1"}


async def test_a_download_without_a_disposition_is_a_file_too(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/get", web.Response(body=JPEG, content_type="image/jpeg"))
    assert await client.get_media("m1") == (JPEG, "image/jpeg")


@pytest.mark.parametrize("label", ["application/json", "text/plain"])
async def test_a_download_that_is_gone_says_so(label: str, api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/get", web.Response(text=json.dumps(failing(40007)), content_type=label))
    with pytest.raises(errors.MediaGone):
        await client.get_media("m1")


async def test_a_video_is_fetched_from_the_address_wechat_names_without_the_token(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/get", {"video_url": f"{api.url}/video/7"})
    api.tell("video/7", web.Response(body=MP4))
    assert await client.get_media("m1") == (MP4, "video/mp4")
    assert api.of("video/7")[0]["query"] == {}


@pytest.mark.parametrize("address", ["file:///etc/hostname", "", 5])
async def test_a_video_at_no_address_is_not_fetched(address: Any, api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/get", {"video_url": address})
    with pytest.raises((errors.Unavailable, errors.Unknown)):
        await client.get_media("m1")


@pytest.mark.parametrize(("size", "reason"), [(1001, "too_large"), (50_000_000, "too_large"), (0, "empty")])
async def test_a_download_is_limited_and_not_empty(size: int, reason: str, api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/media/get", web.Response(body=b"x" * size, content_type="image/jpeg"))
    with pytest.raises(MediaRefused) as refused:
        await client.get_media("m1", max_bytes=1000)
    assert refused.value.reason == reason


async def test_a_person_is_looked_up(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/user/info", {"subscribe": 1, "openid": "o1", "unionid": "u1"})
    assert (await client.user_info("o1"))["unionid"] == "u1"
    assert api.of("cgi-bin/user/info")[0]["query"]["openid"] == "o1"


async def test_a_follow_code_carries_its_scene_and_ends(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/qrcode/create", {"ticket": "gQH+/=", "expire_seconds": 600, "url": "http://weixin.qq.com/q/x"})
    code = await client.create_qr("staff-7f3a", 600)
    assert api.of("cgi-bin/qrcode/create")[0]["json"] == {
        "expire_seconds": 600,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": "staff-7f3a"}},
    }
    assert (code.ticket, code.url, code.seconds) == ("gQH+/=", "http://weixin.qq.com/q/x", 600)
    assert code.image_url == f"{api.url}/cgi-bin/showqrcode?ticket=gQH%2B%2F%3D"


@pytest.mark.parametrize(("scene", "seconds"), [("", 600), ("x" * 65, 600), ("x", 59), ("x", 2_592_001)])
async def test_a_follow_code_out_of_bounds_is_refused_here(scene: str, seconds: int, client: WeChat) -> None:
    with pytest.raises(ValueError, match="scene"):
        await client.create_qr(scene, seconds)


async def test_the_menu_is_replaced(api: FakeApi, client: WeChat) -> None:
    menu = {"button": [{"type": "click", "name": "问医生", "key": "ask-doctor"}]}
    api.tell("cgi-bin/menu/create", OK)
    await client.create_menu(menu)
    assert api.of("cgi-bin/menu/create")[0]["json"] == menu


async def test_a_mass_message_goes_to_all_to_a_tag_or_to_people(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/message/mass/sendall", OK | {"msg_id": 1})
    api.tell("cgi-bin/message/mass/send", OK | {"msg_id": 2})
    assert await client.mass_send("科普", client_msg_id="c1") == Sent("1")
    await client.mass_send("科普", client_msg_id="c2", tag_id=5)
    assert await client.mass_send("科普", client_msg_id="c3", openids=["o1", "o2"]) == Sent("2")
    everybody, tagged = (call["json"] for call in api.of("cgi-bin/message/mass/sendall"))
    assert everybody["filter"] == {"is_to_all": True} and everybody["clientmsgid"] == "c1"
    assert tagged["filter"] == {"is_to_all": False, "tag_id": 5}
    assert api.of("cgi-bin/message/mass/send")[0]["json"]["touser"] == ["o1", "o2"]
    for wrong in ({"openids": ["o1"]}, {"openids": ["o1", "o2"], "tag_id": 5}):
        with pytest.raises(ValueError, match="mass"):
            await client.mass_send("科普", client_msg_id="c4", **wrong)


def test_the_login_address_has_wechats_order_and_fragment(client: WeChat) -> None:
    address = client.oauth_url("https://x.cn/login?next=/me&a=1", "state-1")
    parts = urlsplit(address)
    assert (parts.path, parts.fragment) == ("/connect/oauth2/authorize", "wechat_redirect")
    assert [pair.split("=")[0] for pair in parts.query.split("&")] == [
        "appid",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    ]
    values = parse_qs(parts.query)
    assert values["redirect_uri"] == ["https://x.cn/login?next=/me&a=1"]
    assert (values["scope"], values["state"]) == (["snsapi_base"], ["state-1"])


def test_the_hosts_are_configuration_and_wechats_own_beside_its_api(redis: Redis) -> None:
    real = WeChat("wx", "s", "https://api.weixin.qq.com", redis)
    assert real.oauth_url("https://x.cn", "s").startswith("https://open.weixin.qq.com/connect/")
    stood_in = WeChat("wx", "s", "http://127.0.0.1:1/", redis)
    assert stood_in.oauth_url("https://x.cn", "s").startswith("http://127.0.0.1:1/connect/")
    told = WeChat("wx", "s", "http://127.0.0.1:1", redis, open_url="http://127.0.0.1:2")
    assert told.oauth_url("https://x.cn", "s").startswith("http://127.0.0.1:2/connect/")


async def test_a_login_code_gives_the_openid_without_the_access_token(api: FakeApi, client: WeChat) -> None:
    api.tell("sns/oauth2/access_token", {"access_token": "page", "openid": "o1", "scope": "snsapi_base"})
    assert await client.oauth_openid("code-1") == "o1"
    assert api.of("sns/oauth2/access_token")[0]["query"] == {
        "appid": "wx-of-the-tests",
        "secret": "app-secret-of-the-tests",
        "code": "code-1",
        "grant_type": "authorization_code",
    }
    assert not api.of("cgi-bin/stable_token")


@pytest.mark.parametrize("flag", [1, "1", True])
async def test_a_snapshot_user_is_refused(flag: Any, api: FakeApi, client: WeChat) -> None:
    api.tell("sns/oauth2/access_token", {"openid": "oMadeUp", "is_snapshotuser": flag})
    with pytest.raises(errors.SnapshotUser):
        await client.oauth_openid("code")


async def test_an_ordinary_user_is_not_taken_for_a_snapshot(api: FakeApi, client: WeChat) -> None:
    api.tell("sns/oauth2/access_token", {"openid": "o1", "is_snapshotuser": 0})
    assert await client.oauth_openid("code") == "o1"


async def test_a_login_without_an_answer_is_started_again_not_asked_again(api: FakeApi, connect: Connect) -> None:
    api.tell("sns/oauth2/access_token", hang)
    with pytest.raises(errors.LoginStale):
        await connect(timeout=1.0).oauth_openid("code")
    assert len(api.of("sns/oauth2/access_token")) == 1


async def test_an_errcode_that_is_no_number_is_an_error_not_a_success(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/menu/create", {"errcode": "soon", "errmsg": "?"})
    with pytest.raises(errors.Unknown):
        await client.create_menu({"button": []})


async def test_an_answer_with_raw_control_characters_is_still_read(api: FakeApi, client: WeChat) -> None:
    api.tell("cgi-bin/user/info", web.Response(body=b'{"subscribe": 1, "remark": "a\x01b\nc"}'))
    assert (await client.user_info("o1"))["remark"] == "a\x01b\nc"
