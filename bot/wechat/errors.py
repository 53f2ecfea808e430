"""What WeChat's error codes mean for what we do next.

No exception here holds a token, a query string, an openid or a text: only the name of the call, the code, and WeChat's
request id, which its support asks for.
"""

import re
from collections.abc import Mapping
from typing import Any

_RID = re.compile(r"\brid: ([0-9a-f-]{8,40})")


class WeChatError(Exception):
    """A call that did not do what was asked.

    Attributes:
        call: the API, e.g. `message/custom/send`.
        code: WeChat's errcode, or None when there was no proper answer.
        detail: why, in fixed words or with WeChat's request id.
    """

    def __init__(self, call: str, code: int | None = None, detail: str = "") -> None:
        self.call = call
        self.code = code
        self.detail = detail
        super().__init__(" ".join(part for part in (call, f"({code})" if code is not None else "", detail) if part))


class Unavailable(WeChatError):
    """Nothing was done: WeChat could not be reached or stayed busy. The same call may be made again later."""


class TokenRejected(Unavailable):
    """The access token is not (or no longer) valid, also after it was refreshed."""


class MaybeSent(WeChatError):
    """The request went out and no answer came back: the message may have arrived. Never resend it blindly."""


class Unreachable(WeChatError):
    """The person does not follow the account, blocked it, or never existed: nothing can be sent to them."""


class WindowClosed(WeChatError):
    """Outside the delivery window, or its messages are used up: park the message, try a template."""


class RateLimited(WeChatError):
    """A minute's or a day's quota of this call is used up: pause the capability, alert the operator."""


class CapabilityMissing(WeChatError):
    """The account was not granted this capability: turn it off, fall back."""


class Misconfigured(WeChatError):
    """Wrong IP address, secret or app id: stop calling and alert the operator."""


class MediaGone(WeChatError):
    """The media id is unknown or older than three days: upload again."""


class NoticeRefused(WeChatError):
    """The person refused the notice, or template and data do not fit: take the next channel."""


class TooLong(WeChatError):
    """The text is longer than WeChat takes: shorten it and link to the page."""


class AlreadySent(WeChatError):
    """A message with this `client_msg_id` was sent before: it counts as sent.

    Attributes:
        msg_id: the first message's id where WeChat names it, else an empty text.
    """

    def __init__(self, call: str, code: int | None = None, detail: str = "", *, msg_id: str = "") -> None:
        super().__init__(call, code, detail)
        self.msg_id = msg_id


class TypingIgnored(WeChatError):
    """The typing state could not be shown; nobody misses it."""


class LoginStale(WeChatError):
    """The login code was used or has expired: start the login again."""


class SnapshotUser(WeChatError):
    """A page opened in snapshot mode: the openid is made up for the occasion and belongs to nobody."""


class Unknown(WeChatError):
    """A code this version has no rule for: final, shown to the operator with its number."""


BUSY = -1

CODES: Mapping[int, type[WeChatError]] = {
    BUSY: Unavailable,
    40001: TokenRejected,
    40014: TokenRejected,
    42001: TokenRejected,
    40003: Unreachable,
    43004: Unreachable,
    43019: Unreachable,
    45015: WindowClosed,
    45047: WindowClosed,
    45009: RateLimited,
    45011: RateLimited,
    48001: CapabilityMissing,
    40200: CapabilityMissing,
    40164: Misconfigured,
    40125: Misconfigured,
    40013: Misconfigured,
    40007: MediaGone,
    43101: NoticeRefused,
    47003: NoticeRefused,
    40037: NoticeRefused,
    45002: TooLong,
    45065: AlreadySent,
    45072: TypingIgnored,
    45080: TypingIgnored,
    45081: TypingIgnored,
    40029: LoginStale,
    40163: LoginStale,
}


def error_of(call: str, answer: Mapping[str, Any]) -> WeChatError | None:
    """The exception an answer stands for, or None when its errcode is 0 or missing."""
    try:
        code = int(answer.get("errcode") or 0)
    except (TypeError, ValueError):
        return Unknown(call, detail="an errcode that is no number")
    if code == 0:
        return None
    named = _RID.search(str(answer.get("errmsg", "")))
    detail = f"rid {named[1]}" if named else ""
    kind = CODES.get(code, Unknown)
    if kind is AlreadySent:
        return AlreadySent(call, code, detail, msg_id=str(answer.get("msgid") or answer.get("msg_id") or ""))
    return kind(call, code, detail)
