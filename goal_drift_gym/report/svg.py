"""Charts as SVG inside a page: styled by its style sheet, so that they follow its colours.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from goal_drift_gym.core.printable import printable
from goal_drift_gym.report.chart import Axis, Band, Bars, Chart, Dots, Line, Mark
from goal_drift_gym.report.theme import DARK, LIGHT, MARKS, ROLES, Ground

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 8, 40
_LANE = 16
_CHARACTER = 6.4
"""Width of a character of a tick's text, about."""


def svg(chart: Chart, *, width: int = 860, height: int = 300) -> str:
    """Return an `<svg>` element.

    Its area of the plot is told as `data-left`, `data-right`, `data-low` and `data-high`, and it holds a hidden line of
    the class `cursor`, for scripts that point at an x.

    Parameters
    ----------
    chart
        What to draw.
    width, height
        In units of the picture, which are pixels where it is shown at its size. Lanes of marks add to the height.
    """
    return "".join(_Drawing(chart, width, height).parts())


def legend(chart: Chart) -> str:
    """Return a `<ul class="legend">` of what the chart shows; empty where it shows one thing only and no mark."""
    entries = [
        *(("band", band.role, band.name) for band in chart.bands),
        *(("bars", bars.role, bars.name) for bars in chart.bars),
        *(("line", line.role, line.name) for line in chart.lines),
        *(("dots", dots.role, dots.name) for dots in chart.dots),
    ]
    swatches = [_entry(_swatch(shape, role), name) for shape, role, name in dict.fromkeys(entries)]
    swatches += [_entry(_glyph(kind), MARKS[kind].name) for kind in MARKS if any(kind == m.kind for m in chart.marks)]
    if len(swatches) < 2 and not chart.marks:
        return ""
    return f'<ul class="legend">{"".join(swatches)}</ul>'


