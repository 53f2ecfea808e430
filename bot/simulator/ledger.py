"""Every call, push and answer, for tests to ask and for the page `/calls` to show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

KEPT = 5000
_SECRET = {
    "access_token",
    "secret",
    "appsecret",
    "code",
    "refresh_token",
    "component_access_token",
}


class Direction(StrEnum):
    """Who spoke to whom."""

    API = "api"
    PUSH = "push"
    OAUTH = "oauth"
    GATEWAY = "gateway"
    CLOCK = "clock"


@dataclass(kw_only=True)
class Entry:
    """One call. `at` is the phones' time, `real_at` real time; secrets in request and response are masked."""

    id: int = 0
    at: datetime
    real_at: datetime
    direction: Direction
    path: str
    phone: str | None = None
    request: Any = None
    response: Any = None
    status: int | None = None
    errcode: int | None = None
    seconds: float = 0.0
    attempt: int = 1
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether something went wrong, by either side."""
        return bool(self.errcode) or bool(self.note) or (self.status is not None and self.status >= 400)

    def as_json(self) -> dict[str, Any]:
        """The entry as the control API gives it."""
        return asdict(self) | {
            "at": self.at.isoformat(),
            "real_at": self.real_at.isoformat(),
            "failed": self.failed,
        }


@dataclass
class Ledger:
    """The last 5,000 entries, oldest first."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    _last: int = 0

    def record(self, entry: Entry) -> Entry:
        """Keep an entry, number it, mask its secrets."""
        self._last += 1
        entry.id = self._last
        entry.request = masked(entry.request)
        entry.response = masked(entry.response)
        self.entries.append(entry)
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def of(
        self,
        *,
        path: str | None = None,
        phone: str | None = None,
        direction: Direction | None = None,
    ) -> list[Entry]:
        """Entries of a path, a phone (its name) and a direction."""
        return [
            e
            for e in self
            if (path is None or e.path == path)
            and (phone is None or e.phone == phone)
            and (direction is None or e.direction == direction)
        ]

    def clear(self) -> None:
        """Forget all; numbers go on, so that a page that is open notices new ones."""
        self.entries.clear()


def masked(value: Any) -> Any:
    """The same value with tokens, secrets and OAuth codes covered."""
    if isinstance(value, dict):
        return {k: "***" if k in _SECRET and isinstance(v, str) and v else masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(v) for v in value]
    return value
