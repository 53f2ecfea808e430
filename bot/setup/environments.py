"""Making the environments: `.uv` (the installer, pinned), `.venv-app` (Python 3.13), `.venv-engine` (Python 3.10).

What is installed is what `requirements/` names with its hashes, nothing else. A stamp in each environment holds the hash
of what it was made from, so that the second time nothing runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.setup import interpreters
from bot.setup.saying import CannotSetUp, doing, say

ROOT = Path(__file__).resolve().parents[2]
STAMP = "made-from"


@dataclass(frozen=True)
class Environment:
    """One environment: where, for which interpreter, from which file, and how many MB it takes at most."""

    name: str
    directory: str
    version: str
    requirements: str
    megabytes: int
    # Environments whose contents include this one's.
    within: Sequence[str] = ()


ENVIRONMENTS = {
    "app": Environment("app", ".venv-app", "3.13", "requirements/app.txt", 900, ("dev",)),
    "dev": Environment("dev", ".venv-app", "3.13", "requirements/dev.txt", 1100),
    "engine": Environment("engine", ".venv-engine", "3.10", "requirements/engine.txt", 1100),
    # Rasa as it comes, TensorFlow and all: for `WITH_STOCK=1 make bench`, on demand.
    "stock": Environment("stock", "var/stock/.venv", "3.10", "requirements/stock.txt", 3500),
}


def make(names: Sequence[str], root: Path = ROOT) -> None:
    """Make or refresh these environments (`app`, `dev`, `engine`, `stock`); at once when they are as their files say.

    Raises:
        CannotSetUp: one sentence: an interpreter is missing, the disk is full, an index does not answer.
    """
    if all(_ready(name, root) for name in names):
        return
    with _one_at_a_time(root):
        for name in names:
            if not _ready(name, root):
                _make(ENVIRONMENTS[name], root)


def _ready(name: str, root: Path) -> bool:
    environment = ENVIRONMENTS[name]
    directory = root / environment.directory
    try:
        stamp = (directory / STAMP).read_text()
    except OSError:
        return False
    right = {_fingerprint(ENVIRONMENTS[one], root) for one in (name, *environment.within)}
    return stamp in right and (directory / "bin" / "python").exists()


def _fingerprint(environment: Environment, root: Path) -> str:
    contents = (root / environment.requirements).read_bytes()
    return f"{environment.name} {environment.version} {hashlib.sha256(contents).hexdigest()}\n"


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    place = root / "var"
    place.mkdir(exist_ok=True)
    with (place / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this checkout")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(environment: Environment, root: Path) -> None:
    directory = root / environment.directory
    python = directory / "bin" / "python"
    uv = installer(root)
    if not _is(python, environment.version):
        check_disk(root, environment.megabytes)
        found = interpreters.find(environment.version)
        if found is None:
            say(f"no Python {environment.version} on this machine: asking uv to download one")
        else:
            say(f"Python {environment.version}: {found}")
        try:
            run_uv(uv, "venv", "--clear", "--python", str(found or environment.version), str(directory), root=root)
        except CannotSetUp:
            if found is not None:
                raise
            raise CannotSetUp(
                f"Python {environment.version} (for {environment.directory}) was found nowhere on this machine and could "
                f"not be downloaded; install it ({interpreters.how_to_get(environment.version)}) and run this again"
            ) from None
    count = len(re.findall(r"^\S+==", (root / environment.requirements).read_text(), re.MULTILINE))
    with doing(f"installing {count} packages into {environment.directory} (Python {environment.version})"):
        (directory / STAMP).unlink(missing_ok=True)
        requirements = str(root / environment.requirements)
        run_uv(uv, "pip", "sync", "--require-hashes", "--python", str(python), requirements, root=root)
        (directory / STAMP).write_text(_fingerprint(environment, root))


def _is(python: Path, version: str) -> bool:
    if not python.exists():
        return False
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", ask], check=False, capture_output=True, text=True)
    return done.stdout.strip() == version


def installer(root: Path = ROOT) -> Path:
    """The pinned uv in `.uv`, installed first when it is not there."""
    directory, pinned = root / ".uv", root / "requirements" / "uv.txt"
    uv, stamp = directory / "bin" / "uv", directory / STAMP
    wanted = hashlib.sha256(pinned.read_bytes()).hexdigest()
    if uv.exists() and stamp.exists() and stamp.read_text() == wanted:
        return uv
    check_disk(root, 200)
    python = interpreters.find("3.13") or Path(sys.executable)
    with doing("installing uv, the installer"):
        made = _run([str(python), "-m", "venv", "--clear", str(directory)], root)
        if made.returncode:
            raise CannotSetUp(
                f"{python} cannot make environments; install its venv module (Debian: apt-get install python3-venv)"
            )
        pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = _run([*pip, "--require-hashes", "--only-binary=:all:", "-r", str(pinned)], root)
        if done.returncode:
            raise CannotSetUp(_sentence("uv could not be installed", done, root))
        stamp.write_text(wanted)
    return uv


def run_uv(uv: Path, *arguments: str, root: Path = ROOT) -> str:
    """Run uv quietly and return what it printed.

    Raises:
        CannotSetUp: with its last lines, or the one sentence for a full disk.
    """
    done = _run([str(uv), "--quiet", "--no-progress", *arguments], root)
    if done.returncode:
        raise CannotSetUp(_sentence(f"uv {' '.join(arguments[:2])} failed", done, root))
    return done.stdout


def _run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=root, env=inherited)


def _sentence(what: str, done: subprocess.CompletedProcess[str], root: Path) -> str:
    said = (done.stderr or done.stdout).strip()
    if "No space left on device" in said or "Disk quota exceeded" in said:
        free = shutil.disk_usage(root).free // 2**20
        return f"the disk is full: {free} MB are free below {root}; make room and run this again"
    return f"{what}: " + "\n  ".join(said.splitlines()[-12:])


def check_disk(place: Path, megabytes: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        CannotSetUp: says how much there is and how much is needed.
    """
    free = shutil.disk_usage(place).free // 2**20
    if free < megabytes:
        raise CannotSetUp(
            f"the disk is full: {free} MB are free below {place}, {megabytes} are needed; make room first"
        )
