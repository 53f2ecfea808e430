"""The other side of the protocol: WeChat's pushes made with wechatpy's own crypto, and a small WeChat API that answers
what a test tells it to."""

import base64
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from aiohttp import BodyPartReader, web
from wechatpy.crypto import WeChatCrypto  # type: ignore[import-untyped]

from bot.wechat.client import WeChat
from bot.wechat.envelope import Envelope, Mode, signature

APP_ID = "wx-of-the-tests"
TOKEN = "callback-token-of-the-tests"
AES_KEY = base64.b64encode(bytes(range(32))).decode()[:43]
OTHER_AES_KEY = base64.b64encode(bytes(range(32, 64))).decode()[:43]
OPENID = "oPatient-1"
ACCOUNT = "gh_of_the_tests"


class WeChatSide:
    """What WeChat does when it pushes: writes, encrypts, signs; and what it does with a reply: verifies, decrypts."""

    app_id, token, aes_key, other_aes_key = APP_ID, TOKEN, AES_KEY, OTHER_AES_KEY
    openid, account = OPENID, ACCOUNT

    def envelope(self, mode: Mode = "safe", **settings: Any) -> Envelope:
        """Our side, set up for this account."""
        given = {"app_id": APP_ID, "token": TOKEN, "aes_key": AES_KEY, **settings}
        return Envelope(given.pop("app_id"), given.pop("token"), given.pop("aes_key"), mode, **given)

    def xml(self, msg_type: str = "text", **fields: str) -> str:
        """A pushed document; `fields` override and extend, values are written as CDATA."""
        default = {
            "ToUserName": ACCOUNT,
            "FromUserName": OPENID,
            "CreateTime": str(int(time.time())),
            "MsgType": msg_type,
        }
        if msg_type != "event":
            default["MsgId"] = "23456789012345678"
        whole = {**default, **fields}
        return "<xml>" + "".join(f"<{name}><![CDATA[{text}]]></{name}>" for name, text in whole.items()) + "</xml>"

    def seal(self, xml: str, *, aes_key: str = AES_KEY, app_id: str = APP_ID) -> str:
        """The content of Encrypt, by wechatpy."""
        sealed = WeChatCrypto(TOKEN, aes_key, app_id).encrypt_message(xml, "n", "1")
        return ElementTree.fromstring(sealed).findtext("Encrypt", "")

    def query(self, *, encrypt: str | None = None, age: int = 0, nonce: str = "nonce", **other: str) -> dict[str, str]:
        """The query of a push, signed now or `age` seconds ago."""
        timestamp = str(int(time.time()) - age)
        query = {"timestamp": timestamp, "nonce": nonce, "signature": signature(TOKEN, timestamp, nonce)}
        if encrypt is not None:
            query |= {"encrypt_type": "aes", "msg_signature": signature(TOKEN, timestamp, nonce, encrypt)}
        return query | other

    def push(self, xml: str, mode: str = "safe", *, age: int = 0, **seal: str) -> tuple[dict[str, str], bytes]:
        """Query and body of a push in this mode."""
        if mode == "plain":
            return self.query(age=age), xml.encode()
        sealed = self.seal(xml, **seal)
        encrypt = f"<Encrypt><![CDATA[{sealed}]]></Encrypt>"
        if mode == "safe":
            body = f"<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName>{encrypt}</xml>"
        else:
            body = xml.replace("</xml>", f"{encrypt}</xml>")
        return self.query(encrypt=sealed, age=age), body.encode()

    def read_reply(self, body: str) -> dict[str, str]:
        """A sealed passive reply, verified and decrypted by wechatpy, as a flat dict."""
        root = ElementTree.fromstring(body)
        crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
        signed, stamp, nonce = (root.findtext(name, "") for name in ("MsgSignature", "TimeStamp", "Nonce"))
        plain = crypto.decrypt_message(body, signed, stamp, nonce)
        return {child.tag: child.text or "" for child in ElementTree.fromstring(plain)}


class FakeApi:
    """WeChat's API host. Each call takes the next answer told for its path, the last one again and again."""

    def __init__(self) -> None:
        self.answers: defaultdict[str, list[Any]] = defaultdict(list)
        self.calls: list[dict[str, Any]] = []
        self.tokens = 0
        self.url = ""

    def tell(self, path: str, *answers: Any) -> None:
        """Answers in order: a dict is sent as JSON, a response as it is, a function is called with the request."""
        self.answers[path] = list(answers)

    def of(self, path: str) -> list[dict[str, Any]]:
        """The calls of a path: query, JSON body, uploaded file."""
        return [call for call in self.calls if call["path"] == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lstrip("/")
        call: dict[str, Any] = {"path": path, "query": dict(request.query), "json": None, "file": None}
        raw = b""
        if request.content_type == "multipart/form-data":
            part = await (await request.multipart()).next()
            assert isinstance(part, BodyPartReader)
            call["file"] = {"name": part.filename, "data": bytes(await part.read()), "field": part.name}
        elif request.can_read_body:
            raw = await request.read()
            call["json"] = await request.json()
        call["raw"] = raw
        self.calls.append(call)
        told = self.answers[path]
        if not told and path == "cgi-bin/stable_token":
            self.tokens += 1
            return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": 7200})
        answer = told.pop(0) if len(told) > 1 else told[0]
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, dict):
            # WeChat labels its JSON as text.
            return web.json_response(answer, content_type="text/plain")
        assert isinstance(answer, web.StreamResponse)
        return answer


Connect = Callable[..., WeChat]
"""Makes clients as different processes would have them, all on one Redis; keyword arguments are settings."""
