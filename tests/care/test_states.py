"""Every step of a consultation and of a check-in, and that no other is possible."""

from itertools import product

import pytest

from bot.care.consultations import states as consultations
from bot.care.consultations.states import Act, Level, Outcome, Stage, after
from bot.care.followups import states as checkins
from bot.care.followups.states import ENDS, WAITING_FOR_PATIENT, State, move

STEPS = {
    (Stage.QUEUED, Act.CLAIM): Stage.CLAIMED,
    (Stage.QUEUED, Act.MOVE_ON): Stage.QUEUED,
    (Stage.QUEUED, Act.PATIENT_WROTE): Stage.QUEUED,
    (Stage.QUEUED, Act.CLOSE): Stage.CLOSED,
    (Stage.CLAIMED, Act.RELEASE): Stage.QUEUED,
    (Stage.CLAIMED, Act.MOVE_ON): Stage.QUEUED,
    (Stage.CLAIMED, Act.ANSWER): Stage.ANSWERED,
    (Stage.CLAIMED, Act.PATIENT_WROTE): Stage.CLAIMED,
    (Stage.CLAIMED, Act.CLOSE): Stage.CLOSED,
    (Stage.ANSWERED, Act.ANSWER): Stage.ANSWERED,
    (Stage.ANSWERED, Act.PATIENT_WROTE): Stage.CLAIMED,
    (Stage.ANSWERED, Act.RELEASE): Stage.QUEUED,
    (Stage.ANSWERED, Act.CLOSE): Stage.CLOSED,
    (Stage.CLOSED, Act.REOPEN): Stage.QUEUED,
}

MOVES = {
    State.SCHEDULED: "due invited skipped merged cancelled",
    State.DUE: "scheduled asked invited merged cancelled",
    State.INVITED: "asked nudged merged cancelled",
    State.ASKED: "answered nudged doctor_task merged cancelled",
    State.NUDGED: "asked answered nurse_task doctor_task merged cancelled",
    State.NURSE_TASK: "asked answered doctor_task resolved lost_to_follow_up cancelled",
    State.DOCTOR_TASK: "asked answered resolved lost_to_follow_up cancelled",
}


@pytest.mark.parametrize(("stage", "act"), list(product(Stage, Act)), ids=str)
def test_a_consultation_takes_these_steps_and_no_others(stage: Stage, act: Act) -> None:
    if (stage, act) in STEPS:
        assert after(stage, act) is STEPS[stage, act]
    else:
        with pytest.raises(consultations.NotPossible) as refused:
            after(stage, act)
        assert (refused.value.stage, refused.value.act) == (stage, act)


@pytest.mark.parametrize(("before", "to"), list(product(State, State)), ids=str)
def test_a_checkin_takes_these_steps_and_no_others(before: State, to: State) -> None:
    if to.value in MOVES.get(before, "").split():
        assert move(before, to) is to
    else:
        with pytest.raises(checkins.NotPossible):
            move(before, to)


@pytest.mark.parametrize("end", ENDS)
def test_nothing_follows_an_end(end: State) -> None:
    assert not any(allowed(end, to) for to in State)


@pytest.mark.parametrize("state", [state for state in State if state not in ENDS])
def test_nobody_vanishes_every_checkin_can_still_reach_an_end(state: State) -> None:
    reached, seen = {state}, set[State]()
    while reached - seen:
        step = (reached - seen).pop()
        seen.add(step)
        reached |= {to for to in State if allowed(step, to)}
    assert reached & set(ENDS) - {State.CANCELLED}


@pytest.mark.parametrize("state", WAITING_FOR_PATIENT)
def test_whoever_is_waited_for_can_still_be_asked_or_answer(state: State) -> None:
    assert allowed(state, State.ASKED) or allowed(state, State.ANSWERED)


def test_levels_are_ordered_and_named_for_staff() -> None:
    assert sorted(Level, key=lambda level: level.rank) == [Level.EMERGENCY, Level.URGENT, Level.ROUTINE]
    assert [level.label for level in Level] == ["紧急", "当天", "常规"]
    assert len({outcome.label for outcome in Outcome}) == len(Outcome)


def allowed(before: State, to: State) -> bool:
    try:
        move(before, to)
    except checkins.NotPossible:
        return False
    return True
