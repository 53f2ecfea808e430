"""The course of platelet counts as a picture drawn on the server (SVG, no script, readable by a screen reader)."""

from collections.abc import Sequence
from datetime import date
from math import sqrt

from markupsafe import Markup, escape

from bot.care.records import Count
from bot.language.counts import format_count

_WIDTH, _HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 32, 16, 22, 24
_LINES = (10, 30, 100, 200, 400, 800)
_LABELLED = 8


def chart(counts: Sequence[Count], *, most: int = 60) -> Markup:
    """The last `most` counts (10⁹/L, oldest first) over time; empty markup when there is none.

    The vertical scale is a square root, so that 3 and 30 can be told apart beside 300; lines carry their number.
    """
    shown = counts[-most:]
    if not shown:
        return Markup("")
    top = max(120.0, max(one.value for one in shown) * 1.08)
    first, last = shown[0].taken_on, shown[-1].taken_on
    days = max((last - first).days, 1)

    def x(on: date) -> float:
        share = (on - first).days / days if first != last else 0.5
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (1 - sqrt(value / top)) * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = []
    for line in (line for line in _LINES if line < top):
        parts.append(
            f'<line class="chart-line" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(line)}" y2="{y(line)}"/>'
            f'<text class="chart-axis" x="{_LEFT - 6}" y="{y(line) + 4}" text-anchor="end">{line}</text>'
        )
    points = [(x(one.taken_on), y(one.value)) for one in shown]
    parts.append(f'<polyline class="chart-course" points="{" ".join(f"{a},{b}" for a, b in points)}"/>')
    named, radius = _named(shown), 4 if len(shown) <= 24 else 2.5
    for at, (one, (a, b)) in enumerate(zip(shown, points, strict=True)):
        style = "chart-point chart-about" if one.approximate else "chart-point"
        title = escape(f"{_on(one.taken_on)} {'约' if one.approximate else ''}{format_count(one.value)}")
        parts.append(f'<circle class="{style}" cx="{a}" cy="{b}" r="{radius}"><title>{title}</title></circle>')
        if at in named:
            anchor = "end" if a > _WIDTH - _RIGHT - 24 else "start" if a < _LEFT + 16 else "middle"
            lift = round(b - 9 if b > _TOP - 6 else b + 18, 1)
            parts.append(f'<text class="chart-value" x="{a}" y="{lift}" text-anchor="{anchor}">{one.value:g}</text>')
    parts.append(f'<text class="chart-axis" x="{_LEFT}" y="{_HEIGHT - 6}">{_on(first)}</text>')
    if first != last:
        parts.append(
            f'<text class="chart-axis" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{_on(last)}</text>'
        )
    told = escape(
        f"血小板变化，{_on(first)}到{_on(last)}共{len(shown)}次，最近一次{format_count(shown[-1].value)}"
        if len(shown) > 1
        else f"血小板一次，{_on(first)} {format_count(shown[-1].value)}"
    )
    drawn = "".join(parts)
    return Markup(  # noqa: S704 - numbers and escaped words only
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}">{drawn}</svg>'
    )


def _named(shown: Sequence[Count]) -> set[int]:
    """Which points carry their number: all of a few, else the last, the lowest and the highest."""
    if len(shown) <= _LABELLED:
        return set(range(len(shown)))
    by_value = sorted(range(len(shown)), key=lambda at: shown[at].value)
    return {len(shown) - 1, by_value[0], by_value[-1]}


def _on(day: date) -> str:
    return f"{day.year % 100:02d}年{day.month}月{day.day}日"
