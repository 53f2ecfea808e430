"""Where things are and who may know whom."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = set(
    """.ci .env.example .gitignore .python-version CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md README.zh-CN.md
    SECURITY.md actions bench bot config.yml credentials.yml data docs domain.yml endpoints.yml models pyproject.toml
    requirements server.py tests""".split()
)


def committed() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.split("\0")[:-1]


def contracts() -> list[dict[str, list[str]]]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert isinstance(found, list)
    return found


def checked(directory: Path, configuration: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    command = [str(program), "--no-logo", "--no-cache", "--config", str(configuration)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory, timeout=120)


def test_nobody_imports_what_it_may_not_know() -> None:
    done = checked(ROOT, ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout[done.stdout.find("Broken contracts") :]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bot/store/trespass.py", "import bot.care.roster"),
        ("bot/wechat/trespass.py", "import bot.store.database"),
        ("bot/outbox/trespass.py", "import bot.wechat.client"),
        ("bot/care/trespass.py", "import bot.web.pages"),
        ("bot/knowledge/trespass.py", "import bot.dialogue.turns"),
        ("bot/engine/trespass.py", "import bot.store.database"),
        ("bot/simulator/trespass.py", "import bot.wechat.envelope"),
        ("bot/web/trespass.py", "import bot.engine.channel"),
        ("actions/trespass.py", "import bot.simulator.app"),
        ("bot/setup/trespass.py", "import bot.settings"),
    ],
)
def test_a_trespass_is_noticed(tmp_path: Path, module: str, line: str) -> None:
    """The contracts on a skeleton of the project: the same modules, empty but for one import."""
    for name in committed():
        if name.startswith(("bot/", "actions/")) and name.endswith(".py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    (tmp_path / module).write_text(line + "\n")
    done = checked(tmp_path, ROOT / "pyproject.toml")
    assert done.returncode == 1
    assert re.search(r"[1-9] broken", done.stdout)
    assert line.split()[1] in done.stdout


def test_every_part_is_bound_by_a_contract() -> None:
    bound = {
        name
        for contract in contracts()
        for key in ("source_modules", "protected_modules")
        for name in contract.get(key, [])
    }
    parts = {
        f"bot.{path.stem}"
        for path in (ROOT / "bot").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"bot.__init__", "bot.__main__"} <= bound


def test_the_top_level_stays_as_it_is() -> None:
    assert {name.partition("/")[0] for name in committed()} <= TOP


@pytest.mark.parametrize("package", ["bot", "bot/engine", "bot/language"])
def test_what_the_engine_loads_first_is_empty(package: str) -> None:
    assert (ROOT / package / "__init__.py").read_text() == ""


def test_modules_stay_small_enough_to_read() -> None:
    long = {
        name: lines
        for name in committed()
        if name.endswith(".py") and not name.startswith("tests/") and "/migrations/versions/" not in name
        if (lines := len((ROOT / name).read_text("utf-8").splitlines())) > 550
    }
    assert long == {}
