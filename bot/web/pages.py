"""All pages, hung into an application: the staff's, the patients', and what they are dressed in."""

import asyncio

from aiohttp import web

from bot.settings import Settings
from bot.store.channel import Channel
from bot.store.database import Database
from bot.web import login
from bot.web.assets import serve_asset
from bot.web.doctor import acts, consultation, events, queue
from bot.web.keys import CHANNEL, DATABASE, HASHING, SETTINGS, WECHAT_LOGIN, Login
from bot.web.patient import login as patient_login
from bot.web.patient import pages as patient
from bot.web.protection import protected

_ONE = "/doctor/consultations/{id}"


def setup(
    app: web.Application, *, database: Database, channel: Channel, settings: Settings, wechat_login: Login | None
) -> None:
    """Add every page to the public application. The channel must be open when the application starts."""
    app[DATABASE], app[CHANNEL], app[SETTINGS], app[WECHAT_LOGIN] = database, channel, settings, wechat_login
    app[HASHING] = asyncio.Semaphore(2)
    app[events.LISTENERS] = events.Listeners()
    app.middlewares.append(protected)
    app.on_startup.append(events.start_listening)
    app.on_shutdown.append(events.stop_streams)
    app.on_cleanup.append(events.stop_listening)
    app.add_routes(
        [
            web.get("/assets/{digest}/{name}", serve_asset),
            web.get("/login", login.login_page),
            web.post("/login", login.log_in),
            web.post("/logout", login.log_out),
            web.get("/doctor", queue.queue),
            # A stream never ends by itself, so it must not answer HEAD.
            web.get("/doctor/events", events.events, allow_head=False),
            web.get(_ONE, consultation.consultation_page),
            web.get(_ONE + "/files/{file}", consultation.attachment),
            web.post(_ONE + "/claim", acts.claim),
            web.post(_ONE + "/answer", acts.answer),
            web.post(_ONE + "/note", acts.note),
            web.post(_ONE + "/release", acts.release),
            web.post(_ONE + "/close", acts.close),
            web.post(_ONE + "/followup", acts.follow),
            web.get("/p/back", patient_login.came_back),
            web.get("/p/answers/{id}", patient.answers),
            web.get("/p/checkins", patient.checkins),
            web.get("/p/record", patient.record),
            web.get("/p/consent", patient.consent),
            web.get("/p/faq/{topic}", patient.faq),
        ]
    )
