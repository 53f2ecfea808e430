"""Wires everything and runs it: the one place that knows every part.

Two listeners: the public one (callback, pages, health), and an internal one on loopback (actions for the engine,
metrics, detailed readiness, the demo's clock). The service acknowledges from its first second; the engine joins later.
"""

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
import uvloop
from aiohttp import web
from prometheus_client import REGISTRY, generate_latest
from redis.asyncio import Redis
from sqlalchemy import text
from yarl import URL

from bot import clock, demo, keys, killpoints, logs, settings
from bot.care import awaited, rechecks
from bot.care.consultations import answering, ladder
from bot.care.followups import course
from bot.care.triage import rulebook
from bot.demo.simulator import SimulatorProcess
from bot.demo.world import PASSWORD
from bot.dialogue import checkins, engine_access, phrases, unreadable
from bot.dialogue.conversation import Conversation
from bot.dialogue.engine_client import EngineClient
from bot.dialogue.engine_process import EngineNotReady, EngineOptions, EngineProcess
from bot.dialogue.executor import LARGEST_BODY
from bot.dialogue.executor import routes as action_routes
from bot.dialogue.training import TrainingFailed, ensure_model
from bot.dialogue.turn import Turns
from bot.inbox.intake import Arrival, Intake
from bot.inbox.lanes import Lanes
from bot.inbox.messages import Message
from bot.inbox.retention import forget_unconsented
from bot.jobs import Ticks
from bot.knowledge import faq
from bot.logs import place
from bot.outbox.passive import PassiveReplies, Reply, release_dead_claims
from bot.outbox.rows import READY
from bot.outbox.sender import Sender
from bot.ports import PortTaken, free_port, refuse_taken
from bot.settings import ROOT, Settings, SettingsRefused
from bot.store import demo_clock, embedded, migrate
from bot.store.channel import Channel
from bot.store.database import Database
from bot.store.together import Together
from bot.store.vault import Vault
from bot.web import pages
from bot.wechat import callback, menu
from bot.wechat.client import WeChat
from bot.wechat.delivery import Delivery
from bot.wechat.envelope import Envelope
from bot.wechat.messages import Inbound
from bot.wechat.templates import Template

log = structlog.get_logger("server")

_KEPT = timedelta(days=7)
_WAITS_FOR_ANSWER = frozenset({"subscribe", "click", "scan"})
_callback_metrics = callback.Metrics(REGISTRY)


