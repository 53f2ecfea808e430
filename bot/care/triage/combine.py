"""The combination table: count × bleeding × trend × age × pregnancy × medicines, first match wins.

Source: clinical content brief, section 4 (draft, to be signed by the haematologist). Rows keep their numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from bot.care.triage.conditions import Values
from bot.care.triage.verdict import FlagLevel

E, U, W, NONE = FlagLevel.EMERGENCY, FlagLevel.URGENT, FlagLevel.WATCH, FlagLevel.NONE


class Bleed(IntEnum):
    """How badly somebody bleeds.

    `ORGAN_MINOR` is haematuria without clots, streaks on paper or in sputum, a heavy period.
    """

    NONE = 0
    SKIN_MINOR = 1
    SKIN_EXTENSIVE = 2
    MUCOSA_MILD = 3
    MUCOSA_WET = 4
    ORGAN_MINOR = 5
    ORGAN = 6


@dataclass(frozen=True)
class Picture:
    """What the table looks at: the flags that fired with their level, all grades of bleeding said now, whether
    some of it goes on, and the values by the names conditions use."""

    flags: dict[str, FlagLevel]
    bleeds: frozenset[Bleed]
    still_bleeding: bool
    values: Values

    @property
    def bleed(self) -> Bleed:
        """The worst bleeding."""
        return max(self.bleeds, default=Bleed.NONE)

    def yes(self, name: str) -> bool:
        """Whether a circumstance is known to hold."""
        return bool(self.values.get(name))

    def below(self, limit: float) -> bool:
        """Whether the current count is known and below the limit (10⁹/L)."""
        count = self.values.get("plt")
        return count is not None and count < limit

    @property
    def unknown(self) -> bool:
        """Whether no current count is known."""
        return self.values.get("plt") is None

    def at_least(self, name: str, limit: float) -> bool:
        """Whether a value is known and at or above a limit."""
        value = self.values.get(name)
        return value is not None and value >= limit


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    number: int
    level: Callable[[Picture], FlagLevel] | FlagLevel
    holds: Callable[[Picture], bool]
    reason: str


def decide(picture: Picture) -> tuple[int, FlagLevel, str]:
    """The row of the table that decides, its level, and the reason for the doctor in Chinese."""
    for row in ROWS:
        if row.holds(picture):
            level = row.level if isinstance(row.level, FlagLevel) else row.level(picture)
            return row.number, level, row.reason
    return 45, NONE, "没有发现危险信号"


_BY_COUNT = {"plt_lt10", "plt_lt30_bleed", "plt_10_20", "plt_20_30"}


def _any(picture: Picture, level: FlagLevel) -> bool:
    return any(found >= level for name, found in picture.flags.items() if name not in _BY_COUNT)


def _has(picture: Picture, names: Iterable[str]) -> bool:
    return any(name in picture.flags for name in names)


def _mucosa_mild(p: Picture) -> bool:
    return Bleed.MUCOSA_MILD in p.bleeds or Bleed.MUCOSA_WET in p.bleeds


def _wet(p: Picture) -> bool:
    return Bleed.MUCOSA_WET in p.bleeds


def _organ_minor(p: Picture) -> bool:
    return Bleed.ORGAN_MINOR in p.bleeds


def _fresh(p: Picture) -> bool:
    return p.yes("newly_diagnosed")


ROWS: tuple[Row, ...] = (
    Row(
        1,
        E,
        lambda p: any(p.flags.get(name) == E for name in ("suicidal", "overdose", "child_ingestion")),
        "自伤、过量或误服",
    ),
    Row(2, E, lambda p: _any(p, E), "急症信号"),
    Row(
        3,
        E,
        lambda p: _has(p, ["head_injury_days_ago"]) and _has(p, ["headache_new_mild", "vomiting", "ich_consciousness"]),
        "头部外伤数日后出现头痛、呕吐或嗜睡",
    ),
    Row(
        4,
        E,
        lambda p: (
            _has(p, ["headache_new_mild"])
            and (p.below(30) or p.unknown or p.at_least("age", 60) or p.yes("anti") or p.yes("pregnant"))
        ),
        "新发头痛，血小板<30或不明，或高龄、抗栓药、妊娠",
    ),
    Row(5, E, lambda p: p.bleed is Bleed.ORGAN, "脏器出血"),
    Row(
        6,
        E,
        lambda p: (
            _has(p, ["haematuria_gross"])
            and (p.below(30) or p.unknown or p.at_least("age", 60) or p.yes("anti") or p.yes("pregnant"))
        ),
        "肉眼血尿，血小板<30或不明，或高龄、抗栓药、妊娠",
    ),
    Row(7, E, lambda p: _organ_minor(p) and p.below(20), "脏器少量出血且血小板<20"),
    Row(
        8, E, lambda p: _wet(p) and (p.below(20) or (p.unknown and p.still_bleeding)), "黏膜活动性出血，血小板<20或不明"
    ),
    Row(
        9,
        lambda p: U if p.yes("personal_rule") and p.bleed is Bleed.NONE and not _fresh(p) else E,
        lambda p: p.below(10),
        "血小板<10",
    ),
    Row(10, E, lambda p: p.below(20) and p.at_least("age", 65), "血小板<20，年龄≥65岁"),
    Row(11, E, lambda p: p.below(20) and _fresh(p), "血小板<20，新诊断"),
    Row(12, E, lambda p: p.below(20) and p.yes("anti"), "血小板<20，正在用抗栓药或解热镇痛药"),
    Row(13, E, lambda p: p.below(20) and p.bleed >= Bleed.MUCOSA_MILD, "血小板<20并有黏膜出血"),
    Row(14, E, lambda p: p.below(30) and p.bleed >= Bleed.MUCOSA_WET, "血小板<30并有活动性黏膜或脏器出血"),
    Row(
        15,
        E,
        lambda p: p.yes("anti") and (_wet(p) or (Bleed.MUCOSA_MILD in p.bleeds and (p.below(50) or p.unknown))),
        "抗栓药或解热镇痛药加黏膜出血",
    ),
    Row(16, E, lambda p: p.below(30) and _has(p, ["procedure_tomorrow"]), "血小板<30，今明两天有创操作"),
    Row(
        17,
        E,
        lambda p: p.yes("pregnant") and (_wet(p) or _organ_minor(p) or (Bleed.MUCOSA_MILD in p.bleeds and p.below(30))),
        "妊娠期出血",
    ),
    Row(
        18,
        E,
        lambda p: p.yes("pregnant") and ((p.at_least("weeks", 34) and p.below(30)) or p.below(20)),
        "妊娠期血小板很低",
    ),
    Row(19, E, lambda p: p.yes("newborn") and p.below(50), "新生儿血小板<50"),
    Row(
        20,
        E,
        lambda p: p.yes("child") and p.below(20) and Bleed.SKIN_EXTENSIVE in p.bleeds,
        "儿童血小板<20，皮肤广泛出血",
    ),
    Row(21, E, lambda p: p.yes("infant") and p.below(20) and p.bleed > Bleed.NONE, "2岁以下血小板<20并出血"),
    Row(
        22,
        E,
        lambda p: (
            (p.yes("immunosuppressed") and (p.at_least("temperature", 38.5) or _has(p, ["rigors"])))
            or (p.yes("asplenic") and (p.at_least("temperature", 38.0) or _has(p, ["rigors"])))
        ),
        "免疫抑制或切脾后高热",
    ),
    Row(
        23,
        E,
        lambda p: _has(p, ["thr_dvt"]) and (p.below(50) or p.yes("pregnant") or _has(p, ["thr_pe"])),
        "单侧肢体肿胀且血小板低或妊娠",
    ),
    Row(24, U, _organ_minor, "脏器少量出血"),
    Row(
        25,
        lambda p: W if p.yes("personal_rule") and p.bleed is Bleed.NONE else U,
        lambda p: p.below(20) and not _any(p, U),
        "血小板10–19",
    ),
    Row(
        26,
        U,
        lambda p: p.below(30) and (p.yes("falling") or _fresh(p) or p.yes("anti") or p.yes("pregnant")),
        "血小板20–29，新近下降、新诊断、抗栓药或妊娠",
    ),
    Row(
        27,
        U,
        lambda p: p.below(50) and _has(p, ["procedure_tomorrow", "procedure_soon", "procedure_week"]),
        "血小板20–49，7天内有创操作",
    ),
    Row(
        28,
        U,
        lambda p: p.below(50) and (p.yes("falling") or _fresh(p) or p.yes("pregnant")),
        "血小板30–49，新近下降、新诊断或妊娠",
    ),
    Row(29, U, lambda p: Bleed.SKIN_EXTENSIVE in p.bleeds, "皮肤广泛或头面部出血点"),
    Row(30, U, _wet, "黏膜出血"),
    Row(31, U, lambda p: Bleed.MUCOSA_MILD in p.bleeds and (p.below(50) or p.unknown), "轻度黏膜出血，血小板<50或不明"),
    Row(32, U, lambda p: p.yes("ambiguous") and p.bleed > Bleed.NONE, "数值不清并有出血"),
    Row(33, U, lambda p: p.yes("immunosuppressed") and p.at_least("temperature", 37.5), "免疫抑制期间发热"),
    Row(34, U, lambda p: p.yes("tpo") and p.at_least("plt", 400.5), "促血小板药物期间血小板>400"),
    Row(35, U, lambda p: _has(p, ["liver_injury_tpora", "hbv_jaundice"]), "转氨酶升高或黄疸"),
    Row(36, U, lambda p: _has(p, ["steroid_abrupt_stop", "stopped_tpora", "med_runout"]), "自行停药或药品将断"),
    Row(37, U, lambda p: _has(p, ["hypertension_severe"]) or p.at_least("glucose", 16.7), "血压或血糖过高"),
    Row(38, U, lambda p: _any(p, U), "需当天联系医生的信号"),
    Row(39, W, lambda p: p.below(30), "血小板20–29，无明显出血"),
    Row(40, W, lambda p: p.yes("tpo") and p.at_least("plt", 200), "促血小板药物期间血小板200–400"),
    Row(41, W, lambda p: Bleed.MUCOSA_MILD in p.bleeds, "轻度黏膜出血，血小板≥50"),
    Row(42, W, lambda p: p.bleed is Bleed.SKIN_MINOR, "少量皮肤出血"),
    Row(43, W, lambda p: _any(p, W), "需医生常规答复的信号"),
    Row(44, NONE, lambda p: not p.unknown, "血小板≥30，无出血"),
)
"""All rows of the table but 45, which is its end."""
