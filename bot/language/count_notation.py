"""How people write a count: the numbers of a text that could be one, each with its literal and its worst reading."""

# ruff: noqa: E501 (patterns and word lists)
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bot.language.numerals import NUMERAL, read_integer

Unit = Literal["sci", "wan", "qian", "micro", "few", "bare"]
Bound = Literal["lower", "upper", "approx"]


@dataclass(frozen=True)
class Notation:
    """A number at `text[start:end]`; `value` and `lowest` in 10⁹/L, `value` None where the words say none.

    `unit` is how it was written: powers of ten (sci), 万 (wan), 千 (qian), per microlitre (micro), 几千 and the like (few), bare.
    """

    word: str
    start: int
    end: int
    unit: Unit
    value: float | None
    lowest: float
    bound: Bound | None
    needs_confirmation: bool


_DIGITS = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?"
_CHINESE = "[一壹二两俩贰三叁四肆五伍六陆七柒八捌九玖十拾百零]"
_ABOUT = r"(?:左右|上下|的样子|差不多)"
_UP = r"(?:多|几|出头|以上|朝上|挂零)"
# What follows a number that is no count.
_FOREIGN = (
    r"(?:\s?(?:mg|毫克|片|粒|颗|支|针|ml|毫升|iu|u(?![lg])|单位|岁|周(?!围)|天|个?月|年|小时|分钟|分(?!之)|点|次|kg|公斤|斤|度|℃|°|楼|床|号|米|"
    r"厘米|cm|mm|fl|%|块|元|瓶|盒|袋|步|人(?!民)|公里|倍|页|克|g(?!/l)|滴|回|胎|代|级|期|科|路|层|栋|室|院|mmol|umol|pg|ng|μg|秒|个(?:月|多月|小时|星期|礼拜|孩子|人|疗程)|个半|"
    r"疗程|天|日|滴度|岁|型|阳|本|条|处|颗|包|杯|口|张|项|类|例|块|孕|种|期|章|栋))"
)
_MONEY_BEFORE = re.compile(r"(?:花|费|交|付|工资|押金|报销|价|钱|卖|收入|存款|欠|贷|借|[¥$￥])[了的是要约共掉去]{0,3}$")
_MONEY_AFTER = re.compile(r"\s?(?:块|元|人民币|钱|步|人|字|公里|里|米|粉丝|iu|u(?!l)|单位|股|卡|克|亩|吨|次|分之)")
_TOKEN = re.compile(
    rf"""
    (?P<sci>(?P<sn>{_DIGITS})\s?(?:[x*乘]以?\s?(?:10|十)\s?[\^~的]?\s?(?:(?P<exp>1[0-2]|[3-9九])(?!\d)\s?(?:次方|次幂)?|(?P<exp2>十二)次方)|e(?P<exp3>1[0-2]|[3-9]))\s?(?P<sper>/?\s?(?:u|μ|微)?(?:l|升)|/mm3)?)
    |(?P<micro>(?P<mn>{_DIGITS})\s?(?:个)?(?:(?P<kilo>k|g)\s?(?:/\s?(?:[uμ]?l|mm3))|(?P<k>k)(?![a-z])|/\s?(?:[uμ]l|微升|mm3|立方毫米)))
    |(?P<wrange>(?<![一二两三四五六七八九十百\d])(?P<wa>[一二两三四五六七八])(?P<wb>[二两三四五六七八九])(?P<wu>[万千])|(?<!从)(?<![\d.])(?P<wa2>\d+(?:\.\d+)?)(?P<wu1>[万千w])?(?:-|~|到|至)(?P<wb2>\d+(?:\.\d+)?)(?P<wu2>[万千w]))
    |(?P<wan>(?P<wn>{_DIGITS}|{NUMERAL})\s?(?:万|w(?![a-z]))(?:(?P<wq>[\d一二两三四五六七八九])千?(?P<wq2>[\d一二三四五六七八九])?(?![\d点个岁月天年片次号粒周]))?)
    |(?P<qian>(?P<qn>{_DIGITS}|{NUMERAL})\s?千(?P<qh>[\d一二两三四五六七八九])?(?!克|米|卡|元|块|瓦|伏|里|步|万|金))
    |(?P<few>几[万千]|十几万|几十万|(?<![一二三四五六七八九])十几(?![天个年片岁次号粒周])|几十(?![天个年片岁次号粒周])|好几[万千]|上[万千](?!次)|个位数|测不[出到]来?|测不了)
    |(?P<range>(?<![\d.])(?<!从)(?<!由)(?P<ra>\d{{1,3}})\s?(?:-|~|到|至)\s?(?P<rb>\d{{1,3}})(?![\d.万千w/\-]))
    |(?P<crange>(?P<ca>[一二两三四五六七八])(?P<cb>[二三四五六七八九])十)
    |(?P<bare>(?:(?<=plt)|(?<![\d.\-/a-z]))(?<!\d:)(?P<bn>{_DIGITS})(?![\d]|[/:\-.]\d))
    |(?P<cn>(?P<cnn>{NUMERAL}))
    """,
    re.VERBOSE,
)
_UNDER = re.compile(r"(?:不到|低于|小于|<|≤|<=|不足|少于|没到|不满|没有到|未到)\s?=?$")
_OVER = re.compile(r"(?:超过|大于|>|≥|>=|高于|多于|不低于|至少)\s?=?$")
_AROUND = re.compile(r"(?:大概|大约|约|差不多|可能|好像|估计|也就|将近|接近|近)(?:是|有|在|就)?$")
_AFTER = re.compile(rf"\s?(?:(?P<up>{_UP})|(?P<about>{_ABOUT})|(?P<under>以下|以内|之下|都?不到|没到))")


