"""A small clinic on a real database, and browsers of its people."""

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from sqlalchemy import select

from bot import clock
from bot.care import patients, records
from bot.care.consultations.asking import Told, ask
from bot.care.consultations.rows import Consultation
from bot.care.consultations.states import Level
from bot.care.patients import Person
from bot.care.roster import Hospital, Part, Role, Shift, Staff
from bot.language.counts import read_counts
from bot.settings import Settings
from bot.store import accounts
from bot.store.accounts import Account
from bot.store.base import new_id
from bot.store.channel import Channel
from bot.store.database import Database
from bot.web import passwords
from bot.web.pages import setup

PASSWORD = "correct horse 电池"
_CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_HASHED = _CHEAP.hash(PASSWORD)


class LoginStale(Exception):
    """The code was used or has expired."""


@dataclass
class WeChatLogin:
    """WeChat's side of the page login: a code for each phone, good once."""

    codes: dict[str, str] = field(default_factory=dict)

    def oauth_url(self, redirect: str, state: str) -> str:
        return f"https://open.weixin.example/authorize?redirect_uri={redirect}&state={state}"

    async def oauth_openid(self, code: str) -> str:
        try:
            return self.codes.pop(code)
        except KeyError:
            raise LoginStale from None


class Clinic:
    """Hospitals, staff and patients, made through the use cases."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def hospital(self, name: str, level: int = 3) -> Hospital:
        hospital = Hospital(id=new_id(), name=name, level=level)
        async with self.database.transaction() as session:
            session.add(hospital)
        return hospital

    async def staff(
        self, login: str, name: str, hospital: Hospital | None, role: Role = Role.DOCTOR, *, on_duty: bool = False
    ) -> Staff:
        now = clock.now()
        member = Staff(
            id=new_id(),
            login=login,
            name=name,
            role=role,
            hospital_id=hospital.id if hospital else None,
            password_hash=_HASHED,
            active=True,
            created_at=now,
        )
        async with self.database.transaction() as session:
            session.add(member)
        if on_duty:
            assert hospital is not None
            await self.shift(member, hospital)
        return member

    async def shift(self, member: Staff, hospital: Hospital, part: Part = Part.DUTY) -> None:
        now = clock.now()
        shift = Shift(
            id=new_id(),
            hospital_id=hospital.id,
            staff_id=member.id,
            part=part,
            starts_at=now - timedelta(hours=4),
            ends_at=now + timedelta(hours=8),
        )
        async with self.database.transaction() as session:
            session.add(shift)

    async def patient(
        self, openid: str, name: str | None = None, hospital: Hospital | None = None, **facts: Any
    ) -> tuple[Account, Person]:
        async with self.database.transaction() as session:
            account = await accounts.find_or_create(session, openid, now=clock.now())
            person = await patients.give_consent(session, account)
            if name is not None:
                person.set_name(self.database.vault, name)
            person.hospital_id = hospital.id if hospital else None
            for key, value in facts.items():
                setattr(person, key, value)
        return account, person

    async def stranger(self, openid: str) -> Account:
        async with self.database.transaction() as session:
            return await accounts.find_or_create(session, openid, now=clock.now())

    async def counts(self, person: Person, *values: tuple[date, float]) -> None:
        async with self.database.transaction() as session:
            held = await session.get_one(Person, person.id)
            for on, value in values:
                reading = read_counts(f"{on.year}年{on.month}月{on.day}日血小板{value:g}×10^9/L", today=clock.today())[
                    0
                ]
                await records.record_count(session, held, reading, cause=f"test:{person.id}:{on}")

    async def asks(
        self,
        account: Account,
        person: Person | None,
        *texts: str,
        level: Level = Level.ROUTINE,
        reason: str = "用药问题",
        marks: tuple[Any, ...] = (),
        flags: tuple[str, ...] = (),
        at: datetime | None = None,
    ) -> uuid.UUID:
        now = at or clock.now()
        async with self.database.transaction() as session:
            held = await session.get_one(Account, account.id)
            about = await session.get_one(Person, person.id) if person is not None else None
            receipt = await ask(
                session,
                held,
                about,
                [Told(text, now, uuid.uuid4(), marks=marks) for text in texts],
                level=level,
                reason=reason,
                cause=f"message:{uuid.uuid4()}",
                flags=flags,
            )
            return receipt.consultation.id

    async def consultation(self, consultation_id: uuid.UUID) -> Consultation:
        async with self.database.reading() as session:
            return await session.get_one(Consultation, consultation_id)

    async def rows(self, table: Any, *where: Any) -> list[Any]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(table).where(*where)))


class Browser:
    """Somebody's browser: cookies of its own, forms filled from the page that was given."""

    def __init__(self, client: "TestClient[Any, Any]") -> None:
        self.client = client
        self.status = 0
        self.html = ""
        self.headers: Any = {}
        self.url = ""

    async def _took(self, response: aiohttp.ClientResponse) -> str:
        self.status, self.headers, self.url = response.status, response.headers, response.url.path_qs
        self.html = await response.text()
        return self.html

    async def opens(self, path: str, **more: Any) -> str:
        async with self.client.get(path, **more) as response:
            return await self._took(response)

    def hidden(self, name: str) -> str:
        """A hidden field of the page that is open."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.html)
        assert found is not None, f"no field {name} on {self.url}"
        return found[1]

    async def sends(self, path: str, **fields: str) -> str:
        async with self.client.post(path, data=fields) as response:
            return await self._took(response)

    async def logs_in(self, login: str, password: str = PASSWORD) -> str:
        await self.opens("/login")
        return await self.sends("/login", login=login, password=password, token=self.hidden("token"), next="/doctor")

    async def acts(self, consultation_id: uuid.UUID, act: str, **fields: str) -> str:
        """Open the question's page, then send one of its forms with the token it carries."""
        await self.opens(f"/doctor/consultations/{consultation_id}")
        carried = {name: self.hidden(name) for name in ("csrf", "form", "seen") if f'name="{name}"' in self.html}
        return await self.sends(f"/doctor/consultations/{consultation_id}/{act}", **(carried | fields))


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function with less of it: a hundred log-ins of full strength would take a minute of two cores."""
    monkeypatch.setattr(passwords, "_hasher", _CHEAP)


@pytest.fixture
def clinic(database: Database) -> Clinic:
    return Clinic(database)


@pytest.fixture
def wechat() -> WeChatLogin:
    return WeChatLogin()


@pytest.fixture
def settings() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.fixture
async def channel(database_url: str) -> AsyncIterator[Channel]:
    channel = Channel(database_url)
    await channel.open()
    yield channel
    await channel.close()


@pytest.fixture
async def server(
    database: Database, channel: Channel, settings: Settings, wechat: WeChatLogin
) -> AsyncIterator[TestServer]:
    app = web.Application()
    setup(app, database=database, channel=channel, settings=settings, wechat_login=wechat)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def browser(server: TestServer) -> AsyncIterator[Callable[[], Awaitable[Browser]]]:
    """Opens a new browser each time it is called."""
    opened: list[TestClient[Any, Any]] = []

    async def open_one() -> Browser:
        client: TestClient[Any, Any] = TestClient(server, cookie_jar=aiohttp.CookieJar(unsafe=True))
        await client.start_server()
        opened.append(client)
        return Browser(client)

    yield open_one
    for client in opened:
        await client.session.close()
