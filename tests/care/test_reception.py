"""Triage of what came in: what an emergency, an urgent word, a stranger, a member of staff and a broken triage lead to."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from care.ward import Ward
from sqlalchemy import func, select, text

from bot import clock
from bot.care import judging
from bot.care.consultations.rows import Consultation
from bot.care.consultations.states import Level
from bot.care.rechecks import Recheck
from bot.care.roster import Part
from bot.care.triage import FlagLevel, judge
from bot.care.writers import who_wrote
from bot.dialogue import commands, reception
from bot.dialogue.reception import PASS_ON
from bot.inbox.messages import Message, Stage
from bot.outbox.rows import Kind, Outbox
from bot.store.accounts import Account, Holder
from bot.store.database import Database

RED = "头疼得厉害，吐了两次"


class Front:
    """The service's front on a database of its own: messages come in and are triaged."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.woken = 0

    @asynccontextmanager
    async def ward(self) -> Any:
        async with self.database.transaction() as session:
            yield Ward(session)

    async def hears(self, account: Account, words: str, **facts: Any) -> Message:
        """A message comes in and is judged; the row as it is afterwards."""
        async with self.ward() as ward:
            message = await ward.writes(account, words, **facts)
        return await self.triages(message)

    async def triages(self, message: Message) -> Message:
        await reception.triage_message(self.database, message, woken=self._wake)
        async with self.database.reading() as session:
            return await session.get_one(Message, (message.id, message.received_at))

    def _wake(self) -> None:
        self.woken += 1

    async def account(self, account: Account) -> Account:
        async with self.database.reading() as session:
            return await session.get_one(Account, account.id)

    async def count(self, table: Any, *conditions: Any) -> int:
        async with self.database.reading() as session:
            return int(await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0)

    async def consultation(self) -> Consultation | None:
        async with self.database.reading() as session:
            return (await session.scalars(select(Consultation))).one_or_none()


@pytest.fixture
async def front(database: Database, now: datetime) -> SimpleNamespace:
    front = Front(database)
    async with front.ward() as ward:
        hospital = await ward.hospital("江南一院")
        account, person = await ward.patient(hospital)
        stranger = await ward.account()
        doctor = await ward.staff("李慧", hospital, part=Part.DUTY)
    return SimpleNamespace(
        front=front, hospital=hospital, account=account, person=person, stranger=stranger, doctor=doctor
    )


async def test_an_emergency_writes_consultation_alarm_alerts_advice_and_rechecks(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.account, RED)
    question = await front.front.consultation()
    assert question is not None
    assert (message.stage, message.outcome, message.level) == (Stage.DONE, "emergency_advice", "emergency")
    assert message.consultation_id == question.id
    assert question.level is Level.EMERGENCY
    account = await front.front.account(front.account)
    assert (account.holder, account.holder_consultation_id) == (Holder.ALARM, question.id)
    assert await front.front.count(Recheck) == 2
    assert front.front.woken == 1
    async with front.front.ward() as ward:
        assert await ward.words(question, "patient") == [RED]
        assert len(await ward.alerts(front.doctor)) == 1
        assert await ward.calls(front.doctor) == 1
        [advice] = await ward.owed(front.account, Kind.ADVICE)
    assert "120" in [line.strip() for line in advice.splitlines()]


async def test_nothing_of_an_emergency_is_written_when_the_last_of_it_fails(front: SimpleNamespace) -> None:
    """The advice comes last: where it cannot be owed, there is no consultation without it, and it is tried again."""
    async with front.front.database.connection() as connection:
        await connection.execute(text("alter table outbox add constraint no_advice check (kind <> 'advice') not valid"))
    async with front.front.ward() as ward:
        message = await ward.writes(front.account, RED)
    with pytest.raises(Exception, match="no_advice"):
        await front.front.triages(message)
    assert await front.front.consultation() is None
    assert await front.front.count(Outbox) == await front.front.count(Recheck) == 0
    assert (await front.front.account(front.account)).holder is Holder.ASSISTANT
    async with front.front.database.connection() as connection:
        await connection.execute(text("alter table outbox drop constraint no_advice"))
    again = await front.front.triages(message)
    assert again.outcome == "emergency_advice"


async def test_the_count_of_an_emergency_is_recorded(front: SimpleNamespace) -> None:
    await front.front.hears(front.account, "今天血小板5千，牙龈一直出血")
    async with front.front.ward() as ward:
        assert [row.value for row in await ward.observations(front.person)] == [5.0]


async def test_triage_twice_does_everything_once(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.account, RED)
    before = await front.front.count(Outbox)
    await front.front.triages(message)
    assert await front.front.count(Outbox) == before
    assert await front.front.count(Consultation) == 1


async def test_an_urgent_word_is_with_the_doctors_before_anything_else_is_done(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.account, "今天血小板18")
    question = await front.front.consultation()
    assert question is not None
    assert (message.stage, message.level, question.level) == (Stage.QUEUED, "urgent", Level.URGENT)
    assert (await front.front.account(front.account)).holder is Holder.ASSISTANT


