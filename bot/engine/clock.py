"""The demo's clock inside the engine: session expiry must move with it, tokens and locks must not.

One row, `public.demo_clock(id = 1, offset_seconds)`, is read each second; only the two modules of Rasa that stamp
events and judge a session's age see the shifted time.
"""

import logging
import threading
import time
from types import ModuleType
from typing import Any

import psycopg2

log = logging.getLogger("bot.engine")

_QUERY = "SELECT offset_seconds FROM public.demo_clock WHERE id = 1"


class ShiftedTime:
    """Stands for the module `time` in another module: `time()` is ahead by `offset` seconds, the rest is real."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        """Seconds since the epoch, as the demo lives them."""
        return time.time() + self.offset

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def shift(*modules: ModuleType) -> ShiftedTime:
    """Give these modules a movable `time`."""
    shifted = ShiftedTime()
    for module in modules:
        if module.__dict__.get("time") is not time:
            raise RuntimeError(f"{module.__name__} does not import time as expected")
        module.__dict__["time"] = shifted
    return shifted


class Follower(threading.Thread):
    """Keeps a clock's offset at the database's row; while the database is away, the last value stays."""

    def __init__(self, dsn: str, clock: ShiftedTime, every_seconds: float = 1.0) -> None:
        super().__init__(name="demo-clock", daemon=True)
        self._dsn, self._clock, self._every = dsn, clock, every_seconds
        self._connection: Any | None = None
        self._end = threading.Event()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self.read_once()
            if self._end.wait(self._every):
                return

    def end(self) -> None:
        """Stop following."""
        self._end.set()

    def read_once(self) -> None:
        """Take over the row's value; a missing table or database changes nothing."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg2.connect(self._dsn, connect_timeout=3, application_name="itp-engine-clock")
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(_QUERY)
                row = cursor.fetchone()
            if row is not None:
                self._clock.offset = float(row[0])
        except psycopg2.Error as error:
            log.info("demo clock unread: %s", type(error).__name__)
            self._end.wait(self._every)
