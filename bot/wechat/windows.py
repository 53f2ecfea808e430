"""When the account may speak first, and how often.

After a person's own message: 5 messages within 48 hours. After a tap on the menu, a follow, a scan or a payment: 3
within a minute. A new action renews, it does not add up. Two of the five are kept for the doctor.

Only `click` and the two scanning menu buttons count as a menu tap to WeChat; a button that opens a page (`view`) grants
nothing. A tap on an entry of an in-message menu arrives as a text and counts as a menu tap, not as a message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.wechat.messages import Inbound

RESERVED_FOR_DOCTOR = 2

_MESSAGE = (5, timedelta(hours=48))
_TAP = (3, timedelta(minutes=1))
_TAPS = frozenset({"click", "scancode_push", "scancode_waitmsg", "subscribe", "scan", "user_pay_from_pay_cell"})


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send `messages` from `at` (included) for `lasts` (its end excluded)."""

    at: datetime
    messages: int
    lasts: timedelta

    @property
    def until(self) -> datetime:
        """The first moment at which it is over."""
        return self.at + self.lasts

    @property
    def by_message(self) -> bool:
        """Whether the person wrote, so that the doctor's share is kept in it."""
        return self.lasts == _MESSAGE[1]


def grant_of(inbound: Inbound, *, at: datetime) -> Grant | None:
    """What this message or event allows, counted from `at`; None when it allows nothing."""
    if inbound.kind == "event":
        return Grant(at, *_TAP) if inbound.event in _TAPS else None
    if inbound.kind == "unknown":
        return None
    return Grant(at, *(_TAP if inbound.menu_id else _MESSAGE))


def message_grant(at: datetime) -> Grant:
    """What a message of the person's own allowed."""
    return Grant(at, *_MESSAGE)


def tap_grant(at: datetime) -> Grant:
    """What a tap on the menu, a follow or a scan allowed."""
    return Grant(at, *_TAP)


def allowance(
    grants: Iterable[Grant],
    used: Iterable[datetime],
    now: datetime,
    *,
    reserve_for_doctor: int = RESERVED_FOR_DOCTOR,
    by_doctor: bool,
) -> int:
    """How many messages may be sent now.

    Args:
        grants: what this person's actions allowed; those that are over are ignored.
        used: when messages were sent to them, those that were perhaps sent included.
        now: the moment of sending.
        reserve_for_doctor: messages of a 48 h grant that only a doctor's answer may use.
        by_doctor: whether a doctor's answer is to be sent.

    A message counts against every grant that ran when it was sent, because WeChat does not say which one it takes.
    While a 48 h grant runs, others than the doctor live off that grant alone: were a tap's three spent beside it, the
    doctor's share could be gone when the minute is over.
    """
    sent = [moment for moment in used if moment <= now]
    live = [grant for grant in grants if grant.at <= now < grant.until]
    left = {grant: max(0, grant.messages - sum(moment >= grant.at for moment in sent)) for grant in live}
    if by_doctor:
        return max(left.values(), default=0)
    written = [count for grant, count in left.items() if grant.by_message]
    if written:
        return max(0, max(written) - reserve_for_doctor)
    return max(left.values(), default=0)
