"""Measured values and circumstances in a message: temperature, blood pressure, glucose, weeks of pregnancy, age."""

import re
from collections.abc import Callable

_TEMPERATURE = re.compile(
    r"(?:体温|发烧|发热|高烧|低烧|烧到?了?|热到|温度|量了?|测了?|切脾|脾|新冠|阳性|激素|环孢)[^,。\d]{0,6}(3[5-9]|4[0-2])(?:[.度点](\d)|度|℃)?(?!\d|[./]\d|mg|片|岁|万|天)"
    r"|(3[5-9]|4[0-2])(?:\.(\d))?(?:度|℃)(\d)?(?!\d)"
)
_PRESSURE = re.compile(
    r"(?:血压|高压|收缩压)[^,。\d]{0,6}(\d{2,3})(?:\s?/\s?(\d{2,3}))?|(?<!\d)(1[4-9]\d|2[0-4]\d)\s?/\s?(\d{2,3})(?!\d)"
)
_LOW_PRESSURE = re.compile(r"(?:低压|舒张压)[^,。\d]{0,4}(\d{2,3})")
_GLUCOSE = re.compile(r"(?:血糖|空腹|餐后|随机糖|糖)[^,。\d]{0,6}(\d{1,2}(?:\.\d{1,2})?)(?!\d|[mg岁年天片万])")
_HAEMOGLOBIN = re.compile(r"(?:血红蛋白|血色素|hgb|hb)[^,。\d]{0,6}(\d{2,3})(?!\d)")
_ALT = re.compile(r"(?:转氨酶|谷丙|谷草|alt|ast)[^,。\d]{0,6}(\d{2,4})(?!\d)")
_WEEKS = re.compile(r"(?:孕|怀孕|妊娠|怀了)[^,。\d]{0,3}(\d{1,2})\s?[周w+]|(\d{1,2})\s?周(?:孕|的?孕妇|产检)")
_MONTHS = re.compile(r"(?:孕|怀孕|妊娠|怀了)[^,。\d]{0,2}([1-9一二三四五六七八九])个多?月")
_AGE = re.compile(r"(?<![\d.])(\d{1,3})\s?(?:周岁|岁)(?!的时候|时|那年|就|开始|起|确诊|得)")
_BABY = re.compile(
    r"(\d{1,2}|[一二三四五六七八九十]|两|半)个?多?月(?:大|的?(?:宝宝|婴儿|娃|孩子|女儿|儿子))|(?:宝宝|婴儿|娃|孩子)(?:才|刚)?(\d{1,2}|[一二三四五六七八九])个多?月(?!前)"
)
_MINUTES = re.compile(
    r"(\d{1,3}|十|二十|三十|四十|十五|一刻|半)\s?(?:来|多|几)?个?(分钟|多分钟|小时|钟头|分(?![之数])|刻钟)"
)
_CHINESE = {"十": 10, "二十": 20, "三十": 30, "四十": 40, "十五": 15, "一刻": 15, "半": 0.5}


def measured(text: str, is_now: Callable[[tuple[int, int]], bool] = lambda span: True) -> dict[str, float]:
    """The values of a normalised text by the names conditions use; what is not said is absent.

    `is_now` tells whether what stands at a span is said of here and now; other measurements are passed over. Temperature
    in °C, pressures in mmHg, glucose in mmol/L, haemoglobin in g/L, alt in U/L, weeks of pregnancy, age in years, minutes
    of the longest duration named.
    """
    if not any(char.isdigit() or char in "一二三四五六七八九十半" for char in text):
        return {}
    values = {**_temperature(text, is_now), **_pressures(text, is_now)}
    for name, pattern in (("glucose", _GLUCOSE), ("haemoglobin", _HAEMOGLOBIN), ("alt", _ALT)):
        for found in pattern.finditer(text):
            if is_now(found.span()):
                values[name] = float(found[1])
                break
    if found_weeks := _WEEKS.search(text):
        values["weeks"] = float(found_weeks[1] or found_weeks[2])
    elif found_months := _MONTHS.search(text):
        month = found_months[1]
        values["weeks"] = (float(month) if month.isdigit() else "一二三四五六七八九".index(month) + 1.0) * 4
    if found_age := _AGE.search(text):
        values["age"] = float(found_age[1])
    elif _BABY.search(text):
        values["age"] = 0.5
    longest = 0.0
    for duration in _MINUTES.finditer(text):
        number = _CHINESE.get(duration[1]) or float(duration[1] if duration[1].isdigit() else 0)
        longest = max(longest, number * (60 if duration[2] in {"小时", "钟头"} else 1))
    if longest:
        values["minutes"] = longest
    return values


def _temperature(text: str, is_now: Callable[[tuple[int, int]], bool]) -> dict[str, float]:
    highest = 0.0
    for found in _TEMPERATURE.finditer(text):
        if is_now(found.span()):
            whole, part = found[1] or found[3], found[2] or found[4] or found[5]
            highest = max(highest, float(whole) + (float(part) / 10 if part else 0))
    return {"temperature": highest} if highest else {}


def _pressures(text: str, is_now: Callable[[tuple[int, int]], bool]) -> dict[str, float]:
    values = {}
    for found in _PRESSURE.finditer(text):
        high = float(found[1] or found[3])
        if is_now(found.span()) and 60 <= high <= 280:
            values["systolic"] = high
            if low := found[2] or found[4]:
                values["diastolic"] = float(low)
            break
    found_low = _LOW_PRESSURE.search(text)
    if found_low and is_now(found_low.span()):
        values["diastolic"] = float(found_low[1])
    return values
