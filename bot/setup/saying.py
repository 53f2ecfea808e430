"""What set-up says: one line for each thing it does while it does it, one sentence when it cannot."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class CannotSetUp(Exception):
    """One sentence: what is missing, and what to do about it."""


def say(line: str) -> None:
    """One line, at once."""
    print(f"· {line}", flush=True)


def say_loudly(*lines: str) -> None:
    """Lines that must not be overlooked."""
    bar = "!" * 78
    print("\n".join(["", bar, *(f"!! {line}" for line in lines), bar, ""]), file=sys.stderr, flush=True)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    say(f"{what} …")
    begun = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - begun:.0f} s")
