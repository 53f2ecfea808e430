"""Access tokens. Their life is real time; two kinds that do not touch each other, as at WeChat."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from bot.simulator.errors import Refused

LIFE_SECONDS = 7200
_OVERLAP = 300
_FORCED_A_DAY = 20
_FORCED_APART = 30


def fresh_token() -> str:
    """A token as long as WeChat's are."""
    return f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(96)}"


@dataclass
class Tokens:
    """All tokens that were handed out."""

    ends: dict[str, float] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    stable: str = ""
    plain: str = ""
    forced: list[float] = field(default_factory=list)

    def give_stable(self, *, force: bool) -> tuple[str, int]:
        """The stable token and its seconds left; `force` ends the one before at once.

        Raises:
            Refused: 45009, forced more than 20 times a day.
        """
        now = time.time()
        left = self.ends.get(self.stable, 0.0) - now
        if force and self.stable and not (self.forced and now - self.forced[-1] < _FORCED_APART):
            self.forced = [t for t in self.forced if now - t < 86400]
            if len(self.forced) >= _FORCED_A_DAY:
                raise Refused(45009)
            self.forced.append(now)
            self.revoke(self.stable)
            left = 0.0
        if left < _OVERLAP:
            self.stable, left = self._new(now), LIFE_SECONDS
        return self.stable, int(left)

    def give_plain(self) -> tuple[str, int]:
        """A new token; the one before it lives five minutes longer."""
        now = time.time()
        if self.plain in self.ends:
            self.ends[self.plain] = min(self.ends[self.plain], now + _OVERLAP)
        self.plain = self._new(now)
        return self.plain, LIFE_SECONDS

    def check(self, token: str | None) -> None:
        """Raise the code that WeChat answers a call with this token with."""
        if not token:
            raise Refused(41001)
        if token in self.revoked or token not in self.ends:
            raise Refused(40001)
        if time.time() >= self.ends[token]:
            raise Refused(42001)

    def expire(self) -> None:
        """Let every token have ended just now (42001)."""
        self.ends = dict.fromkeys(self.ends, 0.0)

    def revoke(self, token: str | None = None) -> None:
        """Make a token, or all of them, invalid (40001)."""
        gone = [token] if token is not None else list(self.ends)
        for each in gone:
            self.ends.pop(each, None)
            self.revoked.add(each)

    def _new(self, now: float) -> str:
        token = fresh_token()
        self.ends[token] = now + LIFE_SECONDS
        return token