def chart_styles() -> str:
    """Return the style sheet of all charts: light, and dark where the reader's system asks for it."""
    return f"{_styles(LIGHT, dark=False)}@media (prefers-color-scheme:dark){{{_styles(DARK, dark=True)}}}"


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers within a range.

    >>> round_ticks(-1.0, 1.0)
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    >>> round_ticks(0, 63)
    [0.0, 20.0, 40.0, 60.0]
    """
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first
    return [round((first + i) * step, 10) + 0.0 for i in range(count + 1)]


class _Drawing:
    """One chart being drawn."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart = chart
        self.lanes = [kind for kind in MARKS if any(mark.kind == kind for mark in chart.marks)]
        self.width = width
        self.height = height + _LANE * len(self.lanes)
        self.top = _TOP + _LANE * len(self.lanes)
        self.right = width - _RIGHT
        self.bottom = self.height - _BOTTOM
        self._across = (self.right - _LEFT) / (chart.x.high - chart.x.low)
        self._down = (self.bottom - self.top) / (chart.y.high - chart.y.low)

    def parts(self) -> Iterator[str]:
        chart = self.chart
        yield (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="group" '
            f'aria-label="{_text(chart.says)}" '
            f'data-left="{_LEFT}" data-right="{self.right}" data-low="{chart.x.low:g}" data-high="{chart.x.high:g}">'
        )
        yield from self._axes()
        for band in chart.bands:
            yield self._band(band)
        yield from self._bars(chart.bars)
        for level in chart.levels:
            yield self._level(level.y, level.says, level.upright)
        for line in chart.lines:
            yield from self._line(line)
        yield f'<path class="cursor" d="M0 {_TOP}V{self.bottom}"/>'
        for dots in chart.dots:
            yield from self._dots(dots)
        for mark in chart.marks:
            yield self._mark(mark)
        yield "</svg>"

    def x(self, value: float) -> float:
        return _LEFT + self._across * (value - self.chart.x.low)

    def y(self, value: float) -> float:
        return self.bottom - self._down * (value - self.chart.y.low)

    def _axes(self) -> Iterator[str]:
        x, y = self.chart.x, self.chart.y
        yield '<g class="axes" aria-hidden="true">'
        for value, text in _ticks(y, (self.bottom - self.top) / 34):
            at = self.y(value)
            yield f'<path d="M{_LEFT} {at:.1f}H{self.right}"/>'
            yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" class="end">{_text(text)}</text>'
        taken = -math.inf
        for value, text in _ticks(x, (self.right - _LEFT) / 70):
            at, half = self.x(value), len(text) * _CHARACTER / 2
            if at - half <= taken:
                continue
            taken = at + half
            anchor = ' class="end"' if at + half > self.width else ' class="middle"'
            yield f'<path d="M{at:.1f} {self.bottom}v4"/>'
            yield f'<text x="{at:.1f}" y="{self.bottom + 16}"{anchor}>{_text(text)}</text>'
        middle = (_LEFT + self.right) / 2
        yield f'<text x="{middle:.1f}" y="{self.height - 6}" class="middle label">{_text(x.label)}</text>'
        up = (self.top + self.bottom) / 2
        yield f'<text transform="translate(11 {up:.1f}) rotate(-90)" class="middle label">{_text(y.label)}</text></g>'

    def _band(self, band: Band) -> str:
        upper = [f"{self.x(x):.1f},{self.y(high):.1f}" for x, _, high in band.points]
        lower = [f"{self.x(x):.1f},{self.y(low):.1f}" for x, low, _ in reversed(band.points)]
        return f'<polygon class="band {band.role}" points="{" ".join([*upper, *lower])}"/>'

    def _bars(self, kinds: Sequence[Bars]) -> Iterator[str]:
        count = max((len(bars.points) for bars in kinds), default=0)
        wide = 0.7 * (self.right - _LEFT) / max(count, self.chart.x.high - self.chart.x.low, 1.0)
        base: dict[tuple[float, bool], float] = {}
        for bars in kinds:
            for x, height in bars.points:
                if not height:
                    continue
                start = base.get((x, height > 0.0), 0.0)
                base[x, height > 0.0] = start + height
                ends = sorted((self.y(start), self.y(start + height)))
                yield (
                    f'<rect class="bar {bars.role}" x="{self.x(x) - wide / 2:.1f}" y="{ends[0]:.1f}" '
                    f'width="{wide:.1f}" height="{max(ends[1] - ends[0], 0.5):.1f}"/>'
                )

    def _level(self, value: float, says: str, upright: bool) -> str:
        if upright:
            at = self.x(value)
            # Towards the middle, so that it is not cut off at the right.
            side = f'x="{at + 5:.1f}"' if at < (_LEFT + self.right) / 2 else f'x="{at - 5:.1f}" class="end"'
            text = f'<text {side} y="{self.top + 12}">{_text(says)}</text>'
            return f'<g class="level"><path d="M{at:.1f} {self.top}V{self.bottom}"/>{text}</g>'
        at = self.y(value)
        above = at - 5 if at - 5 > self.top + 10 else at + 13
        text = f'<text x="{self.right - 2}" y="{above:.1f}" class="end">{_text(says)}</text>'
        return f'<g class="level"><path d="M{_LEFT} {at:.1f}H{self.right}"/>{text}</g>'

    def _line(self, line: Line) -> Iterator[str]:
        # As `x` and `y` do, which would be called a million times for ten thousand runs.
        across, down = self._across, self._down
        left, top = _LEFT - across * self.chart.x.low, self.bottom + down * self.chart.y.low
        for piece in _unbroken(line.points):
            places = [f"{left + across * x:.1f} {top - down * y:.1f}" for x, y in piece]
            if line.stairs:
                steps = (place.replace(" ", "V") for place in places[1:])
                drawn = "H".join([places[0], *steps])
            else:
                drawn = "L".join(places)
            # A single point is drawn as a dot by its round cap.
            yield f'<path class="line {line.role}" d="M{drawn}{"h0" if len(piece) == 1 else ""}"/>'

    def _dots(self, dots: Dots) -> Iterator[str]:
        for dot in dots.points:
            circle = (
                f'<circle class="dot {dots.role}" cx="{self.x(dot.x):.1f}" cy="{self.y(dot.y):.1f}" r="4">'
                f"<title>{_text(dot.says)}</title></circle>"
            )
            yield _linked(circle, dot.link, dot.says)

    def _mark(self, mark: Mark) -> str:
        at = _TOP + _LANE * (self.lanes.index(mark.kind) + 0.5)
        place = f'transform="translate({self.x(mark.x):.1f} {at:.1f})"'
        shape = f'<g class="mark {mark.kind}" {place}><path d="{MARKS[mark.kind].path}"/>'
        return _linked(f"{shape}<title>{_text(mark.says)}</title></g>", mark.link, mark.says)


