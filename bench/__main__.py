"""`python -m bench [--only NAME]`: run the workloads one after the other and print the table."""

import argparse
import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from bench import intake, service
from bench.report import Row, table, write
from bot.settings import ROOT

Workload = Callable[[Path, Callable[[str], None]], Awaitable[list[Row]]]

WORKLOADS: dict[str, Workload] = {"intake": intake.measure, "service": service.measure}


def say(line: str) -> None:
    """Tell the person who waits."""
    print(f"  · {line}", flush=True)


async def run(names: list[str]) -> list[Row]:
    """Run these workloads, each in a directory of its own that goes away with it."""
    rows: list[Row] = []
    for name in names:
        print(name, flush=True)
        with tempfile.TemporaryDirectory(prefix="itp-bench-", ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch)
            folder.chmod(0o755)
            measured = await WORKLOADS[name](folder, say)
        write(measured, ROOT / "var" / "bench.json")
        rows += measured
    return rows


def main() -> None:
    """Read what is asked for, run it, print the table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", choices=WORKLOADS, default=os.environ.get("ONLY") or None)
    asked = parser.parse_args()
    # Engines that are children of this process say how they are; only what is wrong with them is heard.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    before = os.getloadavg()[0]
    rows = asyncio.run(run([asked.only] if asked.only else list(WORKLOADS)))
    print("\n" + table(rows))
    busy = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
    print(f"\n{busy}" + ("; others were at work, figures are preliminary" if before > 1 else ""))


if __name__ == "__main__":
    main()
