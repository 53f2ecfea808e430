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
QUESTIONS = (
    "血小板低能不能打篮球",
    "激素要吃多久才能停",
    "血小板低可以坐飞机吗",
    "这个病会不会遗传给孩子",
    "打疫苗会不会影响血小板",
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


def request(account: Account, envelope: Envelope, openid: str, text: str | None) -> bytes:
    """One push as it goes over the wire, with a timestamp of now; without a text, an event that asks for no answer."""
    stamp = str(int(time.time()))
    content = (
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content><MsgId>{next(_msg_id)}</MsgId>"
        if text is not None
        else "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[VIEW]]></Event><EventKey><![CDATA[x]]></EventKey>"
    )
    xml = (
        f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
        f"<CreateTime>{stamp}</CreateTime>{content}</xml>"
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


def openids(number: int, *, group: str = "Bench") -> list[str]:
    """The ids of this many patients, the same in each run."""
    return [f"o{group}{n:022d}" for n in range(number)]


def envelope_of(account: Account) -> Envelope:
    """What seals for this account."""
    return Envelope(token=account.token, aes_key=account.aes_key, app_id=account.app_id)


def burst(
    account: Account, number: int, *, patients: int, texts: tuple[str, ...] = HARMLESS, group: str = "Bench"
) -> list[bytes]:
    """This many pushes from this many patients in turn."""
    envelope = envelope_of(account)
    people = openids(patients, group=group)
    return [request(account, envelope, people[n % patients], texts[n % len(texts)]) for n in range(number)]