def notations(words: str) -> Iterator[Notation]:
    """All numbers of a normalised text that could be a count, in order."""
    for found in _TOKEN.finditer(words):
        try:
            read = _read(found, words)
        except (ValueError, OverflowError):
            continue
        if read is not None and 0 <= read.lowest <= 2000:
            yield read


def _read(found: re.Match[str], words: str) -> Notation | None:
    start, end = found.start(), found.end()
    kind = found.lastgroup
    before = words[max(0, start - 8) : start]
    after = words[end : end + 8]
    if kind in {"wan", "qian", "few", "wrange"} and (_MONEY_BEFORE.search(before) or _MONEY_AFTER.match(words, end)):
        return None
    if found["sci"]:
        exponent = int(found["exp3"] or (12 if found["exp2"] else "9" if found["exp"] == "九" else found["exp"]))
        per_microlitre = bool(found["sper"]) and any(sign in found["sper"] for sign in ("u", "μ", "微", "mm3"))
        power = exponent - (3 if per_microlitre or (not found["sper"] and exponent < 6) else 9)
        return _bounded(found, words, "sci", _number(found["sn"]) * 10.0**power)
    if found["micro"]:
        value = _number(found["mn"])
        return _bounded(found, words, "micro", value if found["kilo"] or found["k"] else value / 1000)
    if found["wrange"]:
        factor = 1.0 if "千" in (found["wu"] or found["wu2"]) else 10.0
        low, high = _any(found["wa"] or found["wa2"]) * factor, _any(found["wb"] or found["wb2"]) * factor
        if found["wu"] and not low < high:
            return None
        return Notation(found.group(), start, end, "wan", None, min(low, high), "lower", False)
    if found["wan"]:
        value = _any(found["wn"]) * 10
        if found["wq"]:
            value += _any(found["wq"]) + (_any(found["wq2"]) / 10 if found["wq2"] else 0)
        return _bounded(found, words, "wan", value)
    if found["qian"]:
        value = _any(found["qn"]) + (_any(found["qh"]) / 10 if found["qh"] else 0)
        return _bounded(found, words, "qian", value)
    if found["few"]:
        return _few(found)
    if re.match(_FOREIGN, after):
        return None
    if found["range"]:
        low, high = _number(found["ra"]), _number(found["rb"])
        if low >= high:
            return (
                None if low == high else Notation(found["rb"], found.start("rb"), end, "bare", high, high, None, False)
            )
        return Notation(found.group(), start, end, "bare", None, low, "lower", False)
    if found["crange"]:
        low = read_integer(found["ca"]) * 10.0
        return Notation(found.group(), start, end, "bare", None, low, "lower", False)
    if found["bare"]:
        return _bare(found, words, found["bn"])
    word = found["cnn"]
    if len(word) == 1 and not _stands_alone(before, after):
        return None
    return _bare(found, words, str(read_integer(word)))


