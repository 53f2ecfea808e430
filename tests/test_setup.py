"""Set-up: finds interpreters behind shims, makes environments once, and says in one sentence what is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.setup import browser, environments, interpreters, locking
from bot.setup.environments import ROOT
from bot.setup.saying import CannotSetUp

REFUSING = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def python(path: Path, version: str) -> Path:
    """Something that answers as an interpreter of this version does."""
    return program(path, f'#!/bin/sh\necho "{version} {path}"\n')


def looking(tmp_path: Path, **environment: str) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": "", **environment}


def test_an_interpreter_on_the_path_is_found(tmp_path: Path) -> None:
    there = python(tmp_path / "bin" / "python3.13", "3.13")
    assert interpreters.find("3.13", looking(tmp_path, PATH=str(there.parent)), ()) == there


def test_a_shim_that_refuses_leads_to_the_interpreter_behind_it(tmp_path: Path) -> None:
    shim = program(tmp_path / "pyenv" / "shims" / "python3.13", REFUSING)
    real = python(tmp_path / "pyenv" / "versions" / "3.13.2" / "bin" / "python3.13", "3.13")
    assert interpreters.find("3.13", looking(tmp_path, PATH=str(shim.parent)), ()) == real


def test_the_newest_of_several_is_taken(tmp_path: Path) -> None:
    for patch in ("9", "10", "2"):
        python(tmp_path / "pyenv" / "versions" / f"3.13.{patch}" / "bin" / "python3.13", "3.13")
    found = interpreters.find("3.13", looking(tmp_path, PYENV_ROOT=str(tmp_path / "pyenv")), ())
    assert found is not None
    assert found.parts[-3] == "3.13.10"


@pytest.mark.parametrize(
    "place",
    [
        ".pyenv/versions/3.10.13/bin",
        ".local/share/uv/python/cpython-3.10.16-linux-x86_64-gnu/bin",
        ".asdf/installs/python/3.10.13/bin",
        ".local/share/mise/installs/python/3.10.13/bin",
    ],
)
def test_managers_below_the_home_are_known(tmp_path: Path, place: str) -> None:
    there = python(tmp_path / "home" / place / "python3.10", "3.10")
    assert interpreters.find("3.10", looking(tmp_path), ()) == there


def test_places_of_the_system_are_looked_through(tmp_path: Path) -> None:
    there = python(tmp_path / "opt" / "python-3.10" / "bin" / "python3.10", "3.10")
    assert interpreters.find("3.10", looking(tmp_path), (f"{tmp_path}/opt/*/bin",)) == there


def test_a_python3_of_the_right_version_will_do(tmp_path: Path) -> None:
    there = python(tmp_path / "bin" / "python3", "3.13")
    assert interpreters.find("3.13", looking(tmp_path, PATH=str(there.parent)), ()) == there


def test_one_of_another_version_or_without_ssl_is_passed_over(tmp_path: Path) -> None:
    python(tmp_path / "bin" / "python3.13", "3.12")
    program(tmp_path / "other" / "python3.13", "#!/bin/sh\necho 'No module named _ssl' >&2\nexit 1\n")
    path = f"{tmp_path / 'bin'}{os.pathsep}{tmp_path / 'other'}"
    assert interpreters.find("3.13", looking(tmp_path, PATH=path), ()) is None


def test_a_directory_or_a_plain_file_of_that_name_is_no_interpreter(tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3.13").mkdir(parents=True)
    (tmp_path / "bin" / "python3").write_text("")
    assert interpreters.find("3.13", looking(tmp_path, PATH=str(tmp_path / "bin")), ()) is None


def test_the_interpreter_that_runs_this_is_found() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = interpreters.find(version, {**os.environ, "PATH": os.path.dirname(sys.executable)}, ())
    assert found is not None
    assert os.path.samefile(found, sys.executable)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose installer is a script that notes what it is asked, and plays along."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    for name in ("app", "dev", "engine", "uv"):
        (root / "requirements" / f"{name}.txt").write_text(f"{name}-only==1.0\n")
    program(
        root / ".uv" / "bin" / "uv",
        f"""#!/bin/sh
