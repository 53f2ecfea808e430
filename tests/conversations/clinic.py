"""A clinic on a simulated WeChat: patients and doctors with phones, the real service, the real engine."""

import asyncio
import itertools
import re
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any

import psutil
from sqlalchemy import text

from bot import clock
from bot.demo.browser import StaffBrowser
from bot.demo.stage import Stage
from bot.demo.world import PASSWORD
from bot.simulator.browser import Browser, Page
from bot.simulator.history import Message
from bot.simulator.phone import Phone
from bot.simulator.push import Outcome
from bot.store.accounts import blind_openid
from bot.store.database import Database

LOGINS = {"周医生": "zhou", "李医生": "li", "王医生": "wang", "赵医生": "zhao"}
_LINK = re.compile(r'<a href="[^"]*">|</a>')
_TAG = re.compile(r"<[^>]*>")
_numbers = itertools.count(1)


@dataclass
class Patient:
    """Somebody with a phone of their own."""

    clinic: "Clinic"
    phone: Phone
    last: Outcome = field(default_factory=Outcome)

    async def follows(self) -> str:
        """Follow the account; the greeting."""
        return self._read(await self.phone.follows())

    async def says(self, words: str) -> str:
        """Write it; what is answered ("" for nothing), also where a busy machine answers too late for a passive reply."""
        return self._read(await self.phone.says(words)) or await self._late()

    async def _late(self) -> str:
        await self.outcomes()
        row = """select {} from outbox where passive_for =
            (select id from message where account_id = :account order by seq desc limit 1)"""
        if await self.one(row.format("count(*)")) == 0:
            return ""
        await self.clinic.until(
            lambda: self.one(row.format("bool_and(sent_at is not null or state = 'superseded')")), True
        )
        return "\n".join(said(message) for message in self.phone.hears(since=self.phone.last_own_id))

    async def taps(self, choice: str) -> str:
        """Tap a line of the newest message that offers it."""
        return self._read(await self.phone.taps_choice(choice))

    async def sends_photo(self) -> str:
        """Send a picture."""
        return self._read(await self.phone.sends_photo(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64)))

    async def sends_voice(self) -> str:
        """Send a voice message."""
        return self._read(await self.phone.sends_voice(b"#!AMR\n" + bytes(64)))

    async def sends(self, kind: str, xml: str) -> str:
        """Send any type of message, or an event."""
        return self._read(await self.phone.sends_raw(kind, xml))

    def _read(self, outcome: Outcome) -> str:
        self.last = outcome
        assert outcome.status == 200, f"the callback answered {outcome.status}: {outcome.reason}"
        assert not outcome.failed, outcome.reason
        return _LINK.sub("", outcome.text)

    async def hears(self, part: str, *, within: float = 15, since: int | None = None) -> Message:
        """A message that says this, after the patient's own last one (or after message `since`)."""
        try:
            return await self.phone.waits_for(part, within=within, since=since)
        except TimeoutError:
            heard = self.phone.hears(since=self.phone.last_own_id if since is None else since)
            raise AssertionError(f"{self.phone.name} did not hear 「{part}」 but {heard!r}") from None

    def heard(self, part: str) -> int:
        """How many messages of all time say this."""
        return sum(part in message.words() for message in self.phone.hears())

    @property
    def newest(self) -> int:
        """Where the chat stands now."""
        return self.phone.history[-1].id if self.phone.history else 0

    async def one(self, query: str) -> Any:
        """One value from the database; `:account` is this patient's account, `:person` the person."""
        return await self.clinic.one(query, openid=self.phone.openid)

    async def counts(self) -> list[float]:
        """The platelet counts that stand, in the order they were told."""
        query = (
            "select array_agg(value::float order by recorded_at) from observation"
            " where person_id = :person and kind = 'platelet' and withdrawn_at is null"
        )
        return await self.one(query) or []

    async def question(self) -> dict[str, Any]:
        """The newest consultation of this account."""
        found = await self.one(
            "select to_jsonb(c) from consultation c where account_id = :account order by opened_at desc limit 1"
        )
        assert found is not None, f"{self.phone.name} has no consultation"
        return dict(found)

    async def questions(self) -> int:
        """How many consultations this account has."""
        return int(await self.one("select count(*) from consultation where account_id = :account"))

    async def holder(self) -> str:
        """Who answers this account."""
        return str(await self.one("select holder from account where id = :account"))

    async def outcomes(self) -> list[str]:
        """What became of each message of the account, in order; waits until none is under way."""
        waiting = "select count(*) from message where account_id = :account and stage in ('untriaged', 'queued')"
        await self.clinic.until(lambda: self.one(waiting), 0)
        query = "select array_agg(coalesce(outcome, '') order by seq) from message where account_id = :account"
        return await self.one(query) or []


