"""Pushes as WeChat would send them in safe mode, made before the clock runs: whole HTTP requests, each with its own MsgId.

Sealing is the simulator's, which was written apart from the app's code on purpose.
"""

import base64
import itertools
import secrets
import time
from dataclasses import dataclass, field

from bot.simulator.crypto import Envelope, signature

HARMLESS = (
    "血小板低平时能吃海鲜吗",
    "下周三复查需要空腹吗，上次护士没有说",
    "今天散步走了半个小时，感觉挺好的",
    "激素早上吃还是晚上吃比较好，说明书上没写",
    "报告出来了，大夫说比上个月高一些",
    "谢谢您，我知道了",
    "请问异地医保报销要带哪些材料",
    "孩子想上游泳课，要不要再等等",
    "这个药放冰箱里还是常温放着",
    "最近睡得不太好，有没有什么办法",
)
EMERGENCY = "头疼得厉害，还一直吐"


@dataclass
class Account:
    """The official account's secrets, made up for one run."""

    app_id: str = field(default_factory=lambda: "wx" + secrets.token_hex(8))
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    aes_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode()[:43])

    def environment(self) -> dict[str, str]:
        """The same, as every server of the bench reads them."""
        return {"WECHAT_APP_ID": self.app_id, "WECHAT_TOKEN": self.token, "WECHAT_AES_KEY": self.aes_key}


_msg_id = itertools.count(time.time_ns())


def request(account: Account, envelope: Envelope, openid: str, text: str, msg_id: int | None = None) -> bytes:
    """One push as it goes over the wire, with a timestamp of now."""
    stamp = str(int(time.time()))
    xml = (
        f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
        f"<CreateTime>{stamp}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
        f"<MsgId>{msg_id or next(_msg_id)}</MsgId></xml>"
    )
    sealed, nonce = envelope.seal(xml), secrets.token_hex(5)
    body = f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()
    query = (
        f"signature={signature(account.token, stamp, nonce)}&timestamp={stamp}&nonce={nonce}&openid={openid}"
        f"&encrypt_type=aes&msg_signature={signature(account.token, stamp, nonce, sealed)}"
    )
    head = (
        f"POST /wechat?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n"
        f"Content-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def openids(number: int) -> list[str]:
    """The ids of this many patients, the same in each run."""
    return [f"oBench{n:022d}" for n in range(number)]


def burst(account: Account, number: int, *, patients: int, texts: tuple[str, ...] = HARMLESS) -> list[bytes]:
    """This many pushes from this many patients in turn."""
    envelope = Envelope(token=account.token, aes_key=account.aes_key, app_id=account.app_id)
    people = openids(patients)
    return [request(account, envelope, people[n % patients], texts[n % len(texts)]) for n in range(number)]
