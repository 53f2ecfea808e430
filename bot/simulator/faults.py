"""What goes wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PUSH = ("drop", "lose_reply", "duplicate", "reorder", "delay")


@dataclass
class ApiFault:
    """The next `times` calls of `path` (`*` for any) are answered wrongly.

    With `code` or `http_status` the call has no effect. With `lose_answer` it has its effect and the connection breaks
    before the answer: the caller cannot know. `delay_seconds` is waited first.
    """

    path: str
    times: int = 1
    code: int | None = None
    http_status: int | None = None
    delay_seconds: float = 0.0
    lose_answer: bool = False


@dataclass
class PushPlan:
    """What happens to one push."""

    drop: int = 0
    lose_reply: int = 0
    delay_seconds: float = 0.0
    duplicate: bool = False
    hold: bool = False


@dataclass
class Faults:
    """Faults that wait for their turn; every number is used up as it happens.

    Attributes:
        drop: attempts that never reach the callback (each is followed by the next attempt, if one is left).
        lose_reply: attempts whose answer is lost on its way back.
        duplicate: pushes delivered once more although they were answered.
        reorder: pushes held back until the one after them was delivered.
        delay: pushes that come `delay_seconds` late.
        template_status: how the next template messages end instead of `success`.
        snapshot_users: OAuth hands out snapshot users.
    """

    drop: int = 0
    lose_reply: int = 0
    duplicate: int = 0
    reorder: int = 0
    delay: int = 0
    delay_seconds: float = 0.0
    template_status: list[str] = field(default_factory=list)
    snapshot_users: bool = False
    api: list[ApiFault] = field(default_factory=list)

    def plan(self) -> PushPlan:
        """Take what the next push is due."""
        plan = PushPlan(
            delay_seconds=self.delay_seconds if self.delay else 0.0,
            duplicate=self.duplicate > 0,
            hold=self.reorder > 0,
        )
        self.delay = max(0, self.delay - 1)
        self.duplicate = max(0, self.duplicate - 1)
        self.reorder = max(0, self.reorder - 1)
        return plan

    def takes_drop(self) -> bool:
        """Whether this attempt is lost on its way."""
        return self._takes("drop")

    def takes_lost_reply(self) -> bool:
        """Whether the answer to this attempt is lost."""
        return self._takes("lose_reply")

    def _takes(self, name: str) -> bool:
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    def for_call(self, path: str) -> ApiFault | None:
        """The fault that this call meets, if any."""
        for fault in self.api:
            if fault.path in (path, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self.api.remove(fault)
                return fault
        return None

    def order(self, wish: dict[str, Any]) -> None:
        """Add faults as the control API names them.

        Raises:
            ValueError: an unknown name or a wrong type, named.
        """
        known = {
            *_PUSH,
            "delay_seconds",
            "template_status",
            "snapshot_users",
            "api",
            "clear",
        }
        if unknown := set(wish) - known:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
        if wish.get("clear"):
            self.__init__()  # type: ignore[misc]
        for name in _PUSH:
            if name in wish:
                if not isinstance(wish[name], int):
                    raise ValueError(f"{name}: a whole number of pushes is expected")
                setattr(self, name, wish[name])
        if "delay_seconds" in wish:
            self.delay_seconds = float(wish["delay_seconds"])
            self.delay = max(self.delay, 1)
        self.template_status += [str(status) for status in wish.get("template_status", [])]
        if "snapshot_users" in wish:
            self.snapshot_users = bool(wish["snapshot_users"])
        for fault in wish.get("api", []):
            try:
                self.api.append(ApiFault(**fault))
            except TypeError as error:
                raise ValueError(f"api: {error}") from None
