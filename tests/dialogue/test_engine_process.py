"""The engine as a child: ready, quick, small, restarted, never an orphan, never blocked by its own output."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from dialogue_stage import ROOT

from bot.dialogue import engine_process
from bot.dialogue.engine_client import EngineClient
from bot.dialogue.engine_process import EngineNotReady, EngineOptions, EngineProcess, State

pytestmark = pytest.mark.asyncio(loop_scope="session")

# An engine's stand-in for the supervisor: the same command line and the same /status, ready at once.
STAND_IN = """#!{python}
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
argv = sys.argv
model = argv[argv.index("--model") + 1]
print(json.dumps({{"event": "noise", "level": "info"}}))
sys.stdout.write("x" * {noise} + "\\n")
sys.stdout.flush()
if "broken" in model:
    sys.exit(3)
class Status(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"model_file": os.path.basename(model)}}).encode()
        given = next(one for one in argv if one.startswith("--auth-token="))
        ok = "token=" + given.partition("=")[2] in self.path
        self.send_response(200 if ok else 401)
        self.end_headers()
        self.wfile.write(body if ok else b"")
    def log_message(self, *_):
        pass
HTTPServer(("127.0.0.1", int(argv[argv.index("-p") + 1])), Status).serve_forever()
"""


def stand_in(tmp_path: Path, model: str = "good.tar.gz", noise: int = 10) -> EngineOptions:
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(python=sys.executable, noise=noise), encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / model).write_bytes(b"")
    return EngineOptions(
        python=python,
        root=tmp_path,
        model=tmp_path / model,
        private_dir=tmp_path / "private",
        database_url="postgresql://u:secret-of-the-database@h/d",
        redis_url="redis://h",
        action_url="http://127.0.0.1:1/",
        action_secret="action-secret",
        data_key="data-key",
        dies_with_parent=False,
    )


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_a_crashed_engine_is_started_again_on_the_same_address(tmp_path: Path) -> None:
    engine = EngineProcess(stand_in(tmp_path))
    await engine.start()
    try:
        await engine.wait_ready(20)
        first, url = engine.pid, engine.url
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await gone(first)
        while engine.state is State.READY:
            await asyncio.sleep(0.05)
        await engine.wait_ready(20)
        assert engine.pid not in (None, first)
        assert (engine.url, engine.restarts) == (url, 1)
    finally:
        await engine.stop()
    assert engine.pid is None


async def test_an_engine_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_process, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(engine_process, "STOP_SECONDS", 0.5)
    engine = EngineProcess(stand_in(tmp_path))
    monkeypatch.setattr(engine._client, "_short", engine_process.EngineClient(["x"], secret="", token="")._short)
    await engine.start()
    try:
        await engine.wait_ready(20)
        first = engine.pid
        assert first is not None
        engine._client._short = engine._client._short.__class__(total=0.1)
        os.kill(first, signal.SIGSTOP)
        assert await gone(first)
        engine._client._short = engine._client._short.__class__(total=3)
        await engine.wait_ready(20)
    finally:
        await engine.stop()


async def test_a_model_that_never_gets_ready_is_left_for_the_last_good_one(tmp_path: Path) -> None:
    options = stand_in(tmp_path)
    good = EngineProcess(options)
    await good.start()
    await good.wait_ready(20)
    await good.stop()

    (tmp_path / "broken.tar.gz").write_bytes(b"")
    engine = EngineProcess(replace(options, model=tmp_path / "broken.tar.gz"))
    await engine.start()
    try:
        await engine.wait_ready(20)
        async with EngineClient([engine.url], secret="", token=options.token) as client:
            assert await client.model(engine.url) == "good.tar.gz"
    finally:
        await engine.stop()


async def test_an_engine_without_any_good_model_is_never_ready(tmp_path: Path) -> None:
    engine = EngineProcess(stand_in(tmp_path, "broken.tar.gz"))
    await engine.start()
    with pytest.raises(EngineNotReady):
        await engine.wait_ready(1)
    await engine.stop()


async def test_an_engine_that_prints_a_megabyte_is_not_blocked(tmp_path: Path) -> None:
    engine = EngineProcess(stand_in(tmp_path, noise=2**20))
    await engine.start()
    try:
        await engine.wait_ready(20)
    finally:
        await engine.stop()


async def test_secrets_are_not_in_the_options_text(tmp_path: Path) -> None:
    options = stand_in(tmp_path)
    for secret in (options.secret, options.token, "secret-of-the-database", "action-secret", "data-key"):
        assert secret not in repr(options)


async def test_the_engine_is_small_and_loads_no_tensorflow(engine: EngineProcess, client: EngineClient) -> None:
    await client.parse("艾曲泊帕要不要加量")
    assert engine.pid is not None
    process = psutil.Process(engine.pid)
    assert process.memory_info().rss < 250 * 2**20
    maps = {Path(entry.path).name for entry in process.memory_maps()}
    assert not {name for name in maps if "tensorflow" in name or "scipy" in name}


PARENT = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = [{root!r}]
from bot.dialogue.engine_process import EngineOptions, EngineProcess

async def main():
    options = EngineOptions(python=Path({python!r}), root=Path({project!r}), model=Path({model!r}),
        private_dir=Path({private!r}), database_url="postgresql://x@127.0.0.1:1/x", redis_url="redis://127.0.0.1:1/0",
        action_url="http://127.0.0.1:1/", action_secret="s", data_key={key!r})
    engine = EngineProcess(options)
    await engine.start()
    await engine.wait_ready()
    print("PID", engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_the_engine_dies_with_its_parent_however_that_dies(options: EngineOptions, tmp_path: Path) -> None:
    script = PARENT.format(
        root=str(ROOT),
        python=str(options.python),
        project=str(options.root),
        model=str(options.model),
        private=str(tmp_path / "p"),
        key=options.data_key,
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = 0
    async for line in parent.stdout:
        if line.startswith(b"PID"):
            child = int(line.split()[1])
            break
    assert psutil.pid_exists(child)
    # Started while PostgreSQL and Redis are away: ready all the same, each turn fails until they are back.
    parent.kill()
    await parent.wait()
    assert await gone(child)


async def test_an_engine_whose_parent_is_gone_already_does_not_start(options: EngineOptions) -> None:
    child = await asyncio.create_subprocess_exec(
        str(options.python),
        "-m",
        "bot.engine.launch",
        "run",
        "--model",
        str(options.model),
        cwd=options.root,
        env={"ENGINE_PARENT_PID": "1" if os.getpid() != 1 else "2", "PYTHONPATH": str(options.root)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate()
    assert child.returncode == 2
    assert b"is gone" in output