class Service:
    """The whole application in one process."""

    def __init__(self, configured: Settings) -> None:
        self.settings = configured
        self.process_id = uuid.uuid4()
        self.secrets = keys.load(configured)
        self._closing = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[Any]] = []
        self.public_port = configured.port
        self.internal_port = 0

    # -- start -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up, the public listener as early as messages can be stored."""
        chosen, secrets = self.settings, self.secrets
        started = await asyncio.to_thread(
            embedded.start,
            var_dir=chosen.var_dir,
            postgres=chosen.database_url is None,
            valkey=chosen.redis_url is None,
        )
        self._closing.push_async_callback(asyncio.to_thread, started.stop)
        self.database_url = started.database_url or _value(chosen.database_url)
        self.redis_url = started.redis_url or _value(chosen.redis_url)
        # Read once now, so that the first emergency does not wait for it.
        await asyncio.gather(migrate.upgrade(self.database_url), asyncio.to_thread(rulebook))
        self.database = Database(self.database_url, Vault.of(*secrets.data_keys), pool_size=20)
        self._closing.push_async_callback(self.database.close)
        self.channel = Channel(self.database_url)
        await self.channel.open()
        self._closing.push_async_callback(self.channel.close)
        self.redis = Redis.from_url(self.redis_url)
        self._closing.push_async_callback(self.redis.aclose)
        if chosen.demo:
            await demo_clock.follow(self.database, self.channel)
            await demo.ensure(self.database, app_id=secrets.app_id)
            await self.channel.listen(demo.RESET, lambda _: self._world_is_new())
        else:
            async with self.database.transaction() as session:
                # As drafts: what patients get is published by staff.
                await faq.import_baseline(session)
        phrases.set_page_url(chosen.page_url)
        await self._wire()
        await self._listen()
        self._begin(self.sender.run(), "sender")
        self._begin(self.channel.tend(), "channel")
        self._begin(self._serve_engine(), "engine-start")
        self._begin(menu.make(self.wechat, chosen.page_url), "menu")
        self.ticks.start()
        await self.lanes.sweep()
        await self.ticks.now("claims")

    async def _wire(self) -> None:
        chosen, secrets = self.settings, self.secrets
        self.simulator = SimulatorProcess(
            port=chosen.simulator_port or free_port(),
            callback=f"http://127.0.0.1:{chosen.port}/wechat",
            public_url=chosen.page_url,
            state_dir=chosen.var_dir / "simulator",
        )
        api_url = self.simulator.url if chosen.simulated else str(chosen.wechat_api_url)
        genuine = not chosen.simulated and str(chosen.wechat_api_url).startswith("https://api.weixin.qq.com")
        open_url = str(chosen.wechat_open_url) if genuine else None
        self.wechat = WeChat(secrets.app_id, secrets.app_secret, api_url, self.redis, open_url=open_url)
        self._closing.push_async_callback(self.wechat.close)
        gateway = f"{self.simulator.url}/gateway/alert" if chosen.simulated else _text(chosen.alert_webhook_url)
        self.delivery = Delivery(
            self.wechat, page_url=chosen.page_url, templates=_templates(chosen), gateway_url=gateway
        )
        self._closing.push_async_callback(self.delivery.close)
        self.sender = Sender(self.database, self.delivery, self.process_id)
        self.replies = PassiveReplies(self.database, self.process_id)
        self._settled: Together[uuid.UUID, bool] = Together(self._which_are_settled, name="settled", most=500)
        await self.replies.follow(self.channel)
        # What an open request may carry is not due yet.
        await self.channel.listen(READY, lambda message: None if message else self.sender.wake())
        self.engine_process: EngineProcess | None = None
        urls = (chosen.engine_urls or "").split(",") if chosen.engine_urls else []
        if not urls:
            self.engine_port = free_port()
            urls = [f"http://127.0.0.1:{self.engine_port}"]
        self.engine = EngineClient(urls, secret=secrets.engine_secret, token=secrets.engine_token)
        self._closing.push_async_callback(self.engine.close)
        self.steps = Conversation(self.database, self.engine, self.wechat, owed=self.sender.wake)
        self.intake = Intake(self.database, self.process_id)
        self.lanes = Lanes(self.database, self.channel, self.steps)
        await self.channel.listen(checkins.IN_LANE, lambda account: self.lanes.wake(uuid.UUID(account)))
        self.ticks = Ticks()
        for seconds, name, tick in (
            (1.0, "lanes", self.lanes.sweep),
            (5.0, "ladder", self._tick_ladder),
            (5.0, "followups", self._tick_followups),
            (5.0, "rechecks", self._tick_rechecks),
            (15.0, "unreadable", self._tick_unreadable),
            (5.0, "claims", self._tick_claims),
            (60.0, "idle", self._tick_idle),
            (30.0, "measure", self.sender.measure),
            (3600.0, "retention", self._tick_retention),
        ):
            self.ticks.every(seconds, name, tick)

    async def _listen(self) -> None:
        chosen = self.settings
        internal = web.Application(client_max_size=LARGEST_BODY)
        internal.add_routes(
            action_routes(
                "actions",
                secret=self.secrets.action_secret,
                around=Turns(self.database).around,
                domain=ROOT / "domain.yml",
            )
        )
        internal.add_routes([web.get("/metrics", _metrics), web.get("/readyz", self._readyz_detailed)])
        if chosen.demo:
            internal.add_routes([web.post("/demo/clock", self._move_clock), web.post("/demo/kill", _arm)])
        self.internal_port = await self._bind(internal, "127.0.0.1", chosen.internal_port or 0, "INTERNAL_PORT")
        envelope = Envelope(
            self.secrets.app_id,
            self.secrets.token,
            self.secrets.aes_key,
            chosen.wechat_mode.value,
            previous_aes_key=_value(chosen.wechat_aes_key_previous) or None,
            max_age_seconds=chosen.wechat_max_age_seconds,
        )
        public = web.Application(client_max_size=25 * 2**20)
        public.add_routes(callback.routes(envelope, self.receive, metrics=_callback_metrics))
        public.add_routes([web.get("/healthz", _healthz), web.get("/readyz", self._readyz)])
        if chosen.simulated:
            public.add_routes([web.get("/phones", self._to_phones)])
        pages.setup(public, database=self.database, channel=self.channel, settings=chosen, wechat_login=self.wechat)
        self.public_port = await self._bind(public, chosen.host, chosen.port, "PORT")
        if chosen.simulated:
            credentials = {
                "WECHAT_APP_ID": self.secrets.app_id,
                "WECHAT_APP_SECRET": self.secrets.app_secret,
                "WECHAT_TOKEN": self.secrets.token,
                "WECHAT_AES_KEY": self.secrets.aes_key,
                "WECHAT_MODE": chosen.wechat_mode.value,
            }
            clock_url = f"http://127.0.0.1:{self.internal_port}/demo/clock"
            await self.simulator.start(credentials, demo.people(self.secrets.app_id), clock_url)
            self._closing.push_async_callback(self.simulator.stop)

    async def _bind(self, app: web.Application, host: str, port: int, setting: str) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0, handle_signals=False)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, port, backlog=512)
        try:
            await site.start()
        except OSError:
            raise PortTaken(port, setting) from None
        return int(runner.addresses[0][1])

    async def _serve_engine(self) -> None:
        """Train if needed and start the engine; the lanes drain whenever it is ready again."""
        chosen, secrets = self.settings, self.secrets
        if chosen.engine_urls:
            return
        model = await self._model()
        redis_url = await engine_access.redis_user(self.redis, self.redis_url, secrets.engine_secret)
        self.engine_process = EngineProcess(
            EngineOptions(
                python=chosen.engine_python,
                root=ROOT,
                model=model,
                private_dir=chosen.var_dir / "engine",
                database_url=await engine_access.role(self.database, self.database_url, secrets.engine_secret),
                redis_url=redis_url,
                action_url=f"http://127.0.0.1:{self.internal_port}/actions/webhook",
                action_secret=secrets.action_secret,
                data_key=secrets.engine_data_key,
                secret=secrets.engine_secret,
                token=secrets.engine_token,
                port=self.engine_port,
                env=chosen.env.value,
                demo_clock_dsn=engine_access.libpq(self.database_url) if chosen.demo else None,
            )
        )
        self._closing.push_async_callback(self.engine_process.stop)
        await self.engine_process.start()
        while True:
            with contextlib.suppress(EngineNotReady):
                await self.engine_process.wait_ready()
                await self.lanes.resume()
                await self.engine_process.wait_down()

    async def _model(self) -> Path:
        """The model of the present data, trained now if it is not there; red flags and doctors do not wait for it."""
        while True:
            try:
                return await ensure_model(self.settings.engine_python, say=lambda line: log.info("training", line=line))
            except (TrainingFailed, OSError) as error:
                log.error("training.failed", error=place(error), again_in=60)
                await asyncio.sleep(60)

    def _begin(self, work: Awaitable[None], name: str) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                log.error("service.part_failed", part=name, error=place(error))

        self._tasks.append(asyncio.create_task(guarded(), name=name))

    async def stop(self) -> None:
        """Finish what is under way, then let everything go in the reverse order."""
        self.ticks.stop()
        await self.lanes.drain()
        await self.sender.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closing.aclose()

    def _world_is_new(self) -> None:
        """The demo was reset: forget the accounts that were, and empty the phones."""
        self.intake.forget_all()
        if self.settings.simulated:
            self._begin(self.simulator.reset(), "simulator-reset")

    # -- a message ---------------------------------------------------------------------------------------------------

    async def receive(self, inbound: Inbound, trace_id: str) -> Reply | None:
        """Store, triage, take the lane, and wait for what can be answered in time."""
        stored = await self.intake.store(_arrival(inbound, trace_id))
        key = {"id": stored.message_id, "received_at": stored.received_at}
        killpoints.reached("message.stored")
        if stored.fresh:
            try:
                await self.steps.triage(Message(**key, account_id=stored.account_id, trace_id=trace_id))
            except Exception as error:
                # It is stored; the sweep triages it before anything else is done with it.
                log.error("triage.postponed", error=place(error))
            killpoints.reached("message.triaged")
        self.lanes.wake(stored.account_id)
        if inbound.kind == "event" and inbound.event not in _WAITS_FOR_ANSWER:
            return None
        until = clock.real_now() + timedelta(seconds=4.0 if stored.fresh else 3.5)
        return await self.replies.wait(stored.message_id, until=until, settled=lambda: self._settled(stored.message_id))

    async def _which_are_settled(self, messages: Sequence[uuid.UUID]) -> list[bool]:
        statement = "select id from message where id = any(cast(:ids as uuid[])) and stage in ('queued', 'untriaged')"
        async with self.database.single() as connection:
            waiting = {row.id for row in await connection.execute(text(statement), {"ids": list(messages)})}
        return [message not in waiting for message in messages]

    # -- ticks -------------------------------------------------------------------------------------------------------

    async def _tick_ladder(self) -> None:
        async with self.database.transaction() as session:
            moved = await ladder.move_on_due(session, clock.now())
            killpoints.reached("ladder.moved")
        killpoints.reached("ladder.committed")
        if moved:
            self.sender.wake()

    async def _tick_followups(self) -> None:
        async with self.database.transaction() as session:
            for asking in await course.tick(session, clock.now(), may_write=self.sender.may_write):
                await checkins.put_in_lane(session, asking)
            killpoints.reached("followups.done")
        killpoints.reached("followups.committed")
        self.sender.wake()

    async def _tick_unreadable(self) -> None:
        async with self.database.transaction() as session:
            await unreadable.pass_on_silent(session, clock.now())

    async def _tick_idle(self) -> None:
        async with self.database.transaction() as session:
            await answering.return_idle(session, clock.now())

    async def _tick_rechecks(self) -> None:
        async with self.database.transaction() as session:
            asked = await rechecks.tick(session, clock.now())
            asked += await awaited.raise_silent(session, clock.now())
        if asked:
            self.sender.wake()

    async def _tick_claims(self) -> None:
        await release_dead_claims(self.database)
        await self.sender.recover()

    async def _tick_retention(self) -> None:
        async with self.database.connection() as connection:
            await migrate.make_partitions(connection)
            before = {"before": clock.now() - _KEPT}
            await connection.execute(text("delete from received where received_at < :before"), before)
            await connection.execute(text("delete from action_result where at < :before"), before)
        async with self.database.transaction() as session:
            await forget_unconsented(session, clock.now())

    # -- routes ------------------------------------------------------------------------------------------------------

    async def _health(self) -> dict[str, bool]:
        async def answers(check: Awaitable[Any]) -> bool:
            try:
                async with asyncio.timeout(2):
                    return await check is not False
            except Exception:
                return False

        database, redis, engine = await asyncio.gather(
            answers(self.database.ping()), answers(self.redis.ping()), answers(self.engine.ready())
        )
        return {"database": database, "redis": redis, "engine": engine}

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = all((await self._health()).values())
        return web.Response(text="ready" if ready else "not ready", status=200 if ready else 503)

    async def _readyz_detailed(self, _request: web.Request) -> web.Response:
        health = await self._health()
        return web.json_response(health, status=200 if all(health.values()) else 503)

    async def _to_phones(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(str(URL(f"{self.simulator.url}/phones").with_query(request.query)))

    async def _move_clock(self, request: web.Request) -> web.Response:
        moved = await request.json()
        await demo_clock.move(self.database, float(moved["offset_seconds"]))
        for name in ("ladder", "rechecks", "followups", "unreadable", "idle", "lanes"):
            await self.ticks.now(name)
        return web.json_response({"now": clock.now().isoformat()})


def _arrival(inbound: Inbound, trace_id: str) -> Arrival:
    body = {
        "text": inbound.text,
        "event_key": inbound.event_key,
        "media_id": inbound.media_id,
        "menu_id": inbound.menu_id,
        "scene": inbound.scene,
        "template_msg_id": inbound.template_msg_id,
        "template_status": inbound.template_status,
        "place": inbound.place,
        "url": inbound.url,
    }
    event = inbound.event or ("menu_tap" if inbound.menu_id else None)
    kept = {name: value for name, value in body.items() if value}
    return Arrival(inbound.openid, inbound.msg_id, inbound.kind, event, kept, trace_id)


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="alive")


