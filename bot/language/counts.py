"""Platelet counts in free text, in 10⁹/L.

People type 「2.3万」「23」「两万三」「23×10^9/L」「23000」「23k」 for the same count, and a bare 「3」 may be 3 or 30. A reading
therefore carries both the value as understood and `lowest`, the worst one it can mean, which is the one that triage uses
until the patient has confirmed. The notations are in `count_notation.py`; here it is decided which numbers are counts.
"""

# ruff: noqa: E501 (word lists)
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from bot.language.count_notation import Notation, notations
from bot.language.dates import Mention, mentions
from bot.language.normal import normalise_keeping_offsets

Bound = Literal["lower", "upper", "approx"]
Role = Literal["current", "previous", "target"]

_PLATELET = r"(?<!大)(?<!均)(?:血[小晓笑少]{1}[板版扳坂办]|雪小[板版]|血板|小板|板子|板板|板儿|plt|血小板计数)(?!体积|压积|分布|比率|抗体|平均|生成素|减少症)"
_OTHER = (
    r"平均血小板体积|平均体积|血小板平均体积|血小板压积|压积|血小板分布宽度|分布宽度|大血小板比率|大血小板|mpv|pdw|pct|p-?lcr|"
    r"白细胞|白血球|wbc|红细胞|rbc|血红蛋白|血红旦白|血色素|hgb|hb|hct|crp|c反应蛋白|中性粒?细?胞?|淋巴细?胞?|单核|嗜酸|mcv|mch|"
    r"转氨酶|谷丙|谷草|alt|ast|胆红素|血糖|血压|高压|低压|收缩压|舒张压|体温|发烧|发热|烧到|尿酸|肌酐|尿素|网织|抗体|滴度|铁蛋白|"
    r"二聚体|病历号|住院号|门诊号|卡号|编号|床号|年龄|体重|身高|评分|心率|脉搏|电话|手机|微信|qq|孕|剂量|尿蛋白|浓度"
)
_SUBJECT = re.compile(rf"(?P<plt>{_PLATELET})|(?P<other>{_OTHER})")
_SENTENCE = re.compile(r"[。!?\n]")
# Directly before a number without the word for platelets: somebody who read it off a sheet.
_READ_OFF = re.compile(
    r"(?:查|抽血|验血|血常规|化验|复查|检验|检查|单子|报告|结果|指标|[掉降跌升涨冲飙](?:到|至|成|了)?|回升到)"
    r"(?:单|出来|完|了|的|上|显示|出|写|为|是|只有|才|就|还有|剩|有|到|在|又|:|,| |结果|血){0,6}$"
)
_DAY_THEN = re.compile(
    r"(?:今天|昨天|前天|今早|这次|上次|现在|周[一二三四五六日天]|号|日|院时|\))(?:是|的|查|查了|为|只有|才|就|剩|还有|有|还剩|:)?$"
)
_AFTER_VERB = re.compile(
    r"(?:[掉降跌升涨]到?|只有|才|仅|剩|查|测|复查|结果|是|到|:|为|=|有|了|在|第[一二三]次|这次|现在|今天)$"
)
_BLEEDS_AFTER = re.compile(r"(?:还|就|了|,|又)?(?:嘴|牙|鼻|便血|尿血|流鼻|流血|出血|血泡|没有?出血)")
_PREVIOUS = re.compile(
    r"上次|上回|之前|以前|原来|原先|上周|上个?月|上个?星期|上个?礼拜|去年|前年|大前年|曾经|发病时|当时|当初|那时|最低|最高|最好|当年|年轻时|刚确诊|确诊时|住院时|"
    r"小时候|年前|月前|周前|[春夏秋冬]天|前天|昨天|入院|出院|本来|一直以来"
)
_CURRENT = re.compile(r"现在|今天|今早|今日|目前|这次|这回|刚刚?|如今|最近一次|最新|今晚|今儿|今个")
_MOVED = re.compile(r"[掉降跌升涨变]到|[掉降变]成|到了?$|成了?$")
_LONG_AGO = re.compile(
    r"去年|前年|以前|小时候|当年|年轻时|年前|发病时|当时|当初|那时|住院时|曾经|确诊时|刚确诊|住院的时候|最低|最高"
)
_TARGET = re.compile(
    r"危急值\(?[<低小]|目标|标准|正常值|正常范围|参考|要求|至少要|需要|达到|多少|升到[^,。]{0,6}才|正常是|一般是|如果|要是|万一|假如|一旦|等到|什么时候|希望"
)
_TARGET_AFTER = re.compile(
    r"^[^,。!?]{0,8}(?:区别|差别|哪个好|有什么不同)|^(?:以上|以下)?[^,。!?\n]{0,4}(?:才能|才可以|才行|算正常|算低|就要|就得|为目标|是目标|会不会|的人|的患者|的病人|意味着)"
)
_UNDER_IN_QUESTION = re.compile(r"^[^,。!\n]{0,14}(?:吗|么|怎么办|会|能不能|可不可以|\?)")
_NOT = re.compile(r"(?:不是|并非|而不是|写错[^是]{0,4})$")


