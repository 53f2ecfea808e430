"""Processes of the bench: each started here is ended here, by its id."""

import asyncio
import contextlib
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil

from bench.load import Heard
from bot.settings import ROOT

QUIET = {"PYTHONUNBUFFERED": "1"}


class DidNotStart(Exception):
    """A process under measurement is not there; carries the end of what it printed."""


@asynccontextmanager
async def child(
    command: Sequence[str], environment: Mapping[str, str], *, port: int, within: float = 60.0, cwd: Path = ROOT
) -> AsyncIterator[int]:
    """Run a server until the block ends; yields its process id once the port takes connections.

    Raises:
        DidNotStart: it ended, or nothing listened in time.
    """
    with tempfile.TemporaryFile() as printed:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env={**kept, **QUIET, **environment}, stdin=asyncio.subprocess.DEVNULL,
            stdout=printed, stderr=printed, start_new_session=True,
        )  # fmt: skip
        try:
            if not await _listens(port, process, within):
                printed.seek(0)
                raise DidNotStart(printed.read()[-2000:].decode("utf-8", "replace"))
            yield process.pid
        finally:
            await _end(process)


async def _listens(port: int, process: asyncio.subprocess.Process, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return True
                await asyncio.sleep(0.05)
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """The process and those it started itself (gunicorn's worker, the engine): they share its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):
                await process.wait()
                return


async def load(requests: list[bytes], scratch: Path, **spec: Any) -> Heard:
    """Run the load generator in its own process; `spec` as `bench.load.run` takes it."""
    prepared = scratch / "requests.pickle"
    prepared.write_bytes(pickle.dumps(requests))
    spec_text = orjson.dumps({**spec, "requests": str(prepared)}).decode()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", spec_text, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise DidNotStart("the load generator broke off; see above")
    return Heard(**orjson.loads(out))


def resident_mb(pid: int) -> float:
    """Resident memory of one process in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its children have used."""
    whole = psutil.Process(pid)
    return float(sum(sum(one.cpu_times()[:2]) for one in (whole, *whole.children(recursive=True))))
