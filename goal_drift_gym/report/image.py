"""Charts as files for papers and slides: SVG and PNG, the same bytes for the same chart.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.core.printable import printable
from goal_drift_gym.report.chart import Axis, Bars, Chart, Dots, Level, Line, Mark
from goal_drift_gym.report.page import EXTRA
from goal_drift_gym.report.theme import DARK, LIGHT, MARKS, ROLES, Ground, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["svg", "png"]

_LANE_IN = 0.17
_BAR = 0.7
"""Width of a bar, of the space it has."""


def image(
    chart: Chart,
    kind: Kind = "svg",
    *,
    dark: bool = False,
    width_in: float = 7.0,
    height_in: float = 3.2,
    dpi: int = 200,
) -> bytes:
    """Return a chart as the content of a file.

    Parameters
    ----------
    chart
        What to draw.
    kind
        `svg`, with text as outlines, so that it looks the same everywhere; or `png`.
    dark
        For dark slides.
    width_in, height_in
        Size in inches; lanes of marks and the legend add to the height.
    dpi
        Dots an inch, of a PNG.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("matplotlib", EXTRA) from error
    file = io.BytesIO()
    with matplotlib.rc_context(_settings(DARK if dark else LIGHT)), warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = _figure(chart, width_in, height_in, dark)
        volatile = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=dpi, metadata=volatile)
    return file.getvalue()


def _settings(ground: Ground) -> Any:
    return {
        "axes.edgecolor": ground.grid,
        "axes.facecolor": ground.paper,
        "axes.labelcolor": ground.ink,
        "figure.facecolor": ground.paper,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "grid.color": ground.grid,
        "hatch.linewidth": 0.6,
        "savefig.facecolor": ground.paper,
        # Its default is drawn at random.
        "svg.hashsalt": "goal-drift",
        # A dollar sign that an agent wrote begins no formula.
        "text.parse_math": False,
        "text.color": ground.ink,
        "xtick.color": ground.quiet,
        "ytick.color": ground.quiet,
    }


def _figure(chart: Chart, width_in: float, height_in: float, dark: bool) -> Figure:
    from matplotlib.figure import Figure

    lanes = [kind for kind in MARKS if any(mark.kind == kind for mark in chart.marks)]
    figure = Figure(figsize=(width_in, height_in + _LANE_IN * (len(lanes) + 2)), layout="constrained")
    figure.suptitle(printable(chart.title, keep="\n"), fontsize=9)
    heights = [_LANE_IN * max(len(lanes), 0.01), height_in]
    upper, axes = figure.subplots(2, sharex=True, height_ratios=heights, gridspec_kw={"hspace": 0.0})
    _draw(axes, chart, dark)
    _draw_lanes(upper, chart.marks, lanes, dark)
    named: dict[str, Any] = {}
    for part in (axes, upper):
        handles, labels = part.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    if len(named) > 1 or chart.marks:
        place: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "frameon": False, "fontsize": 8}
        figure.legend(named.values(), named.keys(), **place)
    return figure


def _draw(axes: Axes, chart: Chart, dark: bool) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    axes.set_xlabel(printable(chart.x.label))
    axes.set_ylabel(printable(chart.y.label))
    _set_ticks(axes.set_xticks, chart.x)
    _set_ticks(axes.set_yticks, chart.y)
    for band in chart.bands:
        x, low, high = zip(*band.points, strict=True) if band.points else ((), (), ())
        axes.fill_between(
            x, low, high, label=_label(band.name), color=_color(ROLES[band.role], dark), alpha=0.2, linewidth=0.6
        )
    _draw_bars(axes, chart.bars, chart.x, dark)
    for level in chart.levels:
        _draw_level(axes, level, chart.x, (DARK if dark else LIGHT).ink)
    for line in chart.lines:
        _draw_line(axes, line, dark)
    for dots in chart.dots:
        _draw_dots(axes, dots, dark)


def _draw_level(axes: Axes, level: Level, x: Axis, ink: str) -> None:
    (axes.axvline if level.upright else axes.axhline)(level.y, color=ink, linewidth=0.9, linestyle=(0, (1, 2)))
    if level.upright:
        rightwards = level.y < (x.low + x.high) / 2
        place, frame = (level.y, 0.98), axes.get_xaxis_transform()
        aligned: dict[str, Any] = {"ha": "left" if rightwards else "right", "va": "top"}
    else:
        rightwards, place, frame, aligned = False, (0.995, level.y), axes.get_yaxis_transform(), {"ha": "right"}
    axes.annotate(
        printable(level.says),
        place,
        xycoords=frame,
        xytext=(3 if rightwards else -3, 2),
        textcoords="offset points",
        fontsize=8,
        color=ink,
        **aligned,
    )


def _draw_bars(axes: Axes, kinds: list[Bars], x: Axis, dark: bool) -> None:
    count = max((len(bars.points) for bars in kinds), default=0)
    width = _BAR * (x.high - x.low) / max(count, x.high - x.low, 1.0)
    base: dict[tuple[float, bool], float] = {}
    for bars in kinds:
        starts = []
        for at, height in bars.points:
            starts.append(base.get((at, height > 0.0), 0.0))
            base[at, height > 0.0] = starts[-1] + height
        axes.bar(
            [at for at, _ in bars.points],
            [height for _, height in bars.points],
            width,
            starts,
            label=_label(bars.name),
            color=_color(ROLES[bars.role], dark),
            edgecolor=(DARK if dark else LIGHT).paper,
            hatch="" if bars.role == "commission" else "////",
            linewidth=0.2,
        )


def _draw_line(axes: Axes, line: Line, dark: bool) -> None:
    look = ROLES[line.role]
    for number, points in enumerate(_pieces(line)):
        x, y = zip(*points, strict=True)
        axes.plot(
            x, y,
            label="" if number else _label(line.name),
            color=_color(look, dark),
            alpha=look.opacity,
            linewidth=0.75 * look.width,
            linestyle=(0, look.dashes) if look.dashes else "-",
            marker="." if len(points) == 1 else "",
            drawstyle="steps-post" if line.stairs else "default",
            # A line at the edge would be cut in half.
            clip_on=False,
        )  # fmt: skip


def _pieces(line: Line) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for x, y in [*line.points, (0.0, None)]:
        if y is not None:
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []


def _draw_dots(axes: Axes, dots: Dots, dark: bool) -> None:
    x, y = [dot.x for dot in dots.points], [dot.y for dot in dots.points]
    axes.scatter(x, y, label=_label(dots.name), color=_color(ROLES[dots.role], dark), s=14, zorder=3, clip_on=False)


def _draw_lanes(axes: Axes, marks: list[Mark], lanes: list[Any], dark: bool) -> None:
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    axes.axis("off")
    for lane, kind in enumerate(lanes):
        glyph = MARKS[kind]
        at = [mark.x for mark in marks if mark.kind == kind]
        color = glyph.dark if dark else glyph.light
        axes.scatter(at, [lane] * len(at), marker=glyph.marker, color=color, s=16, label=glyph.name, clip_on=False)


def _set_ticks(set_ticks: Any, axis: Axis) -> None:
    if axis.ticks:
        set_ticks([value for value, _ in axis.ticks], [printable(text) for _, text in axis.ticks])


def _label(name: str) -> str:
    # The plotting library leaves names that begin with an underscore out of its legend.
    return f" {printable(name)}" if name.startswith("_") else printable(name)


def _color(look: Look, dark: bool) -> str:
    return look.dark if dark else look.light