@dataclass(frozen=True)
class PlateletReading:
    """A platelet count in a text.

    `value` and `lowest` are in 10⁹/L; `value` is None where the words do not say one (a range, 「三十多」, 「不到两万」, 0.8 with
    no unit), `lowest` is the worst reading. `typed` is `text[start:end]` of the original text. `ambiguous` means that no
    value can be taken from it; `needs_confirmation` that the value is the literal one and may be ten times as much (or a slip),
    and must not be stored before the patient confirmed it. `taken_on` is the date named with it.
    """

    value: float | None
    lowest: float
    typed: str
    start: int
    end: int
    ambiguous: bool
    needs_confirmation: bool
    bound: Bound | None
    taken_on: date | None
    role: Role


def read_counts(text: str, *, today: date, expecting: bool = False) -> list[PlateletReading]:
    """The platelet counts of a message in order of their place; raises nothing, for any text.

    `expecting` tells that the assistant has just asked for the count, so that a lone number is one. Doses, ages, dates,
    telephone numbers and other laboratory values (MPV, PDW, 压积, 血红蛋白, ...) are not counts.
    """
    plain = normalise_keeping_offsets(text)
    words = plain.text
    if not any(char.isdigit() or char in "零一二两三四五六七八九十百千万几个测" for char in words):
        return []
    dated = list(mentions(words, today=today))
    subjects = [(found.start(), found.end(), found.lastgroup == "plt") for found in _SUBJECT.finditer(words)]
    starts = [start for start, _, _ in subjects]
    any_platelet = any(is_platelet for _, _, is_platelet in subjects)
    readings: list[PlateletReading] = []
    last_end = -1
    for number in notations(words):
        if any(day.start <= number.start < day.end for day in dated):
            continue
        about = _about(words, subjects, starts, number, any_platelet, expecting, last_end)
        if not about:
            continue
        last_end = number.end
        if _NOT.search(words[max(0, number.start - 8) : number.start]):
            continue
        start, end = plain.original(number.start, number.end)
        readings.append(
            PlateletReading(
                value=number.value,
                lowest=number.lowest,
                typed=text[start:end],
                start=start,
                end=end,
                ambiguous=number.value is None,
                needs_confirmation=number.needs_confirmation,
                bound=number.bound,
                taken_on=_taken_on(words, dated, number, today),
                role=_role(words, number),
            )
        )
    return _settle_roles(readings)


def current(readings: list[PlateletReading]) -> PlateletReading | None:
    """The reading that speaks of now: the last current one; where several current values contradict, one without value."""
    now = [reading for reading in readings if reading.role == "current"]
    if not now:
        return None
    values = {reading.value for reading in now}
    if len(values) > 1 and None not in values and len({reading.taken_on for reading in now}) == 1:
        return replace(now[-1], value=None, ambiguous=True, lowest=min(reading.lowest for reading in now))
    return now[-1]


def format_count(value: float) -> str:
    """A count in both notations, as it is shown everywhere.

    >>> format_count(23)
    '23 ×10⁹/L（2.3万）'
    """
    return f"{_short(value)} ×10⁹/L（{_short(value / 10)}万）"


def _short(value: float) -> str:
    return f"{round(value, 4):f}".rstrip("0").rstrip(".")


