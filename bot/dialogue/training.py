"""Trains the engine's model when what it is made of has changed: `python -m bot.dialogue.training`.

The model is `models/<fingerprint>.tar.gz`; the fingerprint covers the configuration, the domain, rules, training phrases,
lexicon and the code that reads language. With the same fingerprint nothing runs. Texts of answers are not part of it: they
live in the database.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAINING_SECONDS = 600.0
KEPT_MODELS = 5
# What serves a model may change without a training; what it learned through may not.
_CODE = ("bot/engine/tokenizer.py", "bot/engine/understanding.py", "bot/language")
_INPUTS = (
    "config.yml",
    "domain.yml",
    "data/nlu",
    "data/rules",
    "data/lexicon",
    *_CODE,
)
_SUFFIXES = frozenset({".yml", ".yaml", ".py", ".txt", ".tsv", ".sql"})


class TrainingFailed(Exception):
    """The engine refused the data or the training did not end; carries its last lines."""


def fingerprint(root: Path = ROOT) -> str:
    """20 hexadecimal digits over everything the model is made of."""
    digest = hashlib.sha256()
    for path in _files(root):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _files(root: Path) -> Iterator[Path]:
    for name in _INPUTS:
        start = root / name
        found = [start] if start.is_file() else sorted(start.rglob("*")) if start.is_dir() else []
        yield from (path for path in found if path.is_file() and path.suffix in _SUFFIXES)


def model_path(root: Path = ROOT, models: Path | None = None) -> Path:
    """Where the model of the current inputs is, or will be."""
    return (models or root / "models") / f"{fingerprint(root)}.tar.gz"


async def ensure_model(
    python: Path,
    *,
    root: Path = ROOT,
    models: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """The model of the current inputs, trained now if it is not there. Two processes train it once.

    Raises:
        TrainingFailed: with the engine's last lines.
    """
    target = model_path(root, models)
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(target.parent / ".training"):
        if target.is_file():
            return target
        say("训练智能助手(约15秒) · training the assistant (about 15 s)")
        started = time.monotonic()
        await _train(python, root, target)
        say(f"训练完成 · trained in {time.monotonic() - started:.0f} s")
        _forget_old(target)
    return target


async def _train(python: Path, root: Path, target: Path) -> None:
    # Its own cache and temporary files, so that nothing of another training is taken over or left behind.
    with tempfile.TemporaryDirectory(prefix="itp-training-") as work:
        command = [
            str(python), "-m", "bot.engine.launch", "train", "--skip-validation", "-c", "config.yml", "-d", "domain.yml",
            "--data", "data/nlu", "data/rules", "--out", work, "--fixed-model-name", "model",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "HOME": work,
            "TMPDIR": work,
            "PYTHONPATH": str(root),
            "PYTHONWARNINGS": "ignore",
            "RASA_CACHE_DIRECTORY": str(Path(work) / "cache"),
        }
        code, lines = await _run(command, root, environment)
        trained = Path(work) / "model.tar.gz"
        if code != 0 or not trained.is_file():
            raise TrainingFailed("\n".join(lines[-12:]) or f"exit code {code}")
        draft = target.with_suffix(".new")
        draft.write_bytes(trained.read_bytes())
        draft.replace(target)


async def validate(python: Path, *, root: Path = ROOT) -> list[str]:
    """The engine's own check of data against domain; gives its lines.

    Raises:
        TrainingFailed: it found errors. Contradicting rules are found by training only.
    """
    with tempfile.TemporaryDirectory(prefix="itp-validation-") as work:
        command = [
            str(python), "-m", "bot.engine.launch", "validate", "-c", "config.yml", "-d", "domain.yml",
            "--data", "data/nlu", "data/rules",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "HOME": work,
            "TMPDIR": work,
            "PYTHONPATH": str(root),
            "PYTHONWARNINGS": "ignore",
        }
        code, lines = await _run(command, root, environment)
    if code != 0:
        raise TrainingFailed("\n".join(lines[-12:]) or f"exit code {code}")
    return lines


async def _run(command: list[str], root: Path, environment: dict[str, str]) -> tuple[int, list[str]]:
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=root,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TRAINING_SECONDS):
            output, _ = await child.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        raise
    return child.returncode or 0, output.decode("utf-8", "replace").splitlines()


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    with path.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)
        yield


def _forget_old(newest: Path) -> None:
    archives = sorted(
        newest.parent.glob("*.tar.gz"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for archive in archives[KEPT_MODELS:]:
        archive.unlink(missing_ok=True)


def main() -> int:
    """Train if needed and print where the model is."""
    python = Path(os.environ.get("ENGINE_PYTHON") or ROOT / ".venv-engine" / "bin" / "python")
    try:
        model = asyncio.run(ensure_model(python))
    except TrainingFailed as failure:
        print(f"训练失败 · training failed\n{failure}", file=sys.stderr)
        return 1
    print(f"模型就绪 · model ready: {model.relative_to(ROOT) if model.is_relative_to(ROOT) else model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
