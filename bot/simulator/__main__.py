"""`python -m bot.simulator`: run a WeChat of our own on 127.0.0.1."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.simulator.app import create
from bot.simulator.config import Mode, Person, Role, SimulatorConfig, Template

DEFAULT_PEOPLE = (Person(name="林女士"), Person(name="李医生", role=Role.DOCTOR))


class Unusable(Exception):
    """Something on the command line or in the environment that cannot be used; the text is for the operator."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bot.simulator",
        description="A WeChat of our own. Secrets come from WECHAT_APP_ID, WECHAT_APP_SECRET, WECHAT_TOKEN, "
        "WECHAT_AES_KEY and WECHAT_MODE in the environment.",
    )
    parser.add_argument("--port", type=int, default=8001, help="listens on 127.0.0.1 only (8001)")
    parser.add_argument(
        "--callback",
        default="http://127.0.0.1:8000/wechat",
        help="where messages are pushed",
    )
    parser.add_argument("--public-url", help="the app's public address, when it is not the callback's")
    parser.add_argument("--state", type=Path, help="a JSON file that keeps phones and history")
    parser.add_argument("--clock-url", help='asked with {"offset_seconds": N} when the clock was moved')
    parser.add_argument("--people", type=Path, help="a JSON list of {name, role, openid?, follows?}")
    parser.add_argument(
        "--templates",
        type=Path,
        help="a JSON list of {id, title, content}; without it any id passes",
    )
    parser.add_argument("--account-name", default="ITP 医患互动平台")
    return parser


def configuration(options: argparse.Namespace, environment: dict[str, str]) -> SimulatorConfig:
    """Command line and environment, checked.

    Raises:
        Unusable: a missing secret, an unreadable file, an unknown mode; named.
    """
    mode = environment.get("WECHAT_MODE", Mode.SAFE)
    if mode not in list(Mode):
        raise Unusable(f"WECHAT_MODE is {mode!r}, one of {', '.join(Mode)} is expected")
    needed = ["WECHAT_APP_ID", "WECHAT_APP_SECRET", "WECHAT_TOKEN"]
    if mode != Mode.PLAIN:
        needed.append("WECHAT_AES_KEY")
    if missing := [name for name in needed if not environment.get(name)]:
        raise Unusable(f"{', '.join(missing)} must be set in the environment")
    people: tuple[Person, ...] = DEFAULT_PEOPLE
    templates = None
    try:
        if options.people:
            people = tuple(Person(**{**p, "role": Role(p.get("role", Role.PATIENT))}) for p in _list_in(options.people))
        if options.templates:
            templates = tuple(Template(**t) for t in _list_in(options.templates))
        return SimulatorConfig(
            callback_url=options.callback,
            public_url=options.public_url,
            app_id=environment["WECHAT_APP_ID"],
            app_secret=environment["WECHAT_APP_SECRET"],
            token=environment["WECHAT_TOKEN"],
            aes_key=environment.get("WECHAT_AES_KEY", ""),
            mode=Mode(mode),
            account_name=options.account_name,
            people=people,
            templates=templates,
            state_path=options.state,
            clock_url=options.clock_url,
            base_url=f"http://127.0.0.1:{options.port}",
        )
    except (TypeError, ValueError) as error:
        raise Unusable(str(error)) from None


def main() -> int:
    """Run until stopped; 2 with one sentence when it cannot start."""
    options = arguments().parse_args()
    try:
        app = create(configuration(options, dict(os.environ)))
        web.run_app(
            app,
            host="127.0.0.1",
            port=options.port,
            # Called once it listens.
            print=lambda _: print(f"phones: http://127.0.0.1:{options.port}/phones", flush=True),
            access_log=None,
            shutdown_timeout=1.0,
        )
    except (Unusable, ValueError) as problem:
        print(f"simulator: {problem}", file=sys.stderr)
        return 2
    except OSError as problem:
        print(
            f"simulator: port {options.port} cannot be used: {problem.strerror}",
            file=sys.stderr,
        )
        return 2
    return 0


def _list_in(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from None
    if not isinstance(found, list):
        raise Unusable(f"{path}: a JSON list is expected")
    return found


if __name__ == "__main__":
    sys.exit(main())
