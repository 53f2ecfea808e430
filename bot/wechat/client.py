"""What we ask of WeChat: messages, files, users, menu, QR codes, page login.

Every call ends in its result or in one class of `bot.wechat.errors`; none is left to the caller's reading of a code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

from bot.wechat import media
from bot.wechat.documents import clean
from bot.wechat.errors import AlreadySent, LoginStale, MaybeSent, SnapshotUser, TokenRejected, TooLong, TypingIgnored
from bot.wechat.messages import MAX_TEXT_BYTES
from bot.wechat.token import AccessToken
from bot.wechat.transport import Answer, Call, File, Transport, strange

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CUSTOM = "cgi-bin/message/custom/send"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message WeChat took. `repeated`: it had been sent before with the same id, and was not sent again."""

    msg_id: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class QrCode:
    """A follow QR code: `url` is what it encodes, `image_url` its picture, for `seconds` from now."""

    ticket: str
    url: str
    image_url: str
    seconds: int


class WeChat:
    """The client of one official account.

    Args:
        app_id, secret: the account's.
        api_url: host of the API.
        redis: shared by the deployment, holds the access token.
        open_url, mp_url: hosts of the login page and of QR pictures. Left out, they are WeChat's own when `api_url` is,
            else `api_url`.
        timeout, pauses: see `Transport`.
    """

    def __init__(
        self,
        app_id: str,
        secret: str,
        api_url: str,
        redis: "Redis",
        *,
        open_url: str | None = None,
        mp_url: str | None = None,
        timeout: float = 8.0,
        pauses: Sequence[float] = (0.3, 1.0),
    ) -> None:
        genuine = (urlsplit(api_url).hostname or "").endswith("weixin.qq.com")
        self._app_id = app_id
        self._secret = secret
        self._open_url = (open_url or ("https://open.weixin.qq.com" if genuine else api_url)).rstrip("/")
        self._mp_url = (mp_url or ("https://mp.weixin.qq.com" if genuine else api_url)).rstrip("/")
        self._transport = Transport(api_url, timeout=timeout, pauses=pauses)
        self.token = AccessToken(redis, self._transport, app_id, secret)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def send_text(self, openid: str, text: str) -> Sent:
        """Send a text within the person's delivery window.

        Raises:
            TooLong: more than `MAX_TEXT_BYTES`; nothing was sent.
            MaybeSent, Unreachable, WindowClosed, RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        return await self._custom(openid, "text", {"content": _fitting(_CUSTOM, text)})

    async def send_menu(self, openid: str, head: str, choices: Mapping[str, str], tail: str = "") -> Sent:
        """Send an in-message menu; `choices` maps the id that a tap brings back to the words shown.

        Raises as `send_text`.
        """
        listed = [{"id": name, "content": clean(words)} for name, words in choices.items()]
        _fitting(_CUSTOM, head + tail + "".join(choices.values()))
        return await self._custom(
            openid, "msgmenu", {"head_content": clean(head), "list": listed, "tail_content": clean(tail)}
        )

    async def send_image(self, openid: str, media_id: str) -> Sent:
        """Send an uploaded picture. Raises `MediaGone` when it must be uploaded again, else as `send_text`."""
        return await self._custom(openid, "image", {"media_id": media_id})

    async def send_voice(self, openid: str, media_id: str) -> Sent:
        """Send an uploaded voice message. Raises as `send_image`."""
        return await self._custom(openid, "voice", {"media_id": media_id})

    async def send_template(
        self, openid: str, template_id: str, data: Mapping[str, str], *, url: str | None = None, client_msg_id: str
    ) -> Sent:
        """Send a template message. With its `client_msg_id` it may be sent again within ten minutes and arrives once.

        Raises:
            NoticeRefused: template and data do not fit; else as `send_text`, without `WindowClosed` and `TooLong`.
        """
        payload: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "data": _values(data),
            "client_msg_id": client_msg_id,
        }
        if url:
            payload["url"] = url
        call = Call("cgi-bin/message/template/send", payload=payload, repeatable=True, needs=("errcode",))
        return await self._send_once(call)

    async def send_subscription(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str | None = None
    ) -> Sent:
        """Send a subscription notice (订阅通知) that the person agreed to before.

        Raises:
            NoticeRefused: not agreed to, or template and data do not fit.
            MaybeSent: it has no id of ours, so it is not repeated when no answer came; else as `send_template`.
        """
        payload: dict[str, Any] = {"touser": openid, "template_id": template_id, "data": _values(data)}
        if page:
            payload["page"] = page
        return await self._send_once(
            Call("cgi-bin/message/subscribe/bizsend", payload=payload, needs=("errcode",)),
        )

    async def mass_send(
        self, text: str, *, client_msg_id: str, tag_id: int | None = None, openids: Sequence[str] | None = None
    ) -> Sent:
        """Send a text to everybody, to a tag, or to 2–10,000 people. A service account has four a month.

        Raises:
            ValueError: both or no fitting audience.
            RateLimited: this month's are used up; else as `send_template`.
        """
        payload: dict[str, Any] = {
            "msgtype": "text",
            "text": {"content": _fitting("cgi-bin/message/mass/send", text)},
            "clientmsgid": client_msg_id,
        }
        if openids is not None:
            if tag_id is not None or not 2 <= len(openids) <= 10_000:
                raise ValueError("a mass message goes to a tag, or to 2 to 10,000 people")
            name, payload["touser"] = "cgi-bin/message/mass/send", list(openids)
        else:
            name = "cgi-bin/message/mass/sendall"
            payload["filter"] = {"is_to_all": True} if tag_id is None else {"is_to_all": False, "tag_id": tag_id}
        return await self._send_once(Call(name, payload=payload, repeatable=True, needs=("errcode",)))

    async def typing(self, openid: str, on: bool) -> None:
        """Show or end "typing…" on the person's phone; where WeChat will not, nothing happens."""
        payload = {"touser": openid, "command": "Typing" if on else "CancelTyping"}
        try:
            await self._ask(Call("cgi-bin/message/custom/typing", payload=payload, repeatable=True))
        except TypingIgnored:
            return

    async def upload_media(self, data: bytes, filename: str, kind: media.MediaKind) -> str:
        """Upload a file for three days and return its media id.

        Of `filename` only letters and digits reach WeChat; the extension is the one of its content.

        Raises:
            MediaRefused: `data` is not of this kind or too large.
            RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        found = media.check(kind, data)
        stem = "".join(char for char in filename.rsplit(".", 1)[0] if char.isascii() and char.isalnum())[:32] or kind
        answer = await self._ask(
            Call(
                "cgi-bin/media/upload",
                query={"type": kind},
                file=File(data, f"{stem}.{found.extension}", found.mime),
                repeatable=True,
                needs=("thumb_media_id",) if kind == "thumb" else ("media_id",),
            )
        )
        return str(answer.fields.get("media_id") or answer.fields["thumb_media_id"])

    async def get_media(self, media_id: str, *, max_bytes: int = media.LARGEST) -> tuple[bytes, str]:
        """Download what a person sent: content, and the MIME type that its first bytes show.

        The type is `application/octet-stream` where they show none.

        Raises:
            MediaGone: unknown, or older than three days.
            MediaRefused: empty, or larger than `max_bytes`.
            RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        call = Call(
            "cgi-bin/media/get",
            method="GET",
            query={"media_id": media_id},
            repeatable=True,
            binary=True,
            max_bytes=max_bytes,
        )
        answer = await self._ask(call)
        content = answer.content
        if answer.fields:
            # Videos come as an address instead.
            address = answer.fields.get("video_url")
            if not isinstance(address, str):
                raise strange(call.name, "neither a file nor an address")
            content = await self._transport.fetch(address, max_bytes=max_bytes)
        if len(content) > max_bytes:
            raise media.MediaRefused("too_large")
        if not content:
            raise media.MediaRefused("empty")
        found = media.identify(content)
        return content, found.mime if found else "application/octet-stream"

    async def user_info(self, openid: str) -> Mapping[str, Any]:
        """What WeChat tells of a person; `subscribe` is 0 for one who does not follow.

        Raises:
            Unreachable, RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        call = Call(
            "cgi-bin/user/info",
            method="GET",
            query={"openid": openid, "lang": "zh_CN"},
            repeatable=True,
            needs=("subscribe",),
        )
        return (await self._ask(call)).fields

    async def create_qr(self, scene: str, seconds: int) -> QrCode:
        """Make a follow QR code that carries `scene` (1–64 characters) and ends after `seconds` (at most 30 days).

        Raises:
            ValueError: scene or duration are out of these bounds.
            RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        if not 1 <= len(scene) <= 64 or not 60 <= seconds <= 2_592_000:
            raise ValueError("a scene has 1 to 64 characters and lasts from 60 seconds to 30 days")
        payload = {
            "expire_seconds": seconds,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        }
        call = Call("cgi-bin/qrcode/create", payload=payload, repeatable=True, needs=("ticket", "url"))
        fields = (await self._ask(call)).fields
        ticket = str(fields["ticket"])
        image_url = f"{self._mp_url}/cgi-bin/showqrcode?ticket={quote(ticket, safe='')}"
        return QrCode(ticket, str(fields["url"]), image_url, int(fields.get("expire_seconds") or seconds))

    async def create_menu(self, menu: Mapping[str, Any]) -> None:
        """Replace the account's menu: `{"button": […]}` as WeChat documents it."""
        await self._ask(Call("cgi-bin/menu/create", payload=menu, repeatable=True, needs=("errcode",)))

    def oauth_url(self, redirect: str, state: str, *, scope: Literal["snsapi_base"] = "snsapi_base") -> str:
        """Where to send a page's visitor so that WeChat sends them back to `redirect` with a code and this `state`."""
        # WeChat refuses the parameters in any other order.
        query = urlencode(
            {
                "appid": self._app_id,
                "redirect_uri": redirect,
                "response_type": "code",
                "scope": scope,
                "state": state,
            }
        )
        return f"{self._open_url}/connect/oauth2/authorize?{query}#wechat_redirect"

    async def oauth_openid(self, code: str) -> str:
        """The visitor's openid for a login code, which works once.

        Raises:
            LoginStale: the code was used, has expired, or may have been used up by a request without answer.
            SnapshotUser: WeChat shows a snapshot of the page to somebody whose openid is not theirs.
            RateLimited, CapabilityMissing, Misconfigured, Unavailable, Unknown.
        """
        call = Call(
            "sns/oauth2/access_token",
            method="GET",
            query={
                "appid": self._app_id,
                "secret": self._secret,
                "code": code,
                "grant_type": "authorization_code",
            },
            needs=("openid",),
        )
        lost = None
        try:
            fields = (await self._transport.ask(call)).fields
        except MaybeSent as error:
            lost = LoginStale(call.name, detail=error.detail)
        if lost is not None:
            raise lost
        if str(fields.get("is_snapshotuser") or "0") != "0":
            raise SnapshotUser(call.name)
        return str(fields["openid"])

    async def _custom(self, openid: str, kind: str, content: Mapping[str, Any]) -> Sent:
        payload = {"touser": openid, "msgtype": kind, kind: content}
        return await self._send_once(Call(_CUSTOM, payload=payload, needs=("errcode",)))

    async def _send_once(self, call: Call) -> Sent:
        try:
            fields = (await self._ask(call)).fields
        except AlreadySent as before:
            return Sent(before.msg_id, repeated=True)
        return Sent(str(fields.get("msgid") or fields.get("msg_id") or ""))

    async def _ask(self, call: Call) -> Answer:
        token = await self._token_for(None)
        try:
            return await self._transport.ask(call, access_token=token)
        except TokenRejected:
            # Nothing was done with a token that is refused, so that even a message may be sent again.
            pass
        return await self._transport.ask(call, access_token=await self._token_for(token))

    async def _token_for(self, rejected: str | None) -> str:
        return await (self.token.get() if rejected is None else self.token.refresh(rejected))


def _fitting(call: str, text: str) -> str:
    text = clean(text)
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise TooLong(call, detail="above our own limit, not sent")
    return text


def _values(data: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"value": clean(value)} for name, value in data.items()}
