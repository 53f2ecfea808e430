"""The life of a check-in. Pure. Nobody vanishes: every check-in ends in a named state."""

from enum import StrEnum


class State(StrEnum):
    """Where a check-in stands."""

    SCHEDULED = "scheduled"
    DUE = "due"
    INVITED = "invited"
    ASKED = "asked"
    NUDGED = "nudged"
    NURSE_TASK = "nurse_task"
    DOCTOR_TASK = "doctor_task"
    ANSWERED = "answered"
    RESOLVED = "resolved"
    LOST = "lost_to_follow_up"
    SKIPPED = "skipped"
    MERGED = "merged"
    CANCELLED = "cancelled"


ENDS = (State.ANSWERED, State.RESOLVED, State.LOST, State.SKIPPED, State.MERGED, State.CANCELLED)
WAITING_FOR_PATIENT = (State.INVITED, State.ASKED, State.NUDGED, State.NURSE_TASK, State.DOCTOR_TASK)

_ANYTIME = (State.CANCELLED,)
ALLOWED: dict[State, tuple[State, ...]] = {
    State.SCHEDULED: (State.DUE, State.INVITED, State.SKIPPED, State.MERGED, *_ANYTIME),
    State.DUE: (State.SCHEDULED, State.ASKED, State.INVITED, State.MERGED, *_ANYTIME),
    State.INVITED: (State.ASKED, State.NUDGED, State.MERGED, *_ANYTIME),
    State.ASKED: (State.ANSWERED, State.NUDGED, State.DOCTOR_TASK, State.MERGED, *_ANYTIME),
    State.NUDGED: (State.ASKED, State.ANSWERED, State.NURSE_TASK, State.DOCTOR_TASK, State.MERGED, *_ANYTIME),
    State.NURSE_TASK: (State.ASKED, State.ANSWERED, State.DOCTOR_TASK, State.RESOLVED, State.LOST, *_ANYTIME),
    State.DOCTOR_TASK: (State.ASKED, State.ANSWERED, State.RESOLVED, State.LOST, *_ANYTIME),
}


class NotPossible(Exception):
    """A check-in cannot go from one state to the other."""


def move(before: State, to: State) -> State:
    """The new state.

    Raises:
        NotPossible: there is no such way.
    """
    if to not in ALLOWED.get(before, ()):
        raise NotPossible(f"{before} → {to}")
    return to
