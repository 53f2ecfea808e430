"""`make smoke`: plays the story of one patient over the real protocol, prints the transcript, fails when a line is missing.

The simulated WeChat runs here, the service as a process of its own, which is killed in the middle. With DATABASE_URL and
REDIS_URL set, the service uses those servers.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable
from datetime import datetime, time, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot import clock
from bot.demo.browser import StaffBrowser
from bot.demo.stage import NotUp, Stage, stage
from bot.demo.world import PASSWORD
from bot.simulator.browser import Browser
from bot.simulator.history import Channel, Message
from bot.simulator.phone import Phone
from bot.simulator.push import Outcome
from bot.store import embedded
from bot.store.database import Database
from bot.store.vault import Vault

PATIENT, DOCTOR, LOGIN = "小林", "周医生", "zhou"


class LineMissing(Exception):
    """A line of the story did not come; the text says which."""


class Story:
    """Plays and checks, line by line."""

    def __init__(self, on: Stage, database: Database) -> None:
        self.on = on
        self.database = database
        self.lines = 0

    # -- telling -----------------------------------------------------------------------------------------------------

    def scene(self, title: str) -> None:
        """A heading."""
        print(f"\n── {title}", flush=True)

    def expect(self, what: str, truth: bool) -> None:
        """One checked line."""
        self.lines += 1
        print(f"   {'✓' if truth else '✗'} {what}", flush=True)
        if not truth:
            raise LineMissing(what)

    async def says(self, phone: Phone, words: str, *parts: str, seconds: float = 5.0) -> Outcome:
        """The patient says something; the passive reply must hold all parts."""
        print(f"   {phone.name}：{words}", flush=True)
        outcome = await phone.says(words)
        _print_reply(outcome)
        for part in parts:
            self.expect(f"被动回复里有「{part}」", part in outcome)
        self.expect(f"{seconds:g} 秒内应答", outcome.seconds < seconds and not outcome.failed)
        return outcome

    async def hears(self, phone: Phone, part: str, *, since: int | None = None, within: float = 20) -> Message:
        """A phone must hear this, at the latest so many seconds from now."""
        try:
            message = await phone.waits_for(part, within=within, since=since)
        except TimeoutError:
            raise LineMissing(f"{phone.name}没有收到「{part}」") from None
        print(f"   {phone.name} ← [{message.channel}] {_flat(message.words())}", flush=True)
        self.expect(f"{phone.name}收到「{part}」", True)
        return message

    async def one(self, query: str, **values: object) -> object:
        """One value from the database."""
        async with self.database.connection() as connection:
            return await connection.scalar(text(query), values)


def _flat(words: str) -> str:
    return " / ".join(line.strip() for line in words.splitlines() if line.strip())[:200]


def _print_reply(outcome: Outcome) -> None:
    shown = _flat(outcome.text) if outcome.text else "（没有被动回复）"
    print(f"     → {shown}  [{outcome.seconds * 1000:.0f} ms]", flush=True)


async def play(story: Story) -> None:
    """The whole story."""
    patient, doctor = story.on.phone(PATIENT), story.on.phone(DOCTOR)
    await _arrives(story, patient)
    await _asks(story, patient)
    staff = await _doctor_answers(story, patient, doctor)
    await _emergency(story, patient, doctor, staff)
    await _check_in(story, patient)
    await _invitation(story, patient)


async def _arrives(story: Story, patient: Phone) -> None:
    story.scene("1 关注、说明、同意")
    outcome = await patient.follows()
    _print_reply(outcome)
    story.expect("说明自己是智能助手、不是医生", "智能助手" in outcome and "不是医生" in outcome)
    await story.says(patient, "血小板低能不能打篮球", "篮球")
    await story.says(patient, "艾曲泊帕要不要加量", "同意")
    story.expect(
        "未同意时没有任何咨询", await story.one("select count(*) from consultation where person_id is null") == 0
    )
    await story.says(patient, "同意", "谢谢")


async def _asks(story: Story, patient: Phone) -> None:
    story.scene("2 常识由知识库回答，记下是哪一版")
    await story.says(patient, "血小板低能不能打篮球", "篮球", "看完整说明")
    answered = (
        "select count(*) from faq_answered a join faq_revision r on r.id = a.revision_id where r.state = 'published'"
    )
    story.expect("记下了回答所用的版本", int(str(await story.one(answered))) >= 1)

    story.scene("3 数值入病历，剂量问题转医生")
    await story.says(patient, "我早上血小板 2.3万，艾曲泊帕要不要加量", "23 ×10⁹/L（2.3万）", "周医生", "工作日内")
    stored = "select count(*) from observation where value = 23 and kind = 'platelet' and taken_on = :today"
    story.expect("存为今天的 23 ×10⁹/L", await story.one(stored, today=clock.today()) == 1)


async def _doctor_answers(story: Story, patient: Phone, doctor: Phone) -> StaffBrowser:
    story.scene("4 医生收到提醒，打开，认领，回复")
    alert = await story.hears(doctor, "患者提问", since=0)
    staff = StaffBrowser(Browser(doctor))
    await staff.log_in(story.on.app.url, LOGIN, PASSWORD)
    page = await staff.open(alert.url)
    story.expect("提醒的链接打开咨询页", page.status == 200)
    await staff.send("/claim")
    await story.hears(patient, "正在看您的问题")
    page = await staff.open(alert.url)
    story.expect("页面上有最近的血小板", "23 ×10⁹/L（2.3万）" in page.text)
    silent = await story.says(patient, "另外我有点鼻塞，要紧吗")
    story.expect("医生处理时助手不插话", not silent.text)
    since = patient.last_own_id
    await staff.open(alert.url)
    await staff.send("/answer", text="先不要自己加量，明天上午带化验单来门诊复查。")
    await story.hears(patient, "先不要自己加量", since=since)
    page = await staff.open(alert.url)
    story.expect("医生看到患者后来的话", "鼻塞" in page.text)
    await staff.send("/close", outcome="advised")
    await story.hears(patient, "智能助手继续陪您", since=since)
    return staff


async def _emergency(story: Story, patient: Phone, doctor: Phone, staff: StaffBrowser) -> None:
    story.scene("5 红旗：先急救，不经过引擎")
    since = doctor.history[-1].id
    outcome = await story.says(patient, "头疼得厉害，吐了两次", "120", seconds=1.0)
    story.expect("120 独占一行", "120" in [line.strip() for line in outcome.text.splitlines()])
    alert = await story.hears(doctor, "紧急", since=since)
    queue = await staff.open(story.on.app.url + "/doctor")
    first = queue.text.find("紧急")
    routine = queue.text.find("常规")
    story.expect("排在队列最上面", first >= 0 and (routine < 0 or first < routine))
    story.expect("短信或语音网关也收到", any(a["body"].get("level") == "紧急" for a in story.on.world.alerts))
    await story.says(patient, "现在好一点了，能先不去吗", "120")
    await staff.open(alert.url)
    await staff.send("/claim")
    await staff.open(alert.url)
    since = patient.last_own_id
    await staff.send("/answer", text="请马上去最近的急诊做头颅CT，我已经通知他们。")
    await story.hears(patient, "头颅CT", since=since)

    story.scene("6 医生开始随访，第二天由时钟发起")
    await staff.open(alert.url)
    page = await staff.send("/followup", plan="new_treatment", anchor=clock.today().isoformat())
    story.expect("随访开始", await story.one("select count(*) from followup_plan where ended_at is null") == 1)
    await staff.open(alert.url)
    page = await staff.send("/close", outcome="sent_to_emergency")
    story.expect("咨询结束", page.status == 200)
    await story.says(patient, "谢谢", "不客气")


async def _check_in(story: Story, patient: Phone) -> None:
    since = patient.history[-1].id
    await _move_to(story, days=1)
    await story.hears(patient, "最近一次血小板是多少", since=since, within=30)
    await story.says(patient, "查了，1.8万")
    question = await story.says(patient, "血小板低能不能打篮球", "篮球")
    story.expect("回答完常识，回到同一份随访", "有没有出血" in question)

    story.scene("7 断电，重新启动，接着说")
    before = len(patient.hears())
    # A reply that WeChat has and that is not noted yet would be sent again, rather than perhaps never: let it be noted.
    for _ in range(100):
        if not await story.one("select count(*) from outbox where state = 'passive_claimed'"):
            break
        await asyncio.sleep(0.05)
    await story.on.app.kill()
    print("   （服务被 SIGKILL）", flush=True)
    held = asyncio.create_task(patient.says("腿上有几个新的出血点"))
    await asyncio.sleep(0.2)
    await story.on.app.start()
    await story.on.app.alive(story.on.http, path="/readyz", within=90)
    await held
    await story.hears(patient, "谢谢", since=patient.last_own_id, within=60)
    heard = [message.words() for message in patient.hears()][before:]
    for words in heard:
        print(f"   {PATIENT} ← {_flat(words)}", flush=True)
    story.expect("没有丢，没有重复", len(heard) == len(set(heard)))
    answered = "select count(*) from checkin where state = 'answered' and answers_sealed is not null"
    story.expect("两个答案已存", await story.one(answered) == 1)
    worrying = "select count(*) from consultation where stage = 'queued' and level in ('urgent', 'emergency')"
    story.expect("让人担心的回答已转医生", int(str(await story.one(worrying))) >= 1)
    twice = "select count(*) from (select cause, kind, ordinal from outbox group by 1, 2, 3 having count(*) > 1) t"
    story.expect("没有一件事做了两次", await story.one(twice) == 0)
    questions = [m for m in patient.hears(since=since) if "最近一次血小板是多少" in m.words()]
    story.expect("随访的问题只问了一次", len(questions) == 1)


async def _invitation(story: Story, patient: Phone) -> None:
    story.scene("8 四天后：不能主动发消息，先邀请")
    await story.one("update consultation set stage = 'closed', closed_at = now() where stage <> 'closed' returning 1")
    await _move_to(story, days=6)
    invitation = await story.hears(patient, "随访提醒", since=patient.last_own_id, within=30)
    story.expect("用模板消息", invitation.channel is Channel.TEMPLATE)
    await patient.says("开始")
    await story.hears(patient, "最近一次血小板是多少", within=20)


async def _move_to(story: Story, *, days: int) -> None:
    """To half past ten in the morning, so many days from now, for everybody."""
    now = clock.local(story.on.world.clock.now())
    then = datetime.combine(now.date() + timedelta(days=days), time(10, 30), clock.SHANGHAI)
    await story.on.passes(seconds=(then - now).total_seconds())
    print(f"   （时钟拨到 {then:%m月%d日 %H:%M}）", flush=True)


async def _open_database(on: Stage, var_dir: Path) -> tuple[Database, Awaitable[None]]:
    server, address = None, on.app.environment.get("DATABASE_URL", "")
    if not address:
        server, address, _ = await asyncio.to_thread(embedded.start_postgres, var_dir)
    database = Database(address, Vault([bytes(32)]), pool_size=2)

    async def close() -> None:
        await database.close()
        if server is not None:
            await asyncio.to_thread(server.cleanup)

    return database, close()


async def run() -> int:
    """Play it; 0 when every line came."""
    own = "自己的" if os.environ.get("DATABASE_URL") else "随应用启动的"
    print(f"数据库和 Redis：{own}", flush=True)
    async with stage() as on:
        if (address := os.environ.get("DATABASE_URL")) is not None:
            await _fresh(address)
        await on.app.start()
        story = None
        try:
            await on.app.alive(on.http, path="/readyz", within=240)
            database, close = await _open_database(on, Path(on.app.environment["VAR_DIR"]))
            try:
                story = Story(on, database)
                await play(story)
            finally:
                await close
        except (LineMissing, NotUp) as missing:
            print(f"\n✗ {missing}\n\n{on.app.last_lines()}", file=sys.stderr)
            return 1
    print(f"\n✓ {story.lines} 行全部出现", flush=True)
    return 0


async def _fresh(address: str) -> None:
    """A story needs a database without a past. Refuses one that holds anybody but the demo's people."""
    name = make_url(address).database
    database = Database(address, Vault([bytes(32)]), pool_size=1)
    try:
        async with database.connection() as connection:
            known = await connection.scalar(text("select to_regclass('public.account')"))
            if known is not None and await connection.scalar(text("select count(*) from account")):
                raise NotUp(f"{name} already holds accounts; give `make smoke` an empty database")
    finally:
        await database.close()
