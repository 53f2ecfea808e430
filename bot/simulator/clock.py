"""The simulator's own time: the phones' clock, which can be moved, and real time for tokens and signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SimulatedClock:
    """The time that the phones show; it runs as real time does, from wherever it was put."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> datetime:
        """Aware UTC time on the phones."""
        return real_now() + timedelta(seconds=self.offset_seconds)

    def move(self, seconds: float) -> None:
        """Move by so many seconds; back when negative."""
        self.offset_seconds += seconds

    def reset(self) -> None:
        """Show real time again."""
        self.offset_seconds = 0.0


def real_now() -> datetime:
    """Aware UTC time outside: life of tokens, freshness of signatures."""
    return datetime.now(UTC)
