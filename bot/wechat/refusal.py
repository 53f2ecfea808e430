"""Why a callback was not taken: one word of a closed set, never anything the body held."""

from typing import Literal, get_args

Reason = Literal[
    "signature",
    "freshness",
    "size",
    "encoding",
    "padding",
    "length",
    "app_id",
    "xml",
    "mode",
    "truncated",
    "unexpected",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class Refused(Exception):
    """A callback that is answered 403 and counted under `reason`.

    The sender sees the same empty 403 whatever the reason; only our own counter tells them apart.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