def _few(found: re.Match[str]) -> Notation:
    word = found.group()
    lowest = {"十几万": 100.0, "几十万": 100.0, "十几": 10.0, "几十": 20.0}.get(word, 10.0 if "万" in word else 1.0)
    bound: Bound = "lower"
    if word == "个位数" or "千" in word:
        bound = "upper"
    if word.startswith("测不"):
        lowest, bound = 0.0, "upper"
    return Notation(word, found.start(), found.end(), "few", None, lowest, bound, word.startswith("测不"))


def _bounded(found: re.Match[str], words: str, unit: Unit, value: float) -> Notation | None:
    value = round(value, 4)
    if value > 2000:
        return None
    return _with_bounds(found, words, unit, value, value, value > 600 or value == 0)


def _bare(found: re.Match[str], words: str, number: str) -> Notation | None:
    value = _number(number)
    # A number with leading zeros is that of a card or a file.
    if len(number) > 1 and number[0] == "0" and number[1] != ".":
        return None
    if len(number.replace(",", "").replace(".", "").strip("0")) > 5 or value >= 2_000_001:
        return None
    # Two decimals without a unit look like a date (11.23) or another laboratory value.
    if re.fullmatch(r"\d+\.\d{2,}", number) and value > 1:
        return None
    literal: float | None = value
    lowest, confirm = value, False
    if "." in number and value < 1000:
        literal, confirm = (None, True) if 0 < value < 1 else (value, True)
    elif value <= 15:
        confirm = True
    elif value <= 600:
        confirm = False
    elif value < 800:
        confirm = True
    elif value <= 1500:
        literal, lowest, confirm = None, value / 1000, True
    else:
        literal = lowest = round(value / 1000, 4)
        confirm = (value < 10_000 and value % 1000 != 0) or lowest > 600
    return _with_bounds(found, words, "bare", literal, lowest, confirm)


def _with_bounds(
    found: re.Match[str], words: str, unit: Unit, value: float | None, lowest: float, confirm: bool
) -> Notation | None:
    start, end = found.start(), found.end()
    before = words[max(0, start - 8) : start]
    after = _AFTER.match(words, end)
    bound: Bound | None = None
    if _UNDER.search(before) or (after and after["under"]):
        bound, value = "upper", None
        lowest = max(0.0, lowest - 1 if lowest >= 1 else 0.0)
    elif _OVER.search(before) or (after and after["up"]):
        bound, value = "lower", None
    elif _AROUND.search(before) or (after and after["about"]):
        bound = "approx"
    if after:
        end = after.end()
    if re.match(_FOREIGN, words[end : end + 8]):
        return None
    return Notation(words[start:end], start, end, unit, value, lowest, bound, confirm and value is not None)


def _stands_alone(before: str, after: str) -> bool:
    return bool(re.search(r"(?:板|plt|到|才|只有|是|剩|为|:)$", before)) and (not after or after[0] in " ,。!?;\n了")


def _number(word: str) -> float:
    return float(word.replace(",", ""))


def _any(word: str) -> float:
    return _number(word) if word[0].isdigit() else float(read_integer(word))
