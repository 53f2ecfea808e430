"""`python -m bot …`: does what it says on the configured database, and says in one sentence why it does not."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from bot.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
OLD, NEW = (base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2))


def bot(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings and no others."""
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        check=False,
        input=typed,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=inherited | environment,
    )


def test_the_first_administrator_is_made_on_an_empty_database(empty_database_url: str) -> None:
    done = bot("users", "create-admin", "amy", typed="correct horse battery\n", DATABASE_URL=empty_database_url)
    assert done.returncode == 0, done.stderr
    assert "correct horse" not in done.stdout + done.stderr
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select login, role, active from staff").fetchall() == [
            ("amy", "administrator", True)
        ]


def test_a_refused_password_is_one_sentence_and_no_traceback(database_url: str) -> None:
    done = bot("users", "create-admin", "amy", typed="short\n", DATABASE_URL=database_url)
    assert done.returncode == 1
    assert done.stderr.strip() == "a password has 12 to 200 characters; nothing was changed"


def test_keys_are_rotated_from_the_command_line(database_url: str) -> None:
    both = {"DATABASE_URL": database_url, "DATA_KEY": NEW, "DATA_KEY_PREVIOUS": OLD}
    wrapped = bot("keys", "rotate", **both)
    assert wrapped.returncode == 0, wrapped.stderr
    assert "keep DATA_KEY_PREVIOUS" in wrapped.stdout
    finished = bot("keys", "rotate", "--finish", **both)
    assert finished.returncode == 0, finished.stderr
    assert "remove DATA_KEY_PREVIOUS" in finished.stdout


@pytest.mark.parametrize("given", [{}, {"DATA_KEY": NEW}, {"DATA_KEY_PREVIOUS": OLD}])
def test_rotating_needs_both_keys(database_url: str, given: dict[str, str]) -> None:
    done = bot("keys", "rotate", DATABASE_URL=database_url, **given)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "DATA_KEY_PREVIOUS" in done.stderr


def test_migrations_and_models_are_compared(empty_database_url: str) -> None:
    done = bot("migrations", "check", DATABASE_URL=empty_database_url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("migrations and models agree\n")


def test_a_wrong_setting_is_one_line_and_no_traceback() -> None:
    done = bot("migrations", "check", PORT="eighty")
    assert done.returncode == 1
    assert done.stderr.startswith("PORT: ")
    assert done.stderr.count("\n") == 1
