"""The life of a consultation and its levels. Pure."""

from enum import StrEnum


class Level(StrEnum):
    """How soon a doctor must look. Ordered by `rank`."""

    EMERGENCY = "emergency"
    URGENT = "urgent"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return list(Level).index(self)

    @property
    def label(self) -> str:
        """As staff read it."""
        return {"emergency": "紧急", "urgent": "当天", "routine": "常规"}[self.value]


class Stage(StrEnum):
    """Where a consultation stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    ANSWERED = "answered"
    CLOSED = "closed"


class Act(StrEnum):
    """What moves it."""

    CLAIM = "claim"
    RELEASE = "release"
    MOVE_ON = "move_on"
    ANSWER = "answer"
    PATIENT_WROTE = "patient_wrote"
    CLOSE = "close"
    REOPEN = "reopen"


class Outcome(StrEnum):
    """How it ended."""

    ADVISED = "advised"
    COME_TO_CLINIC = "come_to_clinic"
    SENT_TO_EMERGENCY = "sent_to_emergency"
    NO_REPLY = "no_reply"

    @property
    def label(self) -> str:
        """As staff read it."""
        return {
            "advised": "已解答",
            "come_to_clinic": "请来门诊",
            "sent_to_emergency": "已去急诊",
            "no_reply": "未再回复",
        }[self.value]


class NotPossible(Exception):
    """The act is not possible at this stage."""

    def __init__(self, stage: Stage, act: Act) -> None:
        super().__init__(f"{act} is not possible when {stage}")
        self.stage, self.act = stage, act


TRANSITIONS: dict[tuple[Stage, Act], Stage] = {
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


def after(stage: Stage, act: Act) -> Stage:
    """The stage an act leads to.

    Raises:
        NotPossible: the act makes no sense there.
    """
    try:
        return TRANSITIONS[stage, act]
    except KeyError:
        raise NotPossible(stage, act) from None
