"""Files and QR codes that exist at WeChat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Media:
    """A picture or voice; `ends` is when its id stops working at the API (phones keep showing it)."""

    kind: str
    data: bytes
    ends: datetime


@dataclass(frozen=True)
class Ticket:
    """A QR code with a scene value; `ends` is `None` for one that stays. `code` is what the picture says."""

    ticket: str
    scene: str
    code: str
    ends: datetime | None
