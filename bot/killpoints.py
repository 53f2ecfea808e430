"""Where this process can be made to die, so that tests can prove that nothing is lost or done twice by it.

Between every two steps of a message's way stands `killpoints.reached("…")`. It does nothing unless the point was armed,
which only the demo's internal listener can do (`POST /demo/kill`, loopback). An armed point ends the process as a power cut
would: SIGKILL to itself, nothing is finished, no buffer is flushed.
"""

import os
import signal

_armed: dict[str, int] = {}


def arm(point: str, *, at: int = 1) -> None:
    """Die when this point is reached for the `at`-th time from now."""
    _armed[point] = at


def reached(point: str) -> None:
    """A step of a message's way is done. The end of this process, where the point is armed."""
    if not _armed or point not in _armed:
        return
    _armed[point] -= 1
    if _armed[point] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