async def test_an_ordinary_message_waits_in_its_lane_and_alerts_nobody(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.account, "血小板低能不能打篮球")
    assert (message.stage, message.flag_level, message.level) == (Stage.QUEUED, "none", None)
    assert message.person_id == front.person.id
    assert await front.front.count(Consultation) == await front.front.count(Outbox) == 0


async def test_a_triage_that_breaks_goes_to_the_doctors_the_same_day(
    front: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken data")

    monkeypatch.setattr(judge, "triage", breaks)
    message = await front.front.hears(front.account, "血小板低能不能打篮球")
    question = await front.front.consultation()
    assert question is not None
    assert (message.level, question.level, question.reason) == ("urgent", Level.URGENT, "自动判断出错，请人工查看")


async def test_a_stranger_in_danger_is_advised_and_shows_no_words_until_passed_on(front: SimpleNamespace) -> None:
    await front.front.hears(front.stranger, RED)
    question = await front.front.consultation()
    assert question is not None
    assert question.person_id is None
    async with front.front.ward() as ward:
        assert await ward.words(question) == []
        account = await ward.session.get_one(Account, front.stranger.id)
        [advice] = await ward.owed(account, Kind.ADVICE)
        assert "120" in advice
        assert PASS_ON in advice
        platform_alerts = select(Outbox).where(Outbox.kind.in_((Kind.ALERT, Kind.GATEWAY)))
        for row in await ward.session.scalars(platform_alerts):
            assert row.staff_id is not None
        writer = await who_wrote(ward.session, account)
        said = await commands.consent(ward.session, writer, PASS_ON)
        assert said is not None
        assert "已把您刚才那句话转给" in said
        assert await ward.words(question, "patient") == [RED]


async def test_an_urgent_word_of_a_stranger_opens_nothing(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.stranger, "今天血小板18")
    assert message.level == "urgent"
    assert await front.front.consultation() is None


async def test_staff_who_write_are_not_triaged(front: SimpleNamespace) -> None:
    async with front.front.ward() as ward:
        account = await ward.session.get_one(Account, front.doctor.account_id)
    message = await front.front.hears(account, RED)
    assert (message.flag_level, message.stage) == ("none", Stage.QUEUED)
    assert await front.front.consultation() is None


async def test_staff_who_said_so_are_patients_for_an_hour(
    front: SimpleNamespace, at: Callable[[datetime], datetime]
) -> None:
    async with front.front.ward() as ward:
        account = await ward.session.get_one(Account, front.doctor.account_id)
        commands.from_staff(account, "以患者身份")
    assert (await front.front.hears(account, RED)).flag_level == "emergency"
    at(clock.now() + timedelta(minutes=61))
    assert (await front.front.hears(account, RED)).flag_level == "none"


async def test_what_the_doctors_were_told_already_does_not_alert_again(front: SimpleNamespace) -> None:
    await front.front.hears(front.account, "今天血小板18")
    async with front.front.ward() as ward:
        await judging.records.record_counts(ward.session, front.person, "今天血小板18", cause="m")
    for words in ("谢谢", "好的，我知道了", "血小板低能不能打篮球"):
        message = await front.front.hears(front.account, words)
        assert (message.flag_level, message.level) == ("none", None), words


async def test_what_the_record_knows_raises_what_is_said(front: SimpleNamespace) -> None:
    plain = await front.front.hears(front.account, "昨天撞了一下头，不痛")
    async with front.front.ward() as ward:
        await judging.records.record_counts(ward.session, front.person, "今天血小板9", cause="m")
    known = await front.front.hears(front.account, "刚刚又撞了一下头，不痛")
    assert FlagLevel.of(known.flag_level or "") >= FlagLevel.of(plain.flag_level or "")
    assert known.flag_level == "emergency"


async def test_words_split_over_two_messages_are_read_together(front: SimpleNamespace) -> None:
    first = await front.front.hears(front.account, "我头疼得厉害")
    second = await front.front.hears(front.account, "还吐了两次")
    assert "emergency" in (first.flag_level, second.flag_level)


async def test_with_nobody_on_duty_an_emergency_says_so_and_still_says_120(front: SimpleNamespace) -> None:
    async with front.front.ward() as ward:
        doctor = await ward.session.get_one(type(front.doctor), front.doctor.id)
        doctor.active = False
    await front.front.hears(front.account, RED)
    async with front.front.ward() as ward:
        [advice] = await ward.owed(front.account, Kind.ADVICE)
    assert "现在没有值班医生在线" in advice
    assert "120" in advice


async def test_the_alert_shows_the_flag_and_never_the_words(front: SimpleNamespace) -> None:
    await front.front.hears(front.account, RED)
    async with front.front.ward() as ward:
        account = await ward.session.get_one(Account, front.doctor.account_id)
        [alert] = await ward.owed(account, Kind.ALERT)
    assert "吐了两次" not in alert
    assert "【紧急】" in alert


async def test_the_marks_point_at_the_words_that_alarmed(front: SimpleNamespace) -> None:
    message = await front.front.hears(front.account, f"医生您好。{RED}")
    assert message.flags
    for start, end, flag in message.flags:
        assert flag
        assert 0 <= start < end <= len(f"医生您好。{RED}")
