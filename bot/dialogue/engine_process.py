"""The engine as a child of the app: started, watched, restarted, stopped.

The child ends when this process ends, however it ends (`bot.engine.launch` asks the kernel for that; the signal comes when
the *thread* that started it ends, so `start` must run on the main thread's loop). It listens on loopback on one port for
as long as this object lives. What it prints is read line by line, or it would block on a full pipe.

A model that never becomes ready is left for the last one that did.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import orjson
import structlog

from bot.dialogue.engine_client import EngineClient
from bot.ports import free_port

log = structlog.get_logger()

READY_SECONDS = 60.0
CHECK_SECONDS = 5.0
MISSES = 3
LONGEST_PAUSE = 60.0
STEADY_SECONDS = 300.0
STOP_SECONDS = 15.0
LONGEST_LINE = 8192
CRASHES, WITHIN_SECONDS = 5, 600.0


class State(StrEnum):
    """Where the child is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DOWN = "down"


@dataclass(frozen=True)
class EngineOptions:
    """What the engine is started with. Addresses are libpq and Redis URLs; `data_key` is 32 bytes in base64."""

    python: Path
    root: Path
    model: Path
    private_dir: Path
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    action_url: str
    action_secret: str = field(repr=False)
    data_key: str = field(repr=False)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    port: int | None = None
    env: str = "demo"
    demo_clock_dsn: str | None = field(default=None, repr=False)
    dies_with_parent: bool = True


class EngineNotReady(Exception):
    """The engine did not become ready in time."""