echo "$@" >> {root}/asked
case "$*" in *" venv "*) for last; do :; done; mkdir -p $last/bin; ln -sf {sys.executable} $last/bin/python;; esac
""",
    )
    wanted = environments.hashlib.sha256((root / "requirements" / "uv.txt").read_bytes()).hexdigest()
    (root / ".uv" / environments.STAMP).write_text(wanted)
    return root


def asked(root: Path) -> list[str]:
    path = root / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_an_environment_is_made_from_hashes_and_only_once(checkout: Path) -> None:
    environments.make(["app"], checkout)
    made, synced = asked(checkout)
    assert "venv --clear" in made
    assert "pip sync --require-hashes" in synced
    assert synced.endswith("requirements/app.txt")

    environments.make(["app"], checkout)
    assert len(asked(checkout)) == 2


def test_what_tests_need_includes_what_the_app_needs_but_not_the_other_way_round(checkout: Path) -> None:
    environments.make(["app"], checkout)
    environments.make(["dev"], checkout)
    assert asked(checkout)[-1].endswith("requirements/dev.txt")
    count = len(asked(checkout))
    environments.make(["app"], checkout)
    assert len(asked(checkout)) == count


def test_changed_requirements_are_installed_into_the_same_environment(checkout: Path) -> None:
    environments.make(["app"], checkout)
    (checkout / "requirements" / "app.txt").write_text("app-only==2.0\n")
    environments.make(["app"], checkout)
    assert [line.split()[2] for line in asked(checkout)] == ["venv", "pip", "pip"]


def test_an_environment_whose_interpreter_is_gone_is_made_anew(checkout: Path) -> None:
    environments.make(["app"], checkout)
    (checkout / ".venv-app" / "bin" / "python").unlink()
    (checkout / ".venv-app" / "bin" / "python").symlink_to(checkout / "removed")
    environments.make(["app"], checkout)
    assert sum("venv" in line.split()[2] for line in asked(checkout)) == 2


def test_a_failed_installation_is_not_taken_for_a_finished_one(checkout: Path) -> None:
    environments.make(["app"], checkout)
    (checkout / "requirements" / "app.txt").write_text("app-only==2.0\n")
    program(checkout / ".uv" / "bin" / "uv", "#!/bin/sh\necho 'hash mismatch for app-only' >&2\nexit 2\n")
    with pytest.raises(CannotSetUp, match="hash mismatch for app-only"):
        environments.make(["app"], checkout)
    (checkout / "requirements" / "app.txt").write_text("app-only==1.0\n")
    with pytest.raises(CannotSetUp):
        environments.make(["app"], checkout)


def test_a_missing_interpreter_is_one_sentence_that_names_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(checkout / ".uv" / "bin" / "uv", "#!/bin/sh\necho 'No interpreter found' >&2\nexit 2\n")
    monkeypatch.setattr(interpreters, "find", lambda _version: None)
    with pytest.raises(CannotSetUp) as stopped:
        environments.make(["engine"], checkout)
    said = str(stopped.value)
    assert said.startswith("Python 3.10 (for .venv-engine) was found nowhere on this machine")
    assert "pyenv install 3.10" in said
    assert "\n" not in said


def test_a_full_disk_is_one_sentence_before_anything_is_begun(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(checkout)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=80 * 2**20))
    with pytest.raises(CannotSetUp, match=r"^the disk is full: 80 MB are free below .* 900 are needed"):
        environments.make(["app"], checkout)
    assert asked(checkout) == []


def test_a_disk_that_fills_up_on_the_way_is_the_same_sentence(checkout: Path) -> None:
    program(
        checkout / ".uv" / "bin" / "uv",
        "#!/bin/sh\necho 'error: write: No space left on device (os error 28)' >&2\nexit 2\n",
    )
    with pytest.raises(CannotSetUp, match=r"^the disk is full: \d+ MB are free") as stopped:
        environments.make(["app"], checkout)
    assert "\n" not in str(stopped.value)


def test_what_stops_set_up_is_said_on_the_command_line_without_a_traceback(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bot" / "setup", tmp_path / "bot" / "setup", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bot" / "__init__.py").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "app.txt").write_text("x==1\n")
    (tmp_path / "requirements" / "uv.txt").write_text("no-such-thing-anywhere\n")
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-m", "bot.setup", "environments", "app"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=alone, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("set-up stopped: ")
    assert "Traceback" not in done.stderr


def test_set_up_needs_nothing_but_the_standard_library() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bot.setup.__main__",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_set_up_is_written_for_python_3_9() -> None:
    import ast

    for path in (ROOT / "bot" / "setup").glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 9))


def test_tensorflow_is_locked_for_the_peer_of_the_benchmark_alone() -> None:
    holds = {
        name for name in environments.ENVIRONMENTS
        if re.search(r"^tensorflow==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    }  # fmt: skip
    assert holds == {"stock"}


@pytest.mark.parametrize("name", ["app", "dev", "engine", "stock", "uv"])
def test_locked_files_hold_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not locking._ADDRESS.search(text.replace("    --hash", "    hash"))
    for package in re.split(r"\n(?=[^\s#])", text.strip()):
        assert re.match(r"[\w.-]+==[^\s]+ .*\\\n +--hash=sha256:[0-9a-f]{64}", package), package[:80]


@pytest.mark.parametrize(
    "line", ["x @ https://mirror.example/x.whl", "--index-url https://mirror.example/simple", "-e ./x", "x @ file:///x"]
)
def test_an_address_in_a_locked_file_is_noticed(line: str) -> None:
    assert locking._ADDRESS.search(f"a==1 \\\n    --hash=sha256:00\n{line}\n")


def test_a_browser_may_be_named(tmp_path: Path) -> None:
    named = program(tmp_path / "my-chromium", "#!/bin/sh\n")
    assert browser.find({"BROWSER_PATH": str(named)}) == named
    assert browser.find({"BROWSER_PATH": str(tmp_path / "nothing")}) is None


def test_a_browser_on_the_path_comes_before_a_downloaded_one(tmp_path: Path) -> None:
    downloaded = program(tmp_path / ".cache/ms-playwright/chromium-1200/chrome-linux/chrome", "#!/bin/sh\n")
    assert browser.find({"HOME": str(tmp_path), "PATH": ""}) == downloaded
    on_path = program(tmp_path / "bin" / "chromium", "#!/bin/sh\n")
    assert browser.find({"HOME": str(tmp_path), "PATH": str(on_path.parent)}) == on_path


def test_without_a_browser_it_is_said_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "ROOT", tmp_path)
    for name, value in {"PATH": "", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("BROWSER_PATH", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(browser, "_APPLICATIONS", ())
    assert browser.main() == 0
    assert "NO CHROMIUM: the browser tests will not run." in capsys.readouterr().err
