"""Finding the interpreters: 3.13 for the app, 3.10 for the engine.

A name on the PATH is not enough: pyenv puts a `python3.13` there that refuses to run unless that version is chosen. So
each candidate is run and asked, and beside a shim its manager's own directory of versions is looked through.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_ASK = "import sys, ssl, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"
# Below the home directory: (variable that moves it, place of all versions).
_MANAGERS = (
    ("PYENV_ROOT", ".pyenv", "versions/{version}*/bin"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "cpython-{version}*/bin"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python/{version}*/bin"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python/{version}*/bin"),
)
_SYSTEM = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/*/bin", "/opt/python/*{version}*/bin")


def find(version: str, environment: Mapping[str, str] | None = None, system: Iterable[str] = _SYSTEM) -> Path | None:
    """An interpreter of this version (`3.13`) that runs and has `ssl` and `venv`, the newest of its kind; else nothing.

    `environment` and `system` (directories beside the PATH, with wildcards) stand for the machine's own in tests.
    """
    environment = os.environ if environment is None else environment
    asked = set()
    for candidate in _candidates(version, environment, tuple(system)):
        if candidate not in asked and os.access(candidate, os.X_OK) and not candidate.is_dir():
            asked.add(candidate)
            found = _ask(candidate, version, environment)
            if found is not None:
                return found
    return None


def _candidates(version: str, environment: Mapping[str, str], system: tuple[str, ...]) -> Iterator[Path]:
    name = f"python{version}"
    path = [Path(part) for part in environment.get("PATH", "").split(os.pathsep) if part]
    yield from (part / name for part in path)
    for part in path:
        if part.name == "shims":
            yield from _newest(part.parent, f"versions/{version}*/bin", name)
            yield from _newest(part.parent, f"installs/python/{version}*/bin", name)
    home = Path(environment.get("HOME", "/"))
    for variable, usual, below in _MANAGERS:
        root = Path(environment[variable]) if environment.get(variable) else home / usual
        yield from _newest(root, below.format(version=version), name)
    for pattern in system:
        yield from _newest(Path("/"), pattern.format(version=version).lstrip("/"), name)
    yield from (part / usual for part in path for usual in ("python3", "python"))


def _newest(root: Path, pattern: str, name: str) -> list[Path]:
    found = root.glob(pattern) if root.is_dir() else ()
    return [directory / name for directory in sorted(found, key=_numbers, reverse=True)]


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(path))]


def _ask(candidate: Path, version: str, environment: Mapping[str, str]) -> Path | None:
    try:
        done = subprocess.run(
            [str(candidate), "-I", "-c", _ASK],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said, _, executable = done.stdout.strip().partition(" ")
    return Path(executable) if done.returncode == 0 and said == version else None


def how_to_get(version: str) -> str:
    """What a newcomer may type to get this interpreter."""
    ways = [f"`pyenv install {version}`", f"`uv python install {version}`"]
    if shutil.which("apt-get"):
        ways.append(f"`apt-get install python{version} python{version}-venv` where the distribution has it")
    elif shutil.which("brew"):
        ways.append(f"`brew install python@{version}`")
    return " or ".join(ways)
