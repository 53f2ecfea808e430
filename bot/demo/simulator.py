"""The simulated WeChat as a child process, with its own state file. It ends when this process ends."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import structlog

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
TEMPLATE_LIST = (
    {
        "id": "demo-alert",
        "title": "患者咨询提醒",
        "content": "级别：{{level.DATA}}\n编号：{{number.DATA}}\n原因：{{reason.DATA}}\n时间：{{time.DATA}}",
    },
    {
        "id": "demo-answer",
        "title": "医生回复了您",
        "content": "医生：{{doctor.DATA}}\n编号：{{number.DATA}}\n时间：{{time.DATA}}",
    },
    {"id": "demo-invitation", "title": "随访提醒", "content": "方案：{{plan.DATA}}\n时间：{{time.DATA}}"},
)


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class SimulatorProcess:
    """`python -m bot.simulator` on loopback."""

    def __init__(self, *, port: int, callback: str, public_url: str, state_dir: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._callback = callback
        self._public_url = public_url
        self._state_dir = state_dir
        self._child: asyncio.subprocess.Process | None = None

    async def start(
        self, credentials: Mapping[str, str], people: Sequence[Mapping[str, object]], clock_url: str
    ) -> None:
        """Start it. `credentials` are the `WECHAT_…` variables it shares with the app."""
        folder = self._state_dir
        folder.mkdir(parents=True, exist_ok=True)
        people_file, templates_file = folder / "people.json", folder / "templates.json"
        people_file.write_text(json.dumps(people, ensure_ascii=False), "utf-8")
        templates_file.write_text(json.dumps(TEMPLATE_LIST, ensure_ascii=False), "utf-8")
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        root = Path(__file__).resolve().parents[2]
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.simulator",
            *("--port", str(self._port), "--callback", self._callback, "--public-url", self._public_url),
            *("--state", str(folder / "state.json"), "--clock-url", clock_url),
            *("--people", str(people_file), "--templates", str(templates_file)),
            cwd=root,
            env={**inherited, **credentials, "PYTHONPATH": str(root)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )

    async def reset(self) -> None:
        """Empty the phones."""
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/control/reset", json={}):
            pass

    async def stop(self) -> None:
        """End it."""
        child = self._child
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            try:
                async with asyncio.timeout(5):
                    await child.wait()
            except TimeoutError:
                child.kill()
