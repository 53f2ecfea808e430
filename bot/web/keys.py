"""What the pages need of the application, and what they ask of WeChat's page login."""

import asyncio
from typing import Protocol

from aiohttp import web

from bot.settings import Settings
from bot.store.channel import Channel
from bot.store.database import Database


class Login(Protocol):
    """WeChat's page login, as `bot.wechat.client.WeChat` offers it."""

    def oauth_url(self, redirect: str, state: str) -> str:
        """Where to send the visitor, so that they come back to `redirect` with a code and this `state`."""

    async def oauth_openid(self, code: str) -> str:
        """Whose code it is. Whatever it raises means: start the login again."""


DATABASE = web.AppKey("database", Database)
CHANNEL = web.AppKey("channel", Channel)
SETTINGS = web.AppKey("settings", Settings)
WECHAT_LOGIN = web.AppKey[Login | None]("wechat_login")
# Argon2 takes 64 MB and a core for a tenth of a second: a burst of log-ins must not take the machine.
HASHING = web.AppKey("hashing", asyncio.Semaphore)
