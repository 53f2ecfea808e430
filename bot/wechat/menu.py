"""The menu below the chat."""

import asyncio
from typing import Any

import structlog

from bot.wechat.client import WeChat
from bot.wechat.errors import Unavailable, WeChatError

log = structlog.get_logger(__name__)

# WeChat may be away when we start; our own simulator takes a moment to listen.
_PAUSES = (0.5, 1, 2, 5, 15, 60, 300, 900)


def menu(page_url: str) -> dict[str, Any]:
    """Its buttons; those with a key come back to us as events, the others open pages."""
    return {
        "button": [
            {"type": "click", "name": "问医生", "key": "ask_doctor"},
            {"type": "view", "name": "我的记录", "url": f"{page_url}/p/record"},
            {
                "name": "更多",
                "sub_button": [
                    {"type": "click", "name": "怎么用", "key": "help"},
                    {"type": "view", "name": "随访", "url": f"{page_url}/p/checkins"},
                    {"type": "view", "name": "知情同意", "url": f"{page_url}/p/consent"},
                ],
            },
        ]
    }


async def make(wechat: WeChat, page_url: str) -> None:
    """Make the menu once WeChat answers; an account without that right goes without."""
    for pause in _PAUSES:
        try:
            await wechat.create_menu(menu(page_url))
        except Unavailable:
            await asyncio.sleep(pause)
        except WeChatError as error:
            log.warning("menu.not_made", code=error.code)
            return
        else:
            return
    log.warning("menu.not_made", code=None)
