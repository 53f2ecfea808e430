"""Two engines for one app: `ENGINE_URLS` names both, the client's hash spreads the conversations over them."""

import asyncio
import contextlib
import secrets
from dataclasses import replace
from pathlib import Path

from bench.answers import ENGINE_PYTHON, Answers
from bench.report import Row
from bot.demo.stage import Stage
from bot.dialogue.engine_process import EngineOptions, EngineProcess
from bot.dialogue.training import ensure_model
from bot.ports import free_port
from bot.settings import ROOT
from bot.store import embedded

ROUNDS = 2


async def measure(there: Stage, alone: Answers, engine_key: str, one: float) -> list[Row]:
    """How much two engines answer in a second at most; `one` is what one engine did in this run.

    Raises:
        EngineNotReady: an engine did not come up.
    """
    app = there.another_app()
    shared = {name: secrets.token_urlsafe(24) for name in ("ENGINE_SECRET", "ENGINE_TOKEN", "ACTION_SECRET")}
    model = await ensure_model(ENGINE_PYTHON, say=alone.say)
    async with contextlib.AsyncExitStack() as stack:
        locks = await asyncio.to_thread(embedded.start, var_dir=alone.scratch / "pair", postgres=False, valkey=True)
        stack.push_async_callback(asyncio.to_thread, locks.stop)
        assert locks.redis_url is not None
        engines = []
        for number in range(2):
            options = EngineOptions(
                python=ENGINE_PYTHON,
                root=ROOT,
                model=model,
                private_dir=_private(alone.scratch / f"engine-{number}"),
                database_url=alone.servers.database_url,
                redis_url=locks.redis_url,
                action_url=f"{app.internal_url}/actions/webhook",
                action_secret=shared["ACTION_SECRET"],
                data_key=engine_key,
                secret=shared["ENGINE_SECRET"],
                token=shared["ENGINE_TOKEN"],
                port=free_port(),
            )
            engine = EngineProcess(options)
            stack.push_async_callback(engine.stop)
            await engine.start()
            engines.append(engine)
        for engine in engines:
            await engine.wait_ready()
        urls = ",".join(engine.url for engine in engines)
        app.environment = {**app.environment, **shared, "REDIS_URL": locks.redis_url, "ENGINE_URLS": urls}
        await app.start()
        stack.push_async_callback(app.stop)
        await app.alive(there.http, path="/readyz", within=120)
        both = replace(alone, app=app, stock_port=None)
        await both.most("PairWarm", seconds=2.0)
        rates = []
        for number in range(ROUNDS):
            rates.append(await both.most(f"Pair{number}"))
            alone.say(f"two engines saturate at {rates[-1]:.1f} answers/s")
    most = max(rates)
    note = f"one engine in this run {one:.1f}; the better of {ROUNDS} rounds"
    return [Row("answers/s at saturation, two engines", "answers/s", most, ratio=most / one, note=note)]


def _private(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path
