"""Links and logins as a phone's own user, the phone page and the page of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bot.simulator.config import Person, Role
from bot.simulator.history import Channel, Message
from bot.simulator.pages.render import said, timed
from bot.simulator.phone import Phone
from bot.simulator.richtext import Choice, Segment, segments

from .account import APP_ID, APP_SECRET, PNG, Callback, Start, WeChat, reply

EXCHANGE = "/sns/oauth2/access_token"


# text


def test_only_links_of_wechat_are_tappable() -> None:
    found = segments(
        '请看 <a href="http://x.cn/a?b=1&amp;c=2">说明</a>，或 https://x.cn/b。'
        "<a href='weixin://bizmsgmenu?msgmenucontent=%E6%80%A5&msgmenuid=7'>很急</a>"
        '<a href="javascript:alert(1)">坏</a><b>粗</b>'
    )
    assert found == [
        Segment("请看 "),
        Segment("说明", url="http://x.cn/a?b=1&c=2"),
        Segment("，或 "),
        Segment("https://x.cn/b", url="https://x.cn/b"),
        Segment("。"),
        Segment("很急", choice=Choice("7", "急")),
        Segment('<a href="javascript:alert(1)">坏</a>'),
        Segment("<b>粗</b>"),
    ]


def test_times_are_said_as_people_say_them() -> None:
    now = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    ago = {0: "10:00", 1: "昨天 10:00", 2: "星期日 10:00", 8: "11月16日 10:00", 400: "2025年10月20日 10:00"}
    assert {days: said(now - timedelta(days=days), now) for days in ago} == ago
    messages = [
        Message(id=n, at=now + timedelta(seconds=s), channel=Channel.SENT, kind="text")
        for n, s in enumerate((0, 60, 600), 1)
    ]
    assert [bool(time) for time, _ in timed(messages, now)] == [True, False, True]
    assert [m.id for _, m in timed(messages, now, after=2)] == [3]


# logging in


def hop(wechat: WeChat, **changes: str) -> str:
    query = {
        "appid": APP_ID,
        "redirect_uri": f"{wechat.callback.url}/login?from=chat",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "s1",
    } | changes
    return f"{wechat.url}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"


async def exchange(wechat: WeChat, code: str, **changes: str) -> dict[str, object]:
    query = {"appid": APP_ID, "secret": APP_SECRET, "code": code, "grant_type": "authorization_code"} | changes
    answer: dict[str, object] = await wechat.call(EXCHANGE, **query)
    return answer


async def test_the_hop_tells_the_app_whose_phone_it_is_once(wechat: WeChat, lin: Phone) -> None:
    page = await lin.opens(hop(wechat))
    query = parse_qs(urlsplit(page.url).query)
    assert page.status == 200 and query["from"] == ["chat"] and query["state"] == ["s1"]
    code = query["code"][0]
    assert (await exchange(wechat, code))["openid"] == lin.openid
    assert (await exchange(wechat, code))["errcode"] == 40163


async def test_the_apps_own_redirect_leads_through_the_hop(wechat: WeChat, lin: Phone) -> None:
    page = await lin.opens(f"{wechat.callback.url}/login")
    assert page.text.startswith("code=") and page.text.endswith("state=s1")


async def test_bad_exchanges_are_refused(wechat: WeChat, lin: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fresh() -> str:
        return parse_qs(urlsplit((await lin.opens(hop(wechat))).url).query)["code"][0]

    assert (await exchange(wechat, "invented"))["errcode"] == 40029
    assert (await exchange(wechat, ""))["errcode"] == 41008
    assert (await exchange(wechat, await fresh(), appid="wxother"))["errcode"] == 40013
    assert (await exchange(wechat, await fresh(), secret="wrong"))["errcode"] == 40125
    assert (await exchange(wechat, await fresh(), grant_type="x"))["errcode"] == 40002
    code = await fresh()
    openid, ends, snapshot = wechat.world.codes[code]
    wechat.world.codes[code] = (openid, ends - 301, snapshot)
    assert (await exchange(wechat, code))["errcode"] == 42003


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"redirect_uri": "http://evil.example/login"}, "10003"),
        ({"scope": "snsapi_everything"}, "Scope"),
        ({"appid": "wxother"}, "appid"),
        ({"response_type": "token"}, "response_type"),
    ],
)
async def test_a_hop_that_wechat_would_not_make_shows_why(
    wechat: WeChat, lin: Phone, change: dict[str, str], words: str
) -> None:
    page = await lin.opens(hop(wechat, **change))
    assert words in page.text and not wechat.world.codes


async def test_a_snapshot_user_is_marked_as_one(wechat: WeChat, lin: Phone) -> None:
    await wechat.control("/faults", {"snapshot_users": True})
    code = parse_qs(urlsplit((await lin.opens(hop(wechat))).url).query)["code"][0]
    assert (await exchange(wechat, code))["is_snapshotuser"] == 1


async def test_outside_a_phone_the_hop_asks_as_whom(wechat: WeChat, lin: Phone) -> None:
    async with wechat.http.get(hop(wechat)) as response:
        text = await response.text()
    assert "请在微信客户端打开链接" in text and "林女士" in text
    async with wechat.http.get(hop(wechat).replace("appid=", "as=p1&appid="), allow_redirects=False) as response:
        assert response.status == 302
        code = parse_qs(urlsplit(response.headers["Location"]).query)["code"][0]
    assert (await exchange(wechat, code))["openid"] == lin.openid


# a phone's browser


async def test_each_phone_keeps_its_own_cookies(wechat: WeChat, lin: Phone) -> None:
    wang = wechat.world.add_phone("王阿姨")
    page = f"{wechat.callback.url}/page"
    await lin.opens(f"{page}?who=lin")
    await wang.opens(f"{page}?who=wang")
    assert "who=lin" in (await lin.opens(page)).text
    assert "who=wang" in (await wang.opens(page)).text
    assert "MicroMessenger" in (await lin.opens(page)).text
    lin.browser.keep_cookies(["who=; Max-Age=0", "bad cookie\x00"])
    assert "who=nobody" in (await lin.opens(page)).text


async def test_the_overlay_shows_a_phones_pages_under_its_own_host(wechat: WeChat, lin: Phone) -> None:
    port = urlsplit(wechat.url).port
    host = {"Host": f"p1.localhost:{port}", "Origin": f"http://p1.localhost:{port}"}
    async with wechat.http.get(f"{wechat.url}/page?who=lin", headers=host) as response:
        assert "X-Frame-Options" not in response.headers
        assert response.headers["Content-Security-Policy"] == "default-src 'self'"
        assert "Set-Cookie" not in response.headers
        assert f"http://p1.localhost:{port}/page" in await response.text()
    async with wechat.http.get(f"{wechat.url}/page", headers=host) as response:
        assert "who=lin" in await response.text()
    async with wechat.http.post(f"{wechat.url}/form", headers=host, data={"said": "好"}) as response:
        assert await response.text() == f"origin={wechat.callback.url} said=好"
    async with wechat.http.get(f"{wechat.url}/login", headers=host, allow_redirects=False) as response:
        location = response.headers["Location"]
        assert location.startswith(f"http://p1.localhost:{port}/connect/oauth2/authorize?")
    path = location.removeprefix(f"http://p1.localhost:{port}")
    async with wechat.http.get(wechat.url + path, headers=host, allow_redirects=False) as response:
        back = response.headers["Location"]
        assert back.startswith(f"http://p1.localhost:{port}/login?code=")
    async with wechat.http.get(f"{wechat.url}/control/ledger", headers=host) as response:
        assert response.status == 404, "a page in a phone's browser does not reach the control API"
    async with wechat.http.get(wechat.url, headers={"Host": f"p9.localhost:{port}"}) as response:
        assert response.status == 404


async def test_a_page_of_an_app_that_is_away_says_so(start: Start) -> None:
    wechat = await start(Callback(url="http://127.0.0.1:9"))
    wechat.world.add_phone("林女士")
    async with wechat.http.get(f"{wechat.url}/page", headers={"Host": "p1.localhost"}) as response:
        assert "网页打不开" in await response.text()


# the pages


async def test_the_phone_page_shows_phones_side_by_side(start: Start) -> None:
    people = (
        Person(name="林女士"),
        Person(name="王阿姨"),
        Person(name="张伯"),
        Person(name="李医生", role=Role.DOCTOR),
    )
    wechat = await start(people=people)
    lin = wechat.world.phone("林女士")
    wechat.callback.answers = lambda m: reply(
        m["FromUserName"], '<script>x</script> <a href="weixin://bizmsgmenu?msgmenucontent=急&msgmenuid=7">很急</a>'
    )
    await lin.follows()
    await lin.says("你好 <b>")
    await lin.sends_photo(PNG)
    await wechat.call("/cgi-bin/menu/create", {"button": [{"type": "click", "name": "问医生", "key": "ask"}]})
    async with wechat.http.get(f"{wechat.url}/phones") as response:
        text = await response.text()
    for wanted in (
        'data-phone="林女士"',
        "data-input",
        "data-send",
        'data-menu-key="ask"',
        'data-choice="7"',
        "你好 &lt;b&gt;",
        "&lt;script&gt;",
        'src="/mmbiz/',
    ):
        assert wanted in text, wanted
    shown = [line for line in text.splitlines() if "data-phone=" in line and not line.rstrip(">").endswith("hidden")]
    assert [line.split('data-phone="')[1].split('"')[0] for line in shown] == ["林女士", "王阿姨", "李医生"]
    async with wechat.http.get(f"{wechat.url}/phones", params={"show": "张伯"}) as response:
        assert 'data-show="p3" data-name="张伯" aria-pressed="true"' in await response.text()


async def test_an_open_page_fetches_only_what_is_new(wechat: WeChat, lin: Phone) -> None:
    async with wechat.http.get(f"{wechat.url}/phones/events") as events:
        await lin.says("一")
        got = b""
        while b"p1" not in got:
            got += await events.content.readline()
    async with wechat.http.get(f"{wechat.url}/phones/p1/chat", params={"after": lin.last_own_id}) as response:
        part = await response.json()
    assert "你说：一" in part["messages"] and part["messages"].count("data-message") == 1
    assert part["last"] == lin.history[-1].id
    async with wechat.http.get(f"{wechat.url}/phones/p7/chat") as response:
        assert response.status == 404
    async with wechat.http.get(f"{wechat.url}/phones/bar") as response:
        assert (await response.json())["phones"] == ["p1"]


async def test_a_template_card_and_an_alert_are_shown(wechat: WeChat, lin: Phone) -> None:
    body = {
        "touser": lin.openid,
        "template_id": "any",
        "url": f"{wechat.callback.url}/page",
        "data": {"name1": {"value": "李医生"}},
    }
    await wechat.call("/cgi-bin/message/template/send", body)
    async with wechat.http.post(f"{wechat.url}/gateway/alert", json={"to": "13800000000", "text": "急症"}):
        pass
    async with wechat.http.get(f"{wechat.url}/phones") as response:
        text = await response.text()
    assert "查看详情" in text and "李医生" in text and "13800000000" in text
    async with wechat.http.get(f"{wechat.url}/phones/p1/address", params={"url": body["url"]}) as response:
        port = urlsplit(wechat.url).port
        assert (await response.json())["url"] == f"http://p1.localhost:{port}/page"


async def test_the_page_of_calls_shows_filters_and_hides_secrets(wechat: WeChat, lin: Phone) -> None:
    await lin.says("血小板 23")
    await wechat.tells(lin, "x" * 3000)

    async def page(**query: str) -> str:
        async with wechat.http.get(f"{wechat.url}/calls", params=query) as response:
            return await response.text()

    text = await page()
    assert "血小板 23" in text and "45002" in text and wechat.token not in text
    assert "45002" in await page(only="failed") and "血小板 23" not in await page(only="failed")
    assert "没有符合条件的记录" in await page(phone="林女士", q="nowhere")
    async with wechat.http.get(f"{wechat.url}/calls/rows", params={"after": "0", "direction": "push"}) as response:
        rows = await response.json()
    assert rows["rows"].count("data-call") == 2


async def test_the_qr_picture_of_nothing_is_not_there(wechat: WeChat) -> None:
    for path in ("/cgi-bin/showqrcode?ticket=x", "/mmbiz/x"):
        async with wechat.http.get(wechat.url + path) as response:
            assert response.status == 404
    async with wechat.http.get(wechat.url, allow_redirects=False) as response:
        assert response.headers["Location"] == "/phones"