def _about(
    words: str,
    subjects: list[tuple[int, int, bool]],
    starts: list[int],
    number: Notation,
    any_platelet: bool,
    expecting: bool,
    last_end: int,
) -> bool:
    """Whether this number is a platelet count: by its unit, by the word before it, or by what it follows."""
    before = words[: number.start]
    at = bisect_right(starts, number.start) - 1
    if at >= 0:
        _, subject_end, is_platelet = subjects[at]
        gap = words[subject_end : number.start]
        if not is_platelet:
            near = not _SENTENCE.search(gap) and len(gap) <= 8
            if near and number.unit not in {"sci", "wan", "qian", "few"}:
                return False
            if near and number.unit in {"sci", "few"}:
                return False
            if near and re.search(
                r"白细?胞|wbc|中性|淋巴|单核|红细胞|rbc|孕|抗体|滴度", words[starts[at] : subject_end]
            ):
                return False
            if number.unit in {"wan", "qian"}:
                return True
            return any_platelet and bool(_AFTER_VERB.search(gap)) and len(gap) > 8
        if len(gap) <= 14 and not _SENTENCE.search(gap):
            return True
        # 「血小板低。今天查了23」
        if _AFTER_VERB.search(before) and len(gap) <= 40:
            return True
        if last_end >= 0 and number.start - last_end <= 8 and not _SENTENCE.search(words[last_end : number.start]):
            return True
    if before.endswith("是") and re.match(r",?(?:不是|而不是)", words[number.end :]):
        return True
    if before.endswith("从") and re.match(r"[掉降跌升涨]?到|一下子?[掉降]", words[number.end :]):
        return True
    if last_end >= 0 and re.search(r"从[^,。]{1,6}[掉降跌升涨]?到$", before):
        return True
    if re.fullmatch(r"(?:才|只有|就|刚查)?", before) and _BLEEDS_AFTER.match(words[number.end :]):
        return True
    # 「23的血小板」
    after = words[number.end : number.end + 6]
    if re.match(rf"(?:的|个|左右|这个)?{_PLATELET}", after) and not re.match(r"\s", after):
        return True
    if number.unit in {"wan", "qian", "sci"}:
        return True
    if number.unit == "few":
        return any_platelet or number.word in {"个位数"}
    boundary = (
        not after
        or after[0] in " ,。!?;\n、)了吧啊呢"
        or after.startswith(("怎么", "要", "能", "还", "正常", "没", "有", "今", "昨", "这", "现"))
    )
    if boundary and (_READ_OFF.search(before[-12:]) or _DAY_THEN.search(before[-8:])):
        return True
    if last_end >= 0 and number.start - last_end <= 8 and _AFTER_VERB.search(before):
        return True
    return expecting and words.strip(" ,。!?") == words[number.start : number.end]


def _role(words: str, number: Notation) -> Role:
    sentence_start = max((found.end() for found in _SENTENCE.finditer(words, 0, number.start)), default=0)
    before = words[sentence_start : number.start]
    after = words[number.end : number.end + 16]
    clause = before[max(before.rfind(","), before.rfind(";"), before.rfind(" ")) + 1 :]
    # 「低于30要住院吗」 asks about people, 「血小板才8要住院吗」 about oneself.
    if (
        number.bound == "upper"
        and _UNDER_IN_QUESTION.search(after)
        and not re.search(r"我|孩子|妈|爸|娃|宝宝|查|才|掉|降", before)
    ):
        return "target"
    if _TARGET.search(clause) or _TARGET_AFTER.search(after):
        return "target"
    if before.endswith(("从", "由")):
        return "previous"
    last_previous = max((found.end() for found in _PREVIOUS.finditer(before)), default=-1)
    last_current = max((found.end() for found in _CURRENT.finditer(before)), default=-1)
    if not _LONG_AGO.search(before):
        last_current = max((found.end() for found in _MOVED.finditer(before)), default=last_current)
    if last_previous > last_current:
        return "previous"
    # 「从56掉到18」: the first of the two is the older one.
    if last_current < 0 and re.match(r"[^,。]{0,3}(?:[掉降跌升涨]到|变成|一下子?[掉降])", after) and "到" not in clause:
        return "previous"
    return "current"


def _taken_on(words: str, dated: list[Mention], number: Notation, today: date) -> date | None:
    before = [
        day
        for day in dated
        if day.end <= number.start and not _SENTENCE.search(words[day.end : number.start]) and day.day <= today
    ]
    if before:
        return before[-1].day
    after = [
        day
        for day in dated
        if number.end <= day.start <= number.end + 3 and day.day <= today and words[day.start] not in "刚现目当"
    ]
    return after[0].day if after else None


def _settle_roles(readings: list[PlateletReading]) -> list[PlateletReading]:
    """Where every count is named as an earlier one, the latest dated within a fortnight of the others stands as it is."""
    if readings and all(reading.role == "previous" for reading in readings):
        dated = [reading for reading in readings if reading.taken_on is not None]
        if len(readings) == 1 and dated:
            # 「昨天血小板18」 is the current count, taken yesterday.
            return [replace(readings[0], role="current")]
        if dated:
            latest = max(dated, key=lambda reading: (reading.taken_on or date.min, reading.start))
            return [replace(reading, role="current") if reading is latest else reading for reading in readings]
    return readings