@dataclass
class Doctor:
    """A member of staff with a phone and a browser."""

    clinic: "Clinic"
    name: str
    phone: Phone
    browser: StaffBrowser
    url: str = ""

    async def opens_alert(self, patient: Patient) -> str:
        """Wait for the alert about this patient's question, and open its link; what stands there."""
        number = str((await patient.question())["number"])
        try:
            alert = await self.phone.waits_for(number, within=15, since=0)
        except TimeoutError:
            raise AssertionError(f"{self.name} was not alerted of question {number}") from None
        self.url = alert.url
        return await self.opens()

    async def opens(self, url: str | None = None) -> str:
        """Open the question (again), or another address, logging in where that is asked for; what stands there."""
        url = url or self.url
        page = await self.browser.open(url)
        if "/login" in page.url:
            await self.browser.log_in(self.clinic.stage.app.url, LOGINS[self.name], PASSWORD)
            page = await self.browser.open(url)
        assert page.status == 200, page.status
        return unescape(_TAG.sub("", page.text))

    async def claims(self) -> Page:
        """Take the question that is open."""
        return await self.browser.send("/claim")

    async def answers(self, words: str) -> Page:
        """Open it anew, and answer."""
        await self.opens()
        return await self.browser.send("/answer", text=words)

    async def closes(self, outcome: str = "advised") -> Page:
        """Open it anew, and end it."""
        await self.opens()
        return await self.browser.send("/close", outcome=outcome)

    async def takes(self, patient: Patient) -> None:
        """Open the alert of this patient, claim, and let the patient hear of it."""
        since = patient.newest
        await self.opens_alert(patient)
        await self.claims()
        await patient.hears("正在看您的问题", since=since)

    async def starts_followup(self, plan: str = "new_treatment") -> None:
        """Start a plan anchored today, from the question that is open."""
        await self.opens()
        day = clock.local(self.clinic.stage.world.clock.now()).date()
        await self.browser.send("/followup", plan=plan, anchor=day.isoformat())


@dataclass
class Clinic:
    """The stage and a look behind it."""

    stage: Stage
    database: Database
    doctors: dict[str, Doctor] = field(default_factory=dict)

    async def stranger(self) -> Patient:
        """Somebody new who follows the account and has not agreed to anything."""
        patient = Patient(self, self.stage.phone(f"病人{next(_numbers)}"))
        await patient.follows()
        return patient

    async def patient(self) -> Patient:
        """Somebody new who agreed."""
        patient = await self.stranger()
        assert "谢谢" in await patient.says("同意")
        return patient

    def doctor(self, name: str = "周医生") -> Doctor:
        """One of the demo's doctors; 周医生 has the platform's duty, day and night."""
        if name not in self.doctors:
            phone = self.stage.phone(name)
            self.doctors[name] = Doctor(self, name, phone, StaffBrowser(Browser(phone)))
        return self.doctors[name]

    async def passes(self, **span: float) -> None:
        """Move everybody's clock."""
        await self.stage.passes(**span)

    def today(self) -> str:
        """The day in China, ISO."""
        return clock.local(self.stage.world.clock.now()).date().isoformat()

    async def is_morning(self, *, days: int) -> None:
        """Move the clock to half past ten in the morning, so many days from now."""
        now = clock.local(self.stage.world.clock.now())
        then = now.replace(hour=10, minute=30, second=0) + timedelta(days=days)
        await self.passes(seconds=(then - now).total_seconds())

    async def one(self, query: str, *, openid: str = "") -> Any:
        """One value from the database."""
        async with self.database.connection() as connection:
            values: dict[str, Any] = {}
            if openid:
                blind = blind_openid(self.database.vault, openid)
                account = "select id from account where openid_blind = :blind"
                values["account"] = await connection.scalar(text(account), {"blind": blind})
            if ":person" in query:
                person = "select person_id from acts_for where account_id = :account and chosen"
                values["person"] = await connection.scalar(text(person), values)
            used = {name: value for name, value in values.items() if f":{name}" in query}
            return await connection.scalar(text(query), used)

    async def until(self, ask: Any, wanted: Any, *, within: float = 15) -> None:
        """Until `ask()` is as wanted."""
        found = None
        try:
            async with asyncio.timeout(within):
                while (found := await ask()) != wanted:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"still {found!r}, not {wanted!r}, after {within} s") from None

    def engine(self) -> psutil.Process:
        """The engine's process."""
        assert self.stage.app.process is not None
        children = psutil.Process(self.stage.app.process.pid).children(recursive=True)
        return next(one for one in children if any("bot.engine" in part for part in one.cmdline()))

    async def outbox(self, kind: str, patient: Patient) -> dict[str, Any]:
        """The newest thing of this kind owed to a patient."""
        found = await patient.one(
            f"select to_jsonb(o) - 'content_sealed' from outbox o where account_id = :account and kind = '{kind}'"
            " order by seq desc limit 1"
        )
        assert found is not None, f"no {kind} was owed"
        return dict(found)


def said(message: Message) -> str:
    """What a person reads of a message, without addresses."""
    return _LINK.sub("", message.words())
