"""`python -m bot.simulator` as the demo runs it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import aiohttp

from .account import AES_KEY, APP_ID, APP_SECRET, TOKEN, Start

ROOT = Path(__file__).resolve().parents[2]


async def run(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    secrets = {
        "WECHAT_APP_ID": APP_ID,
        "WECHAT_APP_SECRET": APP_SECRET,
        "WECHAT_TOKEN": TOKEN,
        "WECHAT_AES_KEY": AES_KEY,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot.simulator",
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **secrets, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_it_greets_the_app_keeps_its_phones_and_ends_at_once(start: Start, tmp_path: Path) -> None:
    wechat = await start()
    port, state = free_port(), tmp_path / "state.json"
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"name": "王阿姨", "follows": True}]))
    process = await run(
        *("--port", str(port), "--callback", wechat.callback.url + "/wechat"),
        *("--state", str(state), "--people", str(people)),
    )
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/phones" in (await process.stdout.readline()).decode()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, http.get("/phones/events") as events:
            async with http.post("/control/phones/王阿姨/say", json={"text": "你好"}) as response:
                assert (await response.json())["text"] == "你说：你好"
            async with http.get("/phones") as response:
                assert "服务已连接" in await response.text()
            assert await events.content.readline()
            began = time.monotonic()
            process.terminate()
            assert await process.wait() == 0
            assert time.monotonic() - began < 5
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert [m["text"] for m in json.loads(state.read_text())["phones"][0]["history"]] == ["你好", "你说：你好"]


async def test_what_keeps_it_from_starting_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for process, named in (
            (await run("--port", str(port)), str(port)),
            (await run(WECHAT_TOKEN=""), "WECHAT_TOKEN"),
            (await run("--people", "/nowhere.json"), "/nowhere.json"),
        ):
            _, words = await process.communicate()
            assert process.returncode == 2
            assert named in words.decode() and len(words.decode().splitlines()) == 1
