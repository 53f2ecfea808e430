"""One spelling of a message, so that everything after it reads plain simplified Chinese.

>>> normalise("我 頭疼！！！🤮")
'我头疼!吐'
"""

# ruff: noqa: E501 (patterns and word lists)
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

_PICTURES = {
    "🩸": "血",
    "🤮": "吐",
    "🤢": "恶心",
    "🤒": "发烧",
    "🌡": "发烧",
    "😵": "晕",
    "💩": "大便",
    "👃": "鼻子",
    "🦷": "牙",
    "🧠": "脑",
    "🥶": "发冷",
    "💊": "药",
    "💉": "打针",
    "🤰": "怀孕",
    "👶": "宝宝",
    "🚑": "救护车",
    "🆘": "救命",
}
_SAME = {"×": "x", "✕": "x", "✖": "x", "╳": "x", "〇": "零", "~": "~", "～": "~", "〜": "~", "﹣": "-", "–": "-", "—": "-", "、": "、"}  # fmt: skip
_CJK = "\u4e00-\u9fff"
# Letters and marks that people repeat for emphasis; digits never, since 111 is a number.
_RUN = re.compile(r"([^\W\d_])\1{2,}|([^\w\s])\2+|(\s)\s+")
# 「吐 血 了」, 「头 疼得厉害」: a blank after a character that stands alone.
_SPACED_OUT = re.compile(rf"(?<!\S)[{_CJK}] (?=[{_CJK}])")


@dataclass(frozen=True)
class Normalised:
    """A normalised text that remembers where each of its characters came from.

    `starts[i]` and `ends[i]` are offsets into the original text for character `i` of `text`.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that stands behind `text[start:end]`; an empty span keeps its place."""
        if not self.starts:
            return (0, 0)
        if start >= end:
            at = self.starts[start] if start < len(self.starts) else self.ends[-1]
            return (at, at)
        return (self.starts[start], self.ends[min(end, len(self.ends)) - 1])


class _Folding(dict[str, str]):
    """Character to its plain form, worked out once per character."""

    def __missing__(self, char: str) -> str:
        plain = self._fold(char)
        if len(self) < 20_000:
            self[char] = plain
        return plain

    def _fold(self, char: str) -> str:
        if char in _PICTURES:
            return _PICTURES[char]
        if char in _SAME:
            return _SAME[char]
        if char in "\n\r\u2028\u2029\x0b\x0c":
            return "\n"
        if char in "\t":
            return " "
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Mn", "Me"}:
            return ""
        plain = unicodedata.normalize("NFKC", char).lower()
        if plain != char and len(plain) > 1:
            return "".join(self[part] if part != char else part for part in plain)
        return _TRADITIONAL.get(plain, plain)


def _load_traditional() -> dict[str, str]:
    table: dict[str, str] = {}
    for line in Path(__file__).with_name("simplified.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            traditional, simplified = line.split("\t")
            table[traditional] = simplified
    return table


_TRADITIONAL = _load_traditional()
_FOLDING = _Folding()


def normalise(text: str) -> str:
    """The text in NFKC, lower case, simplified, without invisible characters, with runs folded and emoji in words."""
    folded = "".join(map(_FOLDING.__getitem__, text))
    folded = _RUN.sub(lambda run: run.group()[0] if not run.group(3) else _blank(run.group()), folded)
    return _SPACED_OUT.sub(lambda word: word.group().replace(" ", ""), folded)


def normalise_keeping_offsets(text: str) -> Normalised:
    """Like `normalise`, with the way back to the original text. Raises nothing, for any text."""
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for at, char in enumerate(text):
        for plain in _FOLDING[char]:
            chars.append(plain)
            starts.append(at)
            ends.append(at + 1)
    folded = "".join(chars)
    drop: set[int] = set()
    for run in _RUN.finditer(folded):
        first = run.start()
        if run.group(3):
            chars[first] = _blank(run.group())
        ends[first] = ends[run.end() - 1]
        drop.update(range(first + 1, run.end()))
    if drop:
        keep = [at for at in range(len(chars)) if at not in drop]
        chars, starts, ends = [chars[at] for at in keep], [starts[at] for at in keep], [ends[at] for at in keep]
        folded = "".join(chars)
    drop = set()
    for word in _SPACED_OUT.finditer(folded):
        drop.update(at for at in range(word.start(), word.end()) if folded[at] == " ")
    if drop:
        keep = [at for at in range(len(chars)) if at not in drop]
        chars, starts, ends = [chars[at] for at in keep], [starts[at] for at in keep], [ends[at] for at in keep]
        folded = "".join(chars)
    return Normalised(folded, tuple(starts), tuple(ends))


def _blank(run: str) -> str:
    return "\n" if "\n" in run else " "
