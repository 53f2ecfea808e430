"""The only source of "now".

`now()` can be moved: in the demo by one row of the database (`bot.store.demo_clock`) that every process and the engine's
launcher follow, in tests directly. `real_now()` cannot: freshness of callbacks, TLS, the life of tokens and everything in
Redis run on real time.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

_offset = timedelta()


def real_now() -> datetime:
    """Now, as the machine has it (aware, UTC)."""
    return datetime.now(UTC)


def now() -> datetime:
    """Now, as the service lives it (aware, UTC)."""
    return datetime.now(UTC) + _offset


def today() -> date:
    """The calendar day in China, where patients, doctors and due dates live."""
    return now().astimezone(SHANGHAI).date()


def local(moment: datetime) -> datetime:
    """The same moment on a Chinese wall clock."""
    return moment.astimezone(SHANGHAI)


def offset() -> timedelta:
    """How far `now()` is ahead of the machine."""
    return _offset


def set_offset(ahead: timedelta) -> None:
    """Move `now()`. Called by the follower of the demo's clock row and by tests."""
    global _offset
    _offset = ahead