class EngineProcess:
    """One supervised engine.

    `url`, `options.secret` and `options.token` are what an `EngineClient` needs.
    """

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.port = options.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = State.STOPPED
        self.restarts = 0
        self._client = EngineClient([self.url], secret=options.secret, token=options.token)
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._down = asyncio.Event()
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._failed_model: Path | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> None:
        """Begin to supervise; comes back at once, long before the engine is ready."""
        if self._supervisor is None:
            self.options.private_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._supervisor = asyncio.create_task(self._supervise(), name="engine-supervisor")

    async def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until the engine answers with a model.

        Raises:
            EngineNotReady: not within this time.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            raise EngineNotReady(f"the engine is not ready after {seconds:.0f} s") from None

    async def wait_down(self) -> None:
        """Until it is not ready any more."""
        await self._down.wait()

    async def stop(self) -> None:
        """End the child (it finishes what it is doing, 15 s at most) and the supervision."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._end_child()
        await self._client.close()
        self.state = State.STOPPED
        self._ready.clear()
        self._down.set()

    async def _supervise(self) -> None:
        pause = 1.0
        while True:
            model = self._model()
            started = time.monotonic()
            await self._spawn(model)
            if await self._becomes_ready():
                self._mark_good(model)
                log.info(
                    "engine ready",
                    seconds=round(time.monotonic() - started, 1),
                    model=model.name,
                )
                await self._watch()
            else:
                self._failed_model = model
            self._ready.clear()
            self._down.set()
            self.state = State.DOWN
            code = self._child.returncode if self._child is not None else None
            await self._end_child()
            self._crashes.append(time.monotonic())
            if time.monotonic() - started > STEADY_SECONDS:
                pause = 1.0
            log.error("engine down", exit_code=code, again_in=pause, model=model.name)
            self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _model(self) -> Path:
        """The configured model, unless it failed to start or keeps crashing and another one is known to work."""
        model = self.options.model
        good = self._last_good()
        often = len(self._crashes) == CRASHES and time.monotonic() - self._crashes[0] < WITHIN_SECONDS
        if good is not None and good != model and (often or self._failed_model == model):
            log.warning(
                "engine takes the last good model",
                model=good.name,
                instead_of=model.name,
            )
            return good
        return model

    def _last_good(self) -> Path | None:
        with contextlib.suppress(OSError):
            path = Path((self.options.private_dir / "last-good-model").read_text(encoding="utf-8"))
            return path if path.is_file() else None
        return None

    def _mark_good(self, model: Path) -> None:
        target = self.options.private_dir / "last-good-model"
        with contextlib.suppress(OSError):
            draft = target.with_suffix(".new")
            draft.write_text(str(model.resolve()), encoding="utf-8")
            draft.replace(target)

    async def _spawn(self, model: Path) -> None:
        options = self.options
        self.state = State.STARTING
        command = [
            str(options.python), "-m", "bot.engine.launch", "run", "--enable-api", "-i", "127.0.0.1", "-p", str(self.port),
            "--model", str(model), "--endpoints", "endpoints.yml", "--credentials", "credentials.yml",
            f"--auth-token={options.token}", "--response-timeout", "30",
        ]  # fmt: skip
        self._child = await asyncio.create_subprocess_exec(
            *command,
            cwd=options.root,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        self._reader = asyncio.create_task(self._read(self._child.stdout), name="engine-output")

    def _environment(self) -> Mapping[str, str]:
        options = self.options
        inherited = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in inherited if name in os.environ}
        environment |= {
            "HOME": str(options.private_dir),
            "TMPDIR": str(options.private_dir),
            "PYTHONPATH": str(options.root),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
            "ENV": options.env,
            "ENGINE_DATABASE_URL": options.database_url,
            "ENGINE_REDIS_URL": options.redis_url,
            "ENGINE_DATA_KEY": options.data_key,
            "ENGINE_SECRET": options.secret,
            "ACTION_URL": options.action_url,
            "ACTION_SECRET": options.action_secret,
        }
        if options.dies_with_parent:
            environment["ENGINE_PARENT_PID"] = str(os.getpid())
        if options.demo_clock_dsn is not None:
            environment["DEMO_CLOCK_DSN"] = options.demo_clock_dsn
        return environment

    async def _becomes_ready(self) -> bool:
        assert self._child is not None
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self._child.returncode is None:
            if await self._client.model(self.url) is not None:
                self.state = State.READY
                self._ready.set()
                self._down.clear()
                return True
            await asyncio.sleep(0.2)
        return False

    async def _watch(self) -> None:
        """Until the child has ended or does not answer any more."""
        assert self._child is not None
        misses = 0
        while misses < MISSES:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._child.wait()
                return
            except TimeoutError:
                misses = 0 if await self._client.model(self.url) is not None else misses + 1
        log.error("engine does not answer", misses=misses)

    async def _end_child(self) -> None:
        child, reader = self._child, self._reader
        if child is not None and child.returncode is None:
            for sign, seconds in (
                (signal.SIGTERM, STOP_SECONDS),
                (signal.SIGKILL, STOP_SECONDS),
            ):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, sign)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await child.wait()
                    break
        if reader is not None:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        self._child = self._reader = None

    async def _read(self, stream: asyncio.StreamReader) -> None:
        """Hand the child's lines to our log; lines above 8 KB are dropped."""
        pending = b""
        too_long = False
        while chunk := await stream.read(65536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line and not too_long and len(line) <= LONGEST_LINE:
                    # Before it is ready nobody has written to it yet, so that what it prints holds nobody's words.
                    _log_line(line, verbatim=self.state is State.STARTING)
                too_long = False
            if len(pending) > LONGEST_LINE:
                pending, too_long = b"", True


def _log_line(line: bytes, *, verbatim: bool) -> None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict):
        # Not from our formatter: the interpreter itself or a library's print.
        if verbatim:
            log.warning("engine printed", line=line.decode("utf-8", "replace")[:300])
        else:
            log.info("engine printed", bytes=len(line))
        return
    level = entry.pop("level", "info")
    event = str(entry.pop("event", ""))
    fields = {name: value for name, value in entry.items() if name in ("logger", "error", "action", "trace", "model")}
    method = log.error if level in ("error", "critical") else log.warning if level == "warning" else log.info
    method("engine: " + event, **fields)
