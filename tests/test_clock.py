"""One source of now, which can be moved, and one that cannot."""

import ast
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from bot import clock

ROOT = Path(__file__).resolve().parent.parent
# Programs of their own, which follow their own clocks; and set-up, which measures nothing but its own seconds.
OWN_CLOCKS = ("bot/clock.py", "bot/engine/", "bot/simulator/", "bot/setup/")


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert clock.real_now().tzinfo is UTC
    assert abs(clock.now() - clock.real_now()) < timedelta(seconds=5)


def test_moving_the_clock_moves_now_and_never_the_real_one() -> None:
    before = clock.real_now()
    clock.set_offset(timedelta(days=40))
    assert timedelta(days=40) <= clock.now() - before < timedelta(days=40, seconds=5)
    assert clock.real_now() - before < timedelta(seconds=5)
    assert clock.offset() == timedelta(days=40)


def test_the_clock_runs_on_from_where_it_was_put(at: Callable[[datetime], datetime]) -> None:
    put = at(datetime(2027, 1, 1, tzinfo=UTC))
    first, second = clock.now(), clock.now()
    assert put <= first <= second < put + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 3, 4, 15, 59, 30, tzinfo=UTC), date(2026, 3, 4)),
        (datetime(2026, 3, 4, 16, 0, tzinfo=UTC), date(2026, 3, 5)),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
def test_today_is_the_day_in_china(at: Callable[[datetime], datetime], moment: datetime, day: date) -> None:
    at(moment)
    assert clock.today() == day


def test_a_moment_reads_eight_hours_later_on_a_chinese_wall() -> None:
    moment = datetime(2026, 7, 1, 18, 30, tzinfo=UTC)
    assert clock.local(moment).strftime("%m-%d %H:%M") == "07-02 02:30"
    assert clock.local(moment) == moment


def test_a_test_leaves_no_moved_clock_behind() -> None:
    assert clock.offset() == timedelta()


def _asks_the_machine(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return (name, node.func.attr) in {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "localtime"),
        ("time", "gmtime"),
    }


def test_nothing_but_the_clock_asks_the_machine_what_time_it_is() -> None:
    asking = []
    for path in [*(ROOT / "bot").rglob("*.py"), *(ROOT / "actions").rglob("*.py"), ROOT / "server.py"]:
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(OWN_CLOCKS) or not path.exists():
            continue
        tree = ast.parse(path.read_text("utf-8"))
        asking += [f"{place}:{node.lineno}" for node in ast.walk(tree) if _asks_the_machine(node)]  # type: ignore[attr-defined]
    assert asking == []