def _unbroken(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for x, y in points:
        if y is not None:
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _ticks(axis: Axis, most: float) -> list[tuple[float, str]]:
    return axis.ticks or [(value, f"{value:g}") for value in round_ticks(axis.low, axis.high, max(2, int(most)))]


def _linked(shape: str, link: str | None, says: str) -> str:
    if link is None:
        return shape
    # Out of the order of the Tab key: there is one a step, and keys of their own lead through the steps.
    return f'<a href="{escape(printable(link))}" tabindex="-1" aria-label="{_text(says)}">{shape}</a>'


def _entry(picture: str, name: str) -> str:
    return f"<li>{picture}{_text(name)}</li>"


def _swatch(shape: str, role: str) -> str:
    drawn = {
        "band": f'<rect class="band {role}" x="1" y="2" width="22" height="10"/>',
        "bars": f'<rect class="bar {role}" x="6" y="1" width="12" height="12"/>',
        "line": f'<path class="line {role}" d="M1 7H23"/>',
        "dots": f'<circle class="dot {role}" cx="12" cy="7" r="4"/>',
    }[shape]
    return f'<svg class="swatch" viewBox="0 0 24 14" aria-hidden="true">{drawn}</svg>'


def _glyph(kind: str) -> str:
    path = MARKS[kind].path  # type: ignore[index]
    return (
        '<svg class="swatch" viewBox="0 0 24 14" aria-hidden="true">'
        f'<g class="mark {kind}" transform="translate(12 7)"><path d="{path}"/></g></svg>'
    )


def _styles(ground: Ground, *, dark: bool) -> str:
    rules = [] if dark else [_SHAPES]
    rules.append(
        f".axes path{{stroke:{ground.grid}}}.axes text{{fill:{ground.quiet}}}.axes .label{{fill:{ground.ink}}}"
        f".level path{{stroke:{ground.ink}}}.level text{{fill:{ground.ink}}}.cursor{{stroke:{ground.ink}}}"
    )
    for role, look in ROLES.items():
        color = look.dark if dark else look.light
        rules.append(
            f".line.{role}{{stroke:{color}}}:is(.dot,.band,.bar).{role}{{fill:{color}}}.band.{role}{{stroke:{color}}}"
        )
        if not dark:
            dashes = f"stroke-dasharray:{' '.join(map(str, look.dashes))};" if look.dashes else ""
            rules.append(f".line.{role}{{{dashes}stroke-width:{look.width:g};stroke-opacity:{look.opacity:g}}}")
    for kind, glyph in MARKS.items():
        color = glyph.dark if dark else glyph.light
        filled = color if glyph.path.endswith("Z") else "none"
        rules.append(f".mark.{kind}{{stroke:{color};fill:{filled}}}")
    return "".join(rules)


_SHAPES = (
    ".chart{display:block;width:100%;height:auto}.chart text{font:11px system-ui,sans-serif}"
    ".chart .end{text-anchor:end}.chart .middle{text-anchor:middle}"
    ".line{fill:none;stroke-linejoin:round;stroke-linecap:round}.band{fill-opacity:.18;stroke-opacity:.5}"
    ".level path{stroke-dasharray:2 3}.mark{stroke-width:1.6}"
    ".cursor{stroke-opacity:.5;stroke-width:1.5;visibility:hidden}.cursor.on{visibility:visible}"
    ".chart a:hover :is(.dot,.mark){stroke-width:3}.dot{stroke-width:1}"
    ".swatch{width:24px;height:14px;margin-right:.4em;vertical-align:-2px}"
    ".legend{display:flex;flex-wrap:wrap;gap:.2em 1.2em;list-style:none;margin:.4em 0;padding:0;font-size:.85em}"
)


def _text(text: str) -> str:
    return escape(printable(text))
