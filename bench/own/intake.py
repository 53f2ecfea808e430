"""Our own intake alone, in one process: the real callback, the real store, with `TRIAGE=1` the real triage; no lanes."""

import asyncio
import contextlib
import os
import signal
import uuid

import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

import server
from bot import logs
from bot.dialogue.first_look import FirstLook
from bot.inbox.intake import Intake
from bot.inbox.messages import Message
from bot.store.database import Database
from bot.store.vault import Vault
from bot.wechat import callback
from bot.wechat.envelope import Envelope
from bot.wechat.messages import Inbound


async def main() -> None:
    """Serve until told to stop."""
    environment = os.environ
    database = Database(environment["DATABASE_URL"], Vault.of(environment["DATA_KEY"]), pool_size=20)
    intake = Intake(database, uuid.uuid4())
    first_look = FirstLook(database, woken=lambda: None)

    async def receive(inbound: Inbound, trace_id: str) -> None:
        stored = await intake.store(server._arrival(inbound, trace_id))
        if environment.get("TRIAGE") and stored.fresh:
            message = Message(
                id=stored.message_id,
                received_at=stored.received_at,
                account_id=stored.account_id,
                trace_id=trace_id,
            )
            await first_look.triage(message)

    envelope = Envelope(
        environment["WECHAT_APP_ID"], environment["WECHAT_TOKEN"], environment["WECHAT_AES_KEY"], "safe"
    )
    app = web.Application()
    app.add_routes(callback.routes(envelope, receive, metrics=callback.Metrics(CollectorRegistry())))
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(environment["PORT"]), backlog=512).start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await runner.cleanup()
    await database.close()


if __name__ == "__main__":
    logs.configure()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())
