"""What the service promises as a process: its two listeners, its health, and how it refuses to start."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bot.demo.stage import App, Stage, stage
from bot.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
NOBODY = "http://127.0.0.1:9"  # the discard port of loopback: no engine answers there

INTERNAL = ("/metrics", "/actions/webhook", "/demo/clock", "/control/ledger", "/control/phones", "/control/clock")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Stage]:
    """One service for all tests here, on servers of its own, its engine away."""
    async with stage(extra={"ENGINE_URLS": NOBODY}) as on:
        await on.app.start()
        await on.app.alive(on.http)
        yield on


async def _get(on: Stage, url: str) -> tuple[int, str]:
    async with on.http.get(url) as response:
        return response.status, await response.text()


async def test_what_is_internal_is_not_on_the_public_listener(served: Stage) -> None:
    for path in INTERNAL:
        assert (await _get(served, served.app.url + path))[0] == 404, path
        async with served.http.post(served.app.url + path, json={}) as response:
            assert response.status == 404, path


async def test_the_internal_listener_is_bound_to_one_address_of_loopback(served: Stage) -> None:
    # Bound to every address it would answer on this one, too.
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.2", served.app.internal_port)


async def test_readiness_names_database_redis_and_engine_inside_and_nothing_outside(served: Stage) -> None:
    status, inside = await _get(served, served.app.internal_url + "/readyz")
    assert status == 503
    assert '"database": true' in inside and '"redis": true' in inside and '"engine": false' in inside
    status, outside = await _get(served, served.app.url + "/readyz")
    assert (status, outside) == (503, "not ready")
    assert (await _get(served, served.app.url + "/healthz")) == (200, "alive")


async def test_the_metrics_tell_lanes_outbox_engine_and_ticks(served: Stage) -> None:
    lin = served.phone("林")
    await lin.follows()
    _, metrics = await _get(served, served.app.internal_url + "/metrics")
    for name in (
        "itp_lane_waiting_messages",
        "itp_outbox_ended_total",
        "itp_engine_turn_seconds",
        "itp_tick_lag_seconds",
        "itp_triage_total",
        "wechat_callback_refused_total",
    ):
        assert name in metrics, name
    assert lin.openid not in metrics


async def test_the_phone_page_is_there_only_where_the_simulator_stands_in(served: Stage) -> None:
    assert (await _get(served, served.app.url + "/phones"))[0] == 404


async def test_the_log_holds_nobodys_words_and_no_openid(served: Stage) -> None:
    lin = served.phone("陈")
    await lin.follows()
    await lin.says("头疼得厉害，吐了两次")
    log = served.app.log_path.read_text("utf-8")
    assert "outbox.ended" in log
    for secret in ("头疼", "吐了", lin.openid, served.app.environment["WECHAT_APP_SECRET"]):
        assert secret not in log


async def _refused(environment: Mapping[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "server.py",
        cwd=ROOT,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_taken_port_is_one_sentence_that_names_its_setting(served: Stage) -> None:
    other = App({**served.app.environment, "INTERNAL_PORT": str(free_port())}, 0, 0, served.app.log_path)
    code, errors = await _refused(other.environment)
    assert code == 2
    assert errors.strip().splitlines()[-1] == (
        f"port {served.app.port} is in use: stop what uses it, or set PORT to another one"
    )
    assert "Traceback" not in errors


async def test_a_second_start_of_the_same_place_leaves_the_servers_of_the_first_alone(served: Stage) -> None:
    code, _ = await _refused(served.app.environment)
    assert code == 2
    health = await _get(served, served.app.internal_url + "/readyz")
    assert '"database": true, "redis": true' in health[1]


async def test_production_without_its_settings_is_refused_by_their_names(tmp_path: Path) -> None:
    code, errors = await _refused({"PATH": "/usr/bin:/bin", "ENV": "production", "VAR_DIR": str(tmp_path)})
    assert code == 2
    assert "DATABASE_URL" in errors and "WECHAT_TOKEN" in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


async def test_production_has_no_demo_in_it(database_url: str, redis_url: str, tmp_path: Path) -> None:
    key = "A" * 43 + "="
    extra = {
        "ENV": "production",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ENGINE_URLS": NOBODY,
        "DATA_KEY": key,
        "ENGINE_DATA_KEY": key,
    }
    async with stage(tmp_path / "var", extra) as on:
        await on.app.start()
        await on.app.alive(on.http)
        for path in ("/phones", "/demo/clock"):
            assert (await _get(on, on.app.url + path))[0] == 404
        async with on.http.post(on.app.internal_url + "/demo/clock", json={"offset_seconds": 1}) as response:
            assert response.status == 404
        login = {"login": "zhou", "password": "demo"}
        async with on.http.post(on.app.url + "/login", data=login) as response:
            assert "退出" not in await response.text()


async def test_a_stranger_on_the_internal_listener_runs_no_action(served: Stage) -> None:
    call = {"next_action": "action_ask_doctor", "tracker": {"sender_id": "x", "events": []}}
    async with served.http.post(served.app.internal_url + "/actions/webhook", json=call) as response:
        assert response.status == 401
    async with aiohttp.ClientSession() as other:
        wrong = {"X-Action-Secret": "wrong"}
        async with other.post(served.app.internal_url + "/actions/webhook", json=call, headers=wrong) as response:
            assert response.status == 401