async def _arm(request: web.Request) -> web.Response:
    wish = await request.json()
    killpoints.arm(str(wish["point"]), at=int(wish.get("at", 1)))
    return web.Response(text="armed")


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4"})


def _templates(chosen: Settings) -> dict[str, Template]:
    named = {
        "alert": chosen.wechat_template_alert,
        "doctor_answer": chosen.wechat_template_answer,
        "invitation": chosen.wechat_template_checkin,
        "checkin": chosen.wechat_template_checkin,
    }
    if chosen.simulated:
        named = {**demo.TEMPLATES, **{kind: given for kind, given in named.items() if given}}
    return {kind: Template.parse(given) for kind, given in named.items() if given}


def _value(secret: Any) -> str:
    return secret.get_secret_value() if secret is not None else ""


def _text(url: Any) -> str | None:
    return str(url) if url is not None else None


async def serve(configured: Settings) -> None:
    """Run until told to stop."""
    # Before anything is started: a second start of the same place must not touch the servers of the first.
    refuse_taken(configured.host, configured.port, "PORT")
    service = Service(configured)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopping.set)
    try:
        await service.start()
        print(f"ready to receive: {configured.page_url}/wechat", flush=True)
        if configured.simulated:
            print(f"  open the phones: {configured.page_url}/phones", flush=True)
            print(f"  staff log in at: {configured.page_url}/login (zhou / {PASSWORD})", flush=True)
        await stopping.wait()
    finally:
        await service.stop()


def main() -> int:
    """Start; 2 with one sentence for each thing that is wrong."""
    logs.configure(json=not sys.stderr.isatty())
    try:
        uvloop.run(serve(settings.read()))
    except SettingsRefused as refused:
        print(f"settings refused:\n{refused}", file=sys.stderr)
        return 2
    except (PortTaken, embedded.DiskFull) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
