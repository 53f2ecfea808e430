"""The few periodic ticks, run by APScheduler. Each claims its batch in the database, so any number of processes may tick."""

import time
from collections.abc import Awaitable, Callable

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from prometheus_client import Gauge, Histogram

from bot.logs import place

log = structlog.get_logger(__name__)

lag = Gauge("itp_tick_lag_seconds", "How late a tick began, against its interval", ["tick"])
took = Histogram("itp_tick_seconds", "How long a tick took", ["tick"])

Tick = Callable[[], Awaitable[object]]


class Ticks:
    """Named ticks at fixed intervals of real time. One that fails is logged and comes again."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._ticks: dict[str, Tick] = {}
        self._last: dict[str, float] = {}

    def every(self, seconds: float, name: str, tick: Tick) -> None:
        """Run `tick` every so many seconds, never twice at once."""
        self._ticks[name] = tick
        self._scheduler.add_job(
            self._run, "interval", args=(name, seconds), seconds=seconds, id=name, max_instances=1, coalesce=True
        )

    async def now(self, name: str) -> None:
        """Run one tick at once (the clock was moved)."""
        await self._ticks[name]()

    async def _run(self, name: str, seconds: float) -> None:
        began = time.monotonic()
        if name in self._last:
            lag.labels(name).set(max(0.0, began - self._last[name] - seconds))
        self._last[name] = began
        with took.labels(name).time():
            try:
                await self._ticks[name]()
            except Exception as error:
                log.error("tick.failed", tick=name, error=place(error))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; ticks under way are not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
