"""Choices in the chat: numbered lines that can be tapped, or answered by typing the number or the words."""

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.accounts import Account
from bot.store.database import vault_of

MOST = 4


def lines(choices: Sequence[str]) -> str:
    """The lines as they stand in a passive text.

    >>> lines(["很急", "不急"]).splitlines()[1]
    '<a href="weixin://bizmsgmenu?msgmenucontent=%E4%B8%8D%E6%80%A5&msgmenuid=2">2. 不急</a>'
    """
    address = "weixin://bizmsgmenu?msgmenucontent={}&msgmenuid={}"
    return "\n".join(
        f'<a href="{address.format(quote(choice), number)}">{number}. {escape(choice)}</a>'
        for number, choice in enumerate(choices[:MOST], start=1)
    )


def offer(session: AsyncSession, account: Account, text: str, choices: Sequence[str]) -> str:
    """The text with its choices below, which are remembered so that a typed number is understood."""
    account.offer(vault_of(session), list(choices[:MOST]))
    return f"{text}\n\n{lines(choices)}" if choices else text
