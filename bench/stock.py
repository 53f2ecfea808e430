"""The peer of the answers: stock `rasa run` with its REST channel, stock Chinese pipeline, an action server of its own.

It costs 2.5 GB of disk and minutes of training, so it is made on demand only: `WITH_STOCK=1 make bench`. Everything of it
is below `var/stock`; the model is kept there until the training data change.
"""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson

from bench.children import DidNotStart, child
from bot.ports import free_port
from bot.settings import ROOT
from bot.setup import environments

PLACE = ROOT / "var" / "stock"
PYTHON = PLACE / ".venv" / "bin" / "python"
GIVEN = "bench/peers/stock"
CONFIG = f"{GIVEN}/config.yml"
DATA = ("data/nlu", "data/rules")
TRAINING_SECONDS = 1800.0
READY_SECONDS = 300.0
# A turn that failed is a 200 with an empty list.
REPLY = "[{"

Say = Callable[[str], None]


def wanted() -> bool:
    """Whether this run measures it."""
    return os.environ.get("WITH_STOCK", "") not in ("", "0")


def _environment(place: Path) -> dict[str, str]:
    """Nothing is sent anywhere, and what TensorFlow has to say at its start is not heard."""
    return {
        "HOME": str(place),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "RASA_TELEMETRY_ENABLED": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "SANIC_HOST": "127.0.0.1",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    }


def _model() -> Path:
    digest = hashlib.sha256()
    folders = sorted(path for name in DATA for path in (ROOT / name).rglob("*.yml"))
    for path in (ROOT / CONFIG, ROOT / "domain.yml", *folders):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return PLACE / "models" / f"{digest.hexdigest()[:20]}.tar.gz"


async def prepare(say: Say) -> Path:
    """The environment and the model, made now where they are not there; returns the model.

    Raises:
        CannotSetUp: the environment could not be made.
        DidNotStart: the training failed; carries its last lines.
    """
    await asyncio.to_thread(environments.make, ["stock"])
    target = _model()
    if target.is_file():
        return target
    say("training the stock pipeline, once; this takes minutes")
    began = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="itp-stock-") as work:
        process = await asyncio.create_subprocess_exec(
            "nice", str(PYTHON), "-m", "rasa", "train", "--skip-validation", "-c", CONFIG, "-d", "domain.yml",
            "--data", *DATA, "--out", work, "--fixed-model-name", "model",
            cwd=ROOT, env={"PATH": os.environ["PATH"], **_environment(Path(work)), "RASA_CACHE_DIRECTORY": work},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(TRAINING_SECONDS):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise DidNotStart(f"the stock pipeline was not trained after {TRAINING_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        trained = Path(work) / "model.tar.gz"
        if process.returncode or not trained.is_file():
            raise DidNotStart(printed[-2000:].decode("utf-8", "replace"))
        draft = target.with_suffix(".new")
        draft.write_bytes(trained.read_bytes())
        draft.replace(target)
    say(f"the stock pipeline is trained, {time.monotonic() - began:.0f} s")
    return target


@asynccontextmanager
async def running(model: Path, scratch: Path, say: Say) -> AsyncIterator[tuple[int, int]]:
    """Action server and engine, up until the block ends; yields the engine's port and process id.

    Raises:
        DidNotStart: one of them ended, or has no answer in time.
    """
    port, actions = free_port(), free_port()
    home = scratch / "stock"
    home.mkdir(exist_ok=True)
    environment = {**_environment(home), "ACTION_URL": f"http://127.0.0.1:{actions}/webhook"}
    act = [str(PYTHON), "-m", "rasa_sdk", "--actions", "bench.peers.stock.actions", "--port", str(actions)]
    run = [
        str(PYTHON), "-m", "rasa", "run", "-i", "127.0.0.1", "-p", str(port), "--model", str(model),
        "--endpoints", f"{GIVEN}/endpoints.yml", "--credentials", f"{GIVEN}/credentials.yml",
    ]  # fmt: skip
    async with child(act, environment, port=actions):
        began = time.monotonic()
        async with child(run, environment, port=port, within=READY_SECONDS) as pid:
            await _answers(port)
            say(f"stock Rasa answers, {time.monotonic() - began:.0f} s after its start")
            yield port, pid


async def _answers(port: int) -> None:
    """It listens before its model is there, and answers with nothing until then."""
    end = time.monotonic() + READY_SECONDS
    question = {"sender": "first", "message": "血小板低能不能打篮球"}
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < end:
            async with http.post(f"http://127.0.0.1:{port}/webhooks/rest/webhook", json=question) as response:
                if response.status == 200 and await response.json():
                    return
            await asyncio.sleep(1)
    raise DidNotStart("stock Rasa listens and has no answer")


def requests(number: int, texts: tuple[str, ...], *, group: str) -> list[bytes]:
    """This many messages, each from somebody else, as whole requests to the REST channel."""
    made = []
    for n in range(number):
        body = orjson.dumps({"sender": f"{group}-{n}", "message": texts[n % len(texts)]})
        head = (
            "POST /webhooks/rest/webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made
