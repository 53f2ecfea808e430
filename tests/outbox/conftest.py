"""A transport that records and does what the test says, beside the real database and the real delivery windows."""

import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot import clock
from bot.outbox.rows import Content, Kind, Outbox, State, owe
from bot.outbox.sender import Receiver, Result, Sender
from bot.store.accounts import Account, find_or_create
from bot.store.database import Database
from bot.wechat.delivery import Delivery


@dataclass
class Outside:
    """WeChat and the alert gateway: what reached them, in order, and what they answer next (`sent` unless told)."""

    reached: list[tuple[str, str, str]] = field(default_factory=list)
    answers: deque[Result] = field(default_factory=deque)
    templates: set[str] = field(default_factory=set)
    during: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._windows = Delivery(None, page_url="", templates={}, gateway_url=None)  # type: ignore[arg-type]

    def has_template(self, kind: str) -> bool:
        return kind in self.templates

    def window_open(self, receiver: Receiver, now: datetime) -> bool:
        return self._windows.window_open(receiver, now)

    async def send_text(self, receiver: Receiver, content: str, link: str | None) -> str:
        return await self._reached("text", receiver.openid, content)

    async def send_template(
        self, receiver: Receiver, kind: str, fields: dict[str, str], link: str, key: str
    ) -> tuple[str, str | None]:
        if kind not in self.templates:
            return Result.REFUSED, None
        word = await self._reached("template", receiver.openid, key)
        return word, f"id-{key}" if word == Result.SENT else None

    async def send_alert(self, fields: dict[str, str], link: str | None, key: str) -> str:
        return await self._reached("gateway", "", key)

    async def _reached(self, way: str, whom: str, what: str) -> str:
        self.reached.append((way, whom, what))
        if self.during is not None:
            await self.during()
        return self.answers.popleft() if self.answers else Result.SENT

    def texts(self) -> list[str]:
        return [what for way, _, what in self.reached if way == "text"]


@dataclass
class Post:
    """The outbox of a test: owe, send, look."""

    database: Database
    outside: Outside
    sender: Sender

    async def account(self, openid: str, *, wrote: timedelta | None = timedelta()) -> Account:
        """Somebody who last wrote so long ago (None: never)."""
        async with self.database.transaction() as session:
            found = await find_or_create(session, openid, now=clock.now())
            found.wrote_at = clock.now() - wrote if wrote is not None else None
            return found

    async def owes(self, account: Account | None, words: str, kind: Kind = Kind.ANSWER, **more: Any) -> uuid.UUID:
        fields = {"field": "value"} if kind in (Kind.ALERT, Kind.INVITATION, Kind.DOCTOR_ANSWER, Kind.GATEWAY) else None
        async with self.database.transaction() as session:
            row = await owe(
                session,
                account,
                kind,
                Content(words, fields),
                cause=words,
                **{"link": "/p" if fields else None, **more},
            )
        assert row is not None
        return row

    async def sends(self) -> None:
        """Deliver until nothing is due."""
        while await self.sender.send_due():
            pass

    async def row(self, row_id: uuid.UUID) -> Outbox:
        async with self.database.reading() as session:
            return await session.get_one(Outbox, row_id)

    async def states(self) -> list[State]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(Outbox.state).order_by(Outbox.seq)))

    async def ages(self, **span: float) -> None:
        """Claims and pauses run on real time, which nobody can move: the rows are made older instead."""
        async with self.database.connection() as connection:
            await connection.execute(
                update(Outbox).values(
                    claimed_at=Outbox.claimed_at - timedelta(**span), not_before=Outbox.not_before - timedelta(**span)
                )
            )


@pytest.fixture
def post(database: Database, now: datetime) -> Post:
    outside = Outside()
    return Post(database, outside, Sender(database, outside, uuid.uuid4()))
