"""`python3 -m bot.setup environments app engine`, `… browser`, `… lock`: what `make` calls."""

import sys

if sys.version_info < (3, 9):
    sys.exit("Set-up needs some Python from 3.9 on to begin with; this is %d.%d." % sys.version_info[:2])

import argparse

from bot.setup import browser, environments, locking
from bot.setup.saying import CannotSetUp


def main() -> int:
    """Run one part of set-up; what stands in its way is one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python3 -m bot.setup")
    parts = parser.add_subparsers(dest="part", required=True)
    making = parts.add_parser("environments", help="make or refresh environments")
    making.add_argument("names", nargs="+", choices=sorted(environments.ENVIRONMENTS))
    parts.add_parser("browser", help="find or get a Chromium for the browser tests")
    locked = parts.add_parser("lock", help="write requirements/ from pyproject.toml")
    locked.add_argument("--upgrade", action="store_true", help="take newer versions")
    chosen = parser.parse_args()
    try:
        if chosen.part == "environments":
            environments.make(chosen.names)
        elif chosen.part == "lock":
            locking.lock(upgrade=chosen.upgrade)
        else:
            return browser.main()
    except CannotSetUp as reason:
        print(f"set-up stopped: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
