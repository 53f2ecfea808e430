"""Dates as people say them: 「昨天」「上周三」「11月20号」「三天前」.

A date of a result lies in the past: a month and day without a year is its last occurrence, a bare weekday the last such
day. A weekday with 上周 is one of the calendar week (Monday to Sunday) before this one.
"""

# ruff: noqa: E501 (a pattern reads better in one line a case)
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from bot.language.normal import normalise
from bot.language.numerals import NUMERAL, read_integer

_DAYS = {"今": 0, "昨": -1, "前": -2, "大前": -3, "大大前": -4, "明": 1, "后": 2, "大后": 3}
_WEEKDAYS = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6, "末": 5}
_WEEKDAYS |= {str(number): number - 1 for number in range(1, 8)}
_UNITS = {"天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7}

_PATTERN = re.compile(
    rf"""
    (?P<ymd>(?<!\d)(?P<y>20\d\d|\d\d(?=年))\s?[年.\-/]\s?(?P<m>\d{{1,2}})\s?[月.\-/]\s?(?P<d>\d{{1,2}})(?!\d)[日号]?)
    |(?P<md>(?:(?P<lastyear>去年)|今年)?(?<![\d.])(?P<m2>\d{{1,2}}|十[一二]?|[一二三四五六七八九])月(?:份)?(?P<d2>\d{{1,2}}|{NUMERAL})[日号]?(?![\d周个]))
    |(?P<slash>(?<![\d.\-/])(?P<m3>1[0-2]|0?[1-9])[/\-](?P<d3>3[01]|[12]\d|0?[1-9])(?![\d.\-/%a-z])(?=[^\d]{{0,4}}(?:查|血|测|抽|化验|复查|plt|结果|号|日|$)))
    |(?P<dotted>(?<![^\s,;。!?])(?P<m6>1[0-2]|0?[1-9])\.(?P<d6>3[01]|[12]\d|0?[1-9])(?=[号日 ]?(?:查|血小板|抽|化验|复查|plt|结果)))
    |(?P<before>(?P<n>(?:\d{{1,3}}|{NUMERAL}|两))(?P<half>个?半)?(?P<unit>天|日|周|个?星期|个?礼拜|个月)(?:之|以)?前)
    |(?P<halfmonth>半个月(?:之|以)?前)
    |(?P<rel>(?P<word>大大前|大前|大后|今|昨|前|明|后)(?:天|日|晚上?|早上?|夜|儿(?:个)?)(?!后))
    |(?P<week>(?P<which>上上|上|这|本|下)(?:一)?个?(?:周|星期|礼拜)(?P<day>[一二三四五六日天末1-7])(?![0-9一二三四五六七八九十]*(?:次|天|片|粒)))
    |(?P<bare>(?<![上下这本每个一两二三四五六七八九十\d])(?:周|星期|礼拜)(?P<day2>[一二三四五六日天末1-7])(?![一二三四五六七八九十\d]*(?:次|天|片|粒|岁)))
    |(?P<dayonly>(?<![\d月.\-/])(?P<d4>3[01]|[12]\d|[1-9])号(?!楼|线|床|诊室|窗口|房|院|方|药|码)(?=[^\d]{{0,5}}(?:查|血|测|抽|化验|复查|plt|结果|去|在|做|住院|$|[,。 ])))
    |(?P<monthday>(?P<which2>上上|上|这|本)个?月(?P<d5>3[01]|[12]\d|[1-9])[号日])
    |(?P<feast>国庆(?:节)?那天|元旦那天|五一那天)
    |(?P<morning>(?<![每天的,]天)(?<!每)(?:早上|早晨|上午|凌晨|中午|下午|刚刚)(?![\d一二两三四五六七八九十各半]|空腹|吃|服|饭|和晚|晚|起床后吃))
    |(?P<now>刚刚|刚才|刚(?=[查抽测做拿出])|现在(?=[^,。]{0, 4}\d)|目前(?=[^,。]{0, 4}\d))
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Mention:
    """A date in a text: `text[start:end]` of the normalised text said `day`."""

    day: date
    start: int
    end: int


def mentions(text: str, *, today: date) -> Iterator[Mention]:
    """All dates of a normalised text, in order. Dates that do not exist are passed over."""
    for found in _PATTERN.finditer(text):
        try:
            day = _resolve(found, today)
        except (ValueError, OverflowError):
            continue
        if day is not None:
            yield Mention(day, found.start(), found.end())


def read_date(text: str, *, today: date) -> date | None:
    """The latest date a message speaks of that is not in the future, or None.

    「半个月前」 and other round distances in months are no dates of a result and give None.
    """
    plain = normalise(text)
    return max((mention.day for mention in mentions(plain, today=today) if mention.day <= today), default=None)


def _resolve(found: re.Match[str], today: date) -> date | None:
    group = found.groupdict()
    if group["ymd"]:
        year = int(group["y"])
        return date(year if year > 99 else 2000 + year, int(group["m"]), int(group["d"]))
    if group["md"]:
        day = _last(today, read_integer(group["m2"]), read_integer(group["d2"]))
        return day.replace(year=today.year - 1) if group["lastyear"] else day
    if group["slash"]:
        return _last(today, int(group["m3"]), int(group["d3"]))
    if group["dotted"]:
        return _last(today, int(group["m6"]), int(group["d6"]))
    if group["before"]:
        unit = group["unit"].removeprefix("个")
        if unit == "月" or group["half"]:
            return None
        return today - timedelta(days=read_integer(group["n"]) * _UNITS[unit])
    if group["rel"]:
        return today + timedelta(days=_DAYS[group["word"]])
    if group["week"]:
        monday = today - timedelta(days=today.weekday())
        shift = {"上上": -14, "上": -7, "这": 0, "本": 0, "下": 7}[group["which"]]
        return monday + timedelta(days=shift + _WEEKDAYS[group["day"]])
    if group["bare"]:
        return today - timedelta(days=(today.weekday() - _WEEKDAYS[group["day2"]]) % 7)
    if group["dayonly"]:
        number = int(group["d4"])
        month = today.replace(day=1)
        if number > today.day:
            month = (month - timedelta(days=1)).replace(day=1)
        return month.replace(day=number)
    if group["monthday"]:
        month = today.replace(day=1)
        for _ in range({"上上": 2, "上": 1}.get(group["which2"], 0)):
            month = (month - timedelta(days=1)).replace(day=1)
        return month.replace(day=int(group["d5"]))
    if group["feast"]:
        return _last(today, *{"国": (10, 1), "元": (1, 1), "五": (5, 1)}[group["feast"][0]])
    if group["now"] or group["morning"]:
        return today
    return None


def _last(today: date, month: int, day: int) -> date:
    this_year = date(today.year, month, day)
    return this_year if this_year <= today else date(today.year - 1, month, day)
