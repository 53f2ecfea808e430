"""Times, states and counts in the words people use."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from bot import clock
from bot.care.consultations.states import Level, Stage
from bot.care.records import Count
from bot.language.counts import format_count
from bot.outbox.rows import State

_WEEKDAYS = "一二三四五六日"
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# Never by colour alone: each level has its word and its shape.
SHAPES = {Level.EMERGENCY: "▲", Level.URGENT: "◆", Level.ROUTINE: "○"}
STAGES = {Stage.QUEUED: "等待认领", Stage.CLAIMED: "处理中", Stage.ANSWERED: "已回复", Stage.CLOSED: "已结束"}

_DELIVERY = {
    State.PENDING: "正在发送",
    State.PASSIVE_CLAIMED: "正在发送",
    State.SENDING: "正在发送",
    State.SENT_PASSIVE: "已送达",
    State.SENT_ACTIVE: "已送达",
    State.SENT_TEMPLATE: "已发通知，患者点开可看全文",
    State.PARKED: "等患者下次发消息时送达",
    State.MAYBE_SENT: "可能已送达：微信没有应答",
    State.FAILED: "发送失败",
    State.SUPERSEDED: "已由后来的消息代替",
}
_WHY_FAILED = {"not_following": "患者已取消关注，请打电话联系", "unreachable": "微信联系不到患者，请打电话联系"}


def exact(moment: datetime) -> str:
    """The full date and minute, Chinese time: 「2026年11月24日 周二 14:03」."""
    local = clock.local(moment)
    return f"{local.year}年{local.month}月{local.day}日 周{_WEEKDAYS[local.weekday()]} {local:%H:%M}"


def day(on: date) -> str:
    """A date as people say it: 「3月4日 周三」, with its year when it is another one."""
    year = f"{on.year}年" if on.year != clock.today().year else ""
    return f"{year}{on.month}月{on.day}日 周{_WEEKDAYS[on.weekday()]}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, as people say it: 「12分钟前」, 「昨天 14:03」."""
    passed, local, today = now - moment, clock.local(moment), clock.local(now).date()
    if passed < _MINUTE:
        return "刚刚"
    if passed < _HOUR:
        return f"{passed // _MINUTE}分钟前"
    if local.date() == today:
        return f"{passed // _HOUR}小时前"
    if local.date() == today - _DAY:
        return f"昨天 {local:%H:%M}"
    if local.year == today.year:
        return f"{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local.year}年{local.month}月{local.day}日"


def lasting(passed: timedelta) -> str:
    """A length of time: 「1小时5分钟」, 「3天」."""
    if passed < _MINUTE:
        return "不到1分钟"
    if passed < _HOUR:
        return f"{passed // _MINUTE}分钟"
    if passed < _DAY:
        minutes = passed % _HOUR // _MINUTE
        return f"{passed // _HOUR}小时" + (f"{minutes}分钟" if minutes else "")
    hours = passed % _DAY // _HOUR
    return f"{passed // _DAY}天" + (f"{hours}小时" if hours and passed < 3 * _DAY else "")


def left(until: datetime | None, now: datetime) -> str:
    """Time that is left to answer: 「还剩18分钟」, or by how much it is overdue."""
    if until is None:
        return ""
    return f"还剩{lasting(until - now)}" if until > now else f"已超时{lasting(now - until)}"


def pressing(opened: datetime, until: datetime | None, now: datetime) -> str:
    """`calm`, `soon` (the last quarter) or `over`: how the clock of a question is drawn."""
    if until is None:
        return "calm"
    if now >= until:
        return "over"
    return "soon" if until - now < (until - opened) / 4 else "calm"


def delivery(state: State, reason: str | None) -> str:
    """What became of a message to the patient."""
    words = _DELIVERY[state]
    return f"{words}：{_WHY_FAILED.get(reason or '', '请打电话联系患者')}" if state is State.FAILED else words


def count(one: Count) -> str:
    """A count in both notations, 「约」 before it when the patient's words were not exact."""
    return ("约" if one.approximate else "") + format_count(one.value)


def phase(diagnosed_on: date | None, on: date) -> str:
    """The phase of the disease by days since diagnosis (clinical brief, 1.3): 0–89, 90–364, from 365."""
    if diagnosed_on is None or diagnosed_on > on:
        return "未登记诊断日期"
    days = (on - diagnosed_on).days
    return "新诊断" if days < 90 else "持续性" if days < 365 else "慢性"


def sex(code: str | None) -> str:
    """As it is written in a record."""
    return {"f": "女", "female": "女", "m": "男", "male": "男"}.get(code or "", code or "性别未登记")


def course(counts: Sequence[Count]) -> str:
    """How the last count stands to the one before: 「比上次低12」."""
    if len(counts) < 2:
        return ""
    change = counts[-1].value - counts[-2].value
    if change == 0:
        return "与上次相同"
    return f"比上次{'高' if change > 0 else '低'}{abs(change):g}"
