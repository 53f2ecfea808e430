"""A small application behind the callback, and a WeChat in front of it.

The callback decrypts with wechatpy, a third implementation of the protocol beside the simulator's and the app's.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web
from defusedxml.ElementTree import fromstring
from wechatpy.crypto import WeChatCrypto

from bot.simulator.app import create
from bot.simulator.config import Mode, SimulatorConfig, Template
from bot.simulator.crypto import signature
from bot.simulator.phone import Phone
from bot.simulator.world import World

APP_ID, APP_SECRET, TOKEN = "wxsimulated0000001", "an-app-secret-of-tests", "tokenoftests"
AES_KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
ACCOUNT = "gh_itpcompanion"
TEMPLATE = Template(id="answer-template", title="有新的回复", content="回复医生：{{name1.DATA}}\n内容：{{thing2.DATA}}")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
AMR = b"#!AMR\n" + bytes(64)


def reply(openid: str, text: str) -> str:
    """A passive text reply in plain XML."""
    return (
        f"<xml><ToUserName><![CDATA[{openid}]]></ToUserName><FromUserName><![CDATA[{ACCOUNT}]]></FromUserName>"
        f"<CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        f"<Content><![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]></Content></xml>"
    )


@dataclass
class Callback:
    """An account's server. `answers` turns the fields of a message into plain reply XML, or a whole response."""

    mode: Mode = Mode.SAFE
    answers: Callable[[dict[str, str]], str | web.Response] = field(
        default=lambda m: reply(m["FromUserName"], f"你说：{m.get('Content', m['MsgType'])}")
    )
    delays: list[float] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    clock_moves: list[dict[str, Any]] = field(default_factory=list)
    echo: bool = True
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/wechat", self._handshake)
        app.router.add_post("/wechat", self._message)
        app.router.add_post("/clock", self._clock)
        app.router.add_get("/page", self._page)
        app.router.add_get("/login", self._login)
        app.router.add_post("/form", self._form)
        return app

    async def _handshake(self, request: web.Request) -> web.Response:
        query = request.query
        good = query["signature"] == signature(TOKEN, query["timestamp"], query["nonce"])
        return web.Response(text=query["echostr"] if good and self.echo else "no", status=200 if good else 403)

    async def _message(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        query = dict(request.query)
        self.queries.append(query)
        self.bodies.append(body)
        assert query["signature"] == signature(TOKEN, query["timestamp"], query["nonce"])
        crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
        if self.mode is not Mode.PLAIN:
            body = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
            body = body if isinstance(body, str) else body.decode()
        self.plain.append(body)
        message = {e.tag: e.text or "" for e in fromstring(body)}
        self.seen.append(message)
        if self.delays:
            await asyncio.sleep(self.delays.pop(0))
        answer = self.answers(message)
        if isinstance(answer, web.Response):
            return answer
        if self.mode is Mode.SAFE and answer not in ("", "success"):
            answer = crypto.encrypt_message(answer, "nonceofreply", "1700000000")
        return web.Response(text=answer)

    async def _clock(self, request: web.Request) -> web.Response:
        self.clock_moves.append(await request.json())
        return web.json_response({})

    async def _page(self, request: web.Request) -> web.Response:
        origin = f"{request.scheme}://{request.host}"
        who = request.cookies.get("who", "nobody")
        response = web.Response(
            text=f'<html><body>who={who} agent={request.headers["User-Agent"]} <a href="{origin}/page">x</a></body></html>',
            content_type="text/html",
            headers={
                "X-Frame-Options": "DENY",
                "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
            },
        )
        if "who" in request.query:
            response.set_cookie("who", request.query["who"], httponly=True)
        return response

    async def _login(self, request: web.Request) -> web.Response:
        origin = f"{request.scheme}://{request.host}"
        if "code" in request.query:
            return web.Response(text=f"code={request.query['code']} state={request.query['state']}")
        target = f"{origin}/login".replace(":", "%3A").replace("/", "%2F")
        raise web.HTTPFound(
            f"https://open.weixin.qq.com/connect/oauth2/authorize?appid={APP_ID}&redirect_uri={target}"
            "&response_type=code&scope=snsapi_base&state=s1#wechat_redirect"
        )

    async def _form(self, request: web.Request) -> web.Response:
        form = await request.post()
        return web.Response(text=f"origin={request.headers.get('Origin')} said={form['said']}")

    def texts(self) -> list[str]:
        return [m["Content"] for m in self.seen if "Content" in m]

    def events(self) -> list[str]:
        return [m["Event"] for m in self.seen if "Event" in m]


@dataclass
class WeChat:
    """A running simulator with a caller that holds an access token."""

    world: World
    url: str
    http: aiohttp.ClientSession
    callback: Callback
    token: str = ""

    async def call(
        self, path: str, body: Any = None, *, method: str = "", raw: bytes | None = None, **query: str
    ) -> Any:
        """Call the API; a body makes it a POST."""
        data = raw if raw is not None else None if body is None else json.dumps(body, ensure_ascii=False).encode()
        query = {"access_token": self.token} | query
        async with self.http.request(
            method or ("GET" if data is None else "POST"), self.url + path, params=query, data=data
        ) as response:
            if response.content_type != "application/json":
                return await response.read()
            return await response.json()

    async def code(self, path: str, body: Any = None, **query: Any) -> int:
        """The error code of a call, 0 when it worked."""
        return int((await self.call(path, body, **query)).get("errcode", 0))

    async def tells(self, phone: Phone, text: str) -> int:
        """An active text; its error code."""
        return await self.code(
            "/cgi-bin/message/custom/send", {"touser": phone.openid, "msgtype": "text", "text": {"content": text}}
        )

    async def upload(self, kind: str, data: bytes, name: str = "file") -> Any:
        form = aiohttp.FormData()
        form.add_field("media", io.BytesIO(data), filename=name)
        async with self.http.post(
            f"{self.url}/cgi-bin/media/upload", params={"access_token": self.token, "type": kind}, data=form
        ) as response:
            return await response.json()

    async def control(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.url}/control{path}", json=body) as response:
            assert response.status == status, await response.text()
            return await response.json()


Start = Callable[..., Any]


@asynccontextmanager
async def staged() -> AsyncIterator[Start]:
    """Gives what starts a simulator with a callback of its own; keyword arguments go into its configuration."""
    closing: list[Callable[[], Any]] = []

    async def listen(app: web.Application) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        closing.append(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def begin(callback: Callback | None = None, **changes: Any) -> WeChat:
        callback = callback or Callback(mode=changes.get("mode", Mode.SAFE))
        if not callback.url:
            callback.url = await listen(callback.app())
        config = SimulatorConfig(
            callback_url=f"{callback.url}/wechat",
            app_id=APP_ID,
            app_secret=APP_SECRET,
            token=TOKEN,
            aes_key=AES_KEY,
            deadline_seconds=3.0,
            handshake_on_start=False,
        )
        config = replace(config, **changes)
        world = World(config)
        url = await listen(create(config, world))
        http = aiohttp.ClientSession()
        closing.append(http.close)
        wechat = WeChat(world, url, http, callback)
        wechat.token = (
            await wechat.call(
                "/cgi-bin/stable_token",
                {"grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET},
            )
        )["access_token"]
        return wechat

    try:
        yield begin
    finally:
        for close in reversed(closing):
            await close()
