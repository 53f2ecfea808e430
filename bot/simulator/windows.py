"""How much an account may say by itself: 5 within 48 h of a message, 3 within a minute of a click, follow or scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bot.simulator.errors import Refused


class Cause(StrEnum):
    """What a person did that lets the account speak."""

    MESSAGE = "message"
    CLICK = "click"
    FOLLOW = "follow"
    SCAN = "scan"


_LIMITS = {
    Cause.MESSAGE: (5, timedelta(hours=48)),
    Cause.CLICK: (3, timedelta(minutes=1)),
    Cause.FOLLOW: (3, timedelta(minutes=1)),
    Cause.SCAN: (3, timedelta(minutes=1)),
}


@dataclass
class Grant:
    """So many messages until then."""

    until: datetime
    left: int


@dataclass
class DeliveryWindow:
    """The open grants of one person. A new action renews its own grant, it does not add to it."""

    grants: dict[Cause, Grant] = field(default_factory=dict)

    def open(self, cause: Cause, now: datetime) -> None:
        """Renew what this action grants."""
        count, span = _LIMITS[cause]
        self.grants[cause] = Grant(until=now + span, left=count)

    def close(self) -> None:
        """Nothing may be sent any more: the person unfollowed."""
        self.grants.clear()

    def is_open(self, now: datetime) -> bool:
        """Whether any grant is still running, used up or not."""
        return any(now < grant.until for grant in self.grants.values())

    def left(self, now: datetime) -> int:
        """Messages that may still be sent now."""
        return sum(grant.left for grant in self.grants.values() if now < grant.until)

    def spend(self, now: datetime) -> None:
        """Use one message, of the grant that ends first.

        Raises:
            Refused: 45015 when no grant runs, 45047 when those that run are used up.
        """
        running = sorted((g for g in self.grants.values() if now < g.until), key=lambda g: g.until)
        if not running:
            raise Refused(45015)
        for grant in running:
            if grant.left > 0:
                grant.left -= 1
                return
        raise Refused(45047)
