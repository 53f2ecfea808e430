"""Chinese numerals in running text: 「三十二」「二十」「两百」「廿五」; and digits."""

# ruff: noqa: E501 (patterns and word lists)
import re

_DIGITS = {char: number for number, chars in enumerate(("零〇", "一壹", "二两俩贰", "三叁仨", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")) for char in chars}  # fmt: skip
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100}
_SIGNS = "零〇一壹二两俩贰三叁仨四肆五伍六陆七柒八捌九玖十拾百佰"

NUMERAL = f"[{_SIGNS}]{{1,7}}"
"""A regular expression for a numeral below one thousand."""

_PLAIN = re.compile(r"\d+")


def read_integer(word: str) -> int:
    """The number below 10,000 that a word of digits or a Chinese numeral says.

    >>> read_integer("三十二"), read_integer("一百零五"), read_integer("一百二"), read_integer("三二"), read_integer("17")
    (32, 105, 120, 32, 17)

    Raises:
        ValueError: the word is no numeral.
    """
    if _PLAIN.fullmatch(word):
        return int(word)
    if not word or any(char not in _DIGITS and char not in _UNITS for char in word):
        raise ValueError("not a numeral")
    if not any(char in _UNITS for char in word):
        return int("".join(str(_DIGITS[char]) for char in word))
    total, digit, last_unit, after_zero = 0, 0, 1, False
    for char in word:
        if char in _UNITS:
            last_unit = _UNITS[char]
            total += (digit or 1) * last_unit
            digit, after_zero = 0, False
        else:
            digit = _DIGITS[char]
            after_zero = after_zero or digit == 0
    # 「一百二」 is 120, 「一百零二」 is 102.
    return total + (digit * last_unit // 10 if last_unit == 100 and digit and not after_zero else digit)
