"""The only way the engine is started: `python -m bot.engine.launch run|train|validate ...` (Rasa's own arguments).

Blocks TensorFlow, patches Rasa, keeps patients' words out of the logs, turns telemetry off, refuses configurations and
models that need TensorFlow or policies that guess, dies with its parent, and in the demo follows the demo's clock.

Environment: ENGINE_PARENT_PID (end when that process ends), ENV and DEMO_CLOCK_DSN (the demo's clock), and what
endpoints.yml and credentials.yml name.
"""

import ctypes
import json
import logging
import os
import re
import signal
import sys
import tarfile
from pathlib import Path

from bot.engine import notf

REFUSED = ("DIETClassifier", "TEDPolicy", "UnexpecTEDIntentPolicy", "ResponseSelector", "LanguageModelFeaturizer",
           "ConveRTFeaturizer", "MitieNLP", "SpacyNLP")  # fmt: skip
_PR_SET_PDEATHSIG = 1


class Refused(Exception):
    """Not started, with the reason in one sentence."""


def die_with_parent(expected: str | None) -> None:
    """End when the process that started us ends, however it ends.

    The signal comes when the *thread* that started us ends, so the parent starts us from its main thread. A parent that
    died before the call is noticed by its id.
    """
    if not expected:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(expected):
        raise Refused("the process that started the engine is gone")


def refuse_config(path: Path) -> None:
    """Refuse a config.yml that names a component which needs TensorFlow or guesses."""
    if path.is_file():
        lines = [line.partition("#")[0] for line in path.read_text("utf8").splitlines()]
        _refuse(" ".join(lines), path.name)


def refuse_model(path: Path) -> None:
    """Refuse a trained archive that holds such a component, or that cannot be read."""
    if path.is_dir():
        archives = sorted(path.glob("*.tar.gz"), key=lambda archive: archive.stat().st_mtime)
        if not archives:
            raise Refused(f"no trained model in {path.name}")
        path = archives[-1]
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile("metadata.json") or archive.extractfile("./metadata.json")
            if member is None:
                raise KeyError("metadata.json")
            _refuse(json.dumps(json.load(member)), path.name)
    except (OSError, KeyError, tarfile.TarError, ValueError, EOFError) as error:
        raise Refused(f"{path.name} is not a trained model ({type(error).__name__})") from error


def _refuse(text: str, where: str) -> None:
    for name in REFUSED:
        if re.search(rf"\b{name}\b", text):
            raise Refused(f"{where} names {name}, which the engine does not run")


def _option(arguments: list[str], *names: str) -> str | None:
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else (arguments[position + 1] if position + 1 < len(arguments) else None)
    return None


def prepare(arguments: list[str]) -> list[str]:
    """Check what was asked for and give Rasa's arguments for it.

    Raises:
        Refused: unknown command, verbose logging, or a configuration or model that is not run.
    """
    command = arguments[0] if arguments else ""
    if command not in ("run", "train", "validate"):
        raise Refused("expected run, train or validate")
    if any(argument in ("-v", "-vv", "--verbose", "--debug") for argument in arguments):
        raise Refused("verbose logging would print what patients write")
    if command == "run":
        model = _option(arguments, "--model", "-m")
        if model is None:
            raise Refused("expected --model, a trained archive")
        refuse_model(Path(model))
    else:
        refuse_config(Path(_option(arguments, "--config", "-c") or "config.yml"))
    return ["data", "validate", *arguments[1:]] if command == "validate" else list(arguments)


def environment() -> None:
    """Telemetry and error reporting off, log level fixed: read by Rasa when it is imported."""
    os.environ["RASA_TELEMETRY_ENABLED"] = "false"
    os.environ["LOG_LEVEL"] = "INFO"
    os.environ["LOG_LEVEL_LIBRARIES"] = "WARNING"
    os.environ["SANIC_WORKERS"] = "1"
    for name in ("RASA_X_TOKEN", "SENTRY_DSN"):
        os.environ.pop(name, None)
    # scikit-learn and numpy each start a thread per core otherwise; the engine shares its cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def main(arguments: list[str]) -> None:
    """Run one command to its end."""
    try:
        die_with_parent(os.environ.get("ENGINE_PARENT_PID"))
        rasa_arguments = prepare(arguments)
    except Refused as refusal:
        print(
            json.dumps({"level": "error", "event": str(refusal)}, ensure_ascii=False),
            flush=True,
        )
        sys.exit(2)
    environment()
    serving = arguments[0] == "run"
    notf.install(serving=serving)

    from bot.engine import quiet

    if serving:
        quiet.install()

    import rasa.__main__ as rasa_main

    from bot.engine import patches

    patches.install()
    if serving:
        quiet.install()  # importing Rasa touched the root logger
        _follow_the_demo_clock()
    sys.argv = ["rasa", *rasa_arguments]
    rasa_main.main()


def _follow_the_demo_clock() -> None:
    dsn = os.environ.get("DEMO_CLOCK_DSN")
    if os.environ.get("ENV") != "demo" or not dsn:
        return
    import rasa.core.processor
    import rasa.shared.core.events

    from bot.engine import clock

    follower = clock.Follower(dsn, clock.shift(rasa.core.processor, rasa.shared.core.events))
    follower.read_once()
    follower.start()
    logging.getLogger("bot.engine").info("the demo clock is followed")


if __name__ == "__main__":
    main(sys.argv[1:])
