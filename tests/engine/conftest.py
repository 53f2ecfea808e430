"""Runs the checks of `inside/` in the engine's interpreter, a module at a time, and gives each its own test."""

import ast
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store import embedded

ROOT = Path(__file__).resolve().parents[2]
ENGINE_PYTHON = Path(os.environ.get("ENGINE_PYTHON") or ROOT / ".venv-engine" / "bin" / "python")
INSIDE = Path(__file__).parent / "inside"
_results: dict[str, dict[str, str | None]] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "promise" in metafunc.fixturenames:
        promises = []
        for path in sorted(INSIDE.glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("check_"):
                    promises.append(f"{path.stem}.{node.name.removeprefix('check_')}")
        metafunc.parametrize("promise", promises)


@pytest.fixture(scope="session")
def addresses() -> Iterator[dict[str, str]]:
    """A PostgreSQL and a Valkey of this session's own, as the checks find them in their environment."""
    place = Path(tempfile.mkdtemp(prefix="itp-engine-"))
    place.chmod(0o755)
    started = embedded.start(var_dir=place / "v", postgres=True, valkey=True)
    assert started.database_url is not None
    assert started.redis_url is not None
    yield {"TEST_POSTGRES": started.database_url, "TEST_REDIS": started.redis_url}
    started.stop()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def outcome(promise: str, addresses: dict[str, str]) -> str | None:
    """None when the promise held, else what happened."""
    module, _, name = promise.partition(".")
    if module not in _results:
        done = subprocess.run(
            [str(ENGINE_PYTHON), "-W", "ignore", "-m", "tests.engine.inside", module],
            cwd=ROOT,
            env={**os.environ, **addresses, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
        assert lines, done.stdout[-2000:] + done.stderr[-4000:]
        _results[module] = json.loads(lines[-1].removeprefix("RESULTS "))
    return _results[module]["check_" + name]
