"""What was measured, as a table for people and as `var/bench.json` for whoever compares runs."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        unit: of `ours`, `peer` and `limit`.
        ours: this project's figure, the median of the rounds.
        peer: what a user would pick instead, in the same run; None when there is none, or it was not run.
        limit: the least anybody could do, in the same run.
        ratio: ours over peer (rates), peer over ours (times): above 1 is better.
        goal: as written in the issue; "" when there is none.
        reached: whether it is; None without a goal.
        note: what a reader must know of this figure.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    limit: float | None = None
    ratio: float | None = None
    goal: str = ""
    reached: bool | None = None
    note: str = ""


def write(rows: Sequence[Row], path: Path) -> None:
    """Keep the run's rows; those of earlier runs with other names stay."""
    fresh = {row.name for row in rows}
    earlier = json.loads(path.read_text("utf-8")) if path.exists() else []
    kept = [row for row in earlier if row["name"] not in fresh]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept + [asdict(row) for row in rows], ensure_ascii=False, indent=1) + "\n", "utf-8")


def table(rows: Sequence[Row]) -> str:
    """The rows in columns."""
    head = ("", "unit", "ours", "peer", "limit", "ratio", "goal", "reached")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(_width(line[n]) for line in lines) for n in range(len(head))]
    out = []
    for line, row in zip(lines, [None, *rows], strict=True):
        cells = [_pad(cell, widths[n], left=n in (0, 1, 6, 7)) for n, cell in enumerate(line)]
        out.append("  ".join(cells).rstrip() + (f"   {row.note}" if row is not None and row.note else ""))
    return "\n".join(out)


def _cells(row: Row) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "NO"}[row.reached]
    figures = (_figure(row.ours), _figure(row.peer), _figure(row.limit), _figure(row.ratio, 2))
    return (row.name, row.unit, *figures, row.goal, reached)


def _figure(value: float | None, places: int | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.{places if places is not None else 0 if value >= 100 else 1 if value >= 2 else 2}f}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
