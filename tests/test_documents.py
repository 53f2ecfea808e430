"""What the documents say can be typed, and what they point at is there."""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from test_layout import committed

from bot.__main__ import parser
from bot.settings import Settings
from bot.tables import metadata

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = (
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/glossary.md",
)
DOCUMENTS = sorted(name for name in committed() if name.endswith(".md"))
FENCED = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Programs of the system that documents may name; their arguments are theirs.
OF_THE_SYSTEM = {"cd", "curl", "export", "git", "openssl", "systemctl", "pg_dump", "pg_restore", "psql", "apt-get"}
# Never what a machine's own directories are called (in pieces, so that this file passes).
OF_A_MACHINE = re.compile("/" + "(work|farm|root)/|/home/" + r"[a-z]")


def commands() -> list[tuple[str, str]]:
    found = []
    for name in DOCUMENTS:
        for block in FENCED.findall((ROOT / name).read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                typed = line.strip().removeprefix("$ ")
                if typed and not typed.startswith("#"):
                    found.append((name, typed))
    return found


def is_assignment(word: str) -> bool:
    return re.match(r"[A-Z_]+=", word) is not None


def check(command: str) -> None:
    """Raise what is wrong with a command of a document."""
    words = shlex.split(command, comments=True)
    while words and is_assignment(words[0]):
        words = words[1:]
    program, arguments = words[0], words[1:]
    if program == "make":
        wanted = {word for word in arguments if not is_assignment(word) and not word.startswith("-")}
        assert wanted <= TARGETS, f"no such target: {wanted - TARGETS}"
    elif Path(program).name in ("python", "python3") and arguments[:1] == ["-m"]:
        module, rest = arguments[1], arguments[2:]
        if module == "bot":
            parser().parse_args(rest)
        else:
            assert importlib.util.find_spec(module) is not None, f"no such module: {module}"
            missing = [
                word for word in rest if word.startswith("tests/") and not (ROOT / word.partition("::")[0]).exists()
            ]
            assert not missing, f"not there: {missing}"
    elif program == "cp":
        assert (ROOT / arguments[0]).exists(), f"not there: {arguments[0]}"
    else:
        assert program in OF_THE_SYSTEM or (ROOT / program).exists(), f"what is {program}?"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_newcomer_finds(name: str) -> None:
    assert len((ROOT / name).read_text("utf-8")) > 500


@pytest.mark.parametrize(("document", "command"), commands())
def test_a_command_in_a_document_can_be_typed(document: str, command: str) -> None:
    check(command)


@pytest.mark.parametrize(
    "command",
    [
        "make rum",
        "python -m bot keys rotten",
        "python -m bot.nothing",
        "X=1 frobnicate",
        "python -m pytest tests/no.py",
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(command: str) -> None:
    with pytest.raises((AssertionError, SystemExit, ModuleNotFoundError)):
        check(command)


def test_every_command_of_make_that_is_shown_exists() -> None:
    named = {
        target for name in DOCUMENTS for target in re.findall(r"`make ([a-z-]+)[` ]", (ROOT / name).read_text("utf-8"))
    }
    assert named <= TARGETS


@pytest.mark.parametrize("recipe", re.findall(r"\$\(APP\) (-m .*)", (ROOT / "Makefile").read_text()))
def test_what_make_calls_exists(recipe: str) -> None:
    check("python " + re.sub(r"\$\(if.*\)$", "", recipe).replace("$(N)", "2"))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_make_knows_how_to_begin(target: str) -> None:
    done = subprocess.run(["make", "-n", target], check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_make_says_what_each_of_its_commands_does() -> None:
    silent = {"help", "check", "pytest"}
    explained = set(re.findall(r"^([a-z-]+):.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert explained | silent == TARGETS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_links_to_is_there(document: str) -> None:
    at = (ROOT / document).parent
    gone = [link for link in LINK.findall((ROOT / document).read_text("utf-8")) if not (at / link).exists()]
    assert gone == []


def test_every_table_is_in_the_overview() -> None:
    rows = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Tables")[2].partition("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE) for name in re.findall(r"`([a-z_]+)`", row)
    }
    assert named == set(metadata.tables)


def test_every_metric_and_setting_that_operators_are_told_of_exists() -> None:
    told = (ROOT / "docs" / "operations.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "bot").rglob("*.py"))
    metrics = {name.removesuffix("_total") for name in re.findall(r"`((?:itp|wechat_callback)_[a-z_]+)", told)}
    assert {name for name in metrics if f'"{name}"' not in code and f'"{name}_total"' not in code} == set()
    of_the_engine = {"ENGINE_DATABASE_URL", "ENGINE_REDIS_URL", "ACTION_URL"}
    settings = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", told)) - of_the_engine
    assert {name for name in settings if name.lower() not in Settings.model_fields} == set()


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    assert [path.name for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")) if path.name not in listed] == []


@pytest.mark.parametrize("name", sorted(name for name in committed() if name.startswith("requirements/")))
def test_no_address_of_a_registry_is_committed(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


def test_no_directory_of_one_machine_is_committed() -> None:
    named = []
    for name in committed():
        path = ROOT / name
        if path.exists() and path.suffix not in (".png", ".woff2", ".ttf", ".ico", ".npz", ".safetensors"):
            named += [
                f"{name}: {found.group()}" for found in OF_A_MACHINE.finditer(path.read_text("utf-8", errors="replace"))
            ]
    assert named == []
