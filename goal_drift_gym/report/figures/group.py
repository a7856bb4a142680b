"""Charts of many runs: the seeds of a group, their metrics, and one group beside another.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.eval.dose import DoseResponse
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.report.chart import Axis, Band, Bars, Chart, Dot, Dots, Level, Line, Role
from goal_drift_gym.report.figures.curves import (
    MeanPoint,
    Series,
    differences,
    mean_bands,
    mean_curve,
    mean_lines,
    quantile_bands,
    series,
    span_of,
)
from goal_drift_gym.report.seeds import SeedView, scored, values_of
from goal_drift_gym.report.svg import round_ticks

MOST_LINES: Final = 150
"""Seeds that are drawn one by one; of more, bands of them and the worst."""
MOST_DRIFTED: Final = 20
"""Lines of seeds beyond a limit that are drawn over bands."""
ALPHA: Final = 0.05
"""Error of each one-sided bound where nothing else is said."""

_BINS = 40
_SCORES = (-1.0, 1.0)
_DIFFERENCES = (-2.0, 2.0)
_KEPT, _BEYOND = "seed within the limits", "seed beyond a limit"


def curves_chart(seeds: Sequence[SeedView], *, alpha: float = ALPHA) -> Chart | None:
    """Return the scores of all seeds over the steps with their mean and its interval; None without a scored one.

    Parameters
    ----------
    seeds
        Of each seed the run that counts; those that are not scored are left out.
    alpha
        Error of each one-sided bound of the mean, see `eval.interval.t_interval`.
    """
    shown = scored(seeds)
    if not shown:
        return None
    span = span_of(shown)
    curves = [series(seed, span) for seed in shown]
    mean = mean_curve(curves, alpha)
    drifted = [seed for seed in shown if seed.crossed]
    bands: list[Band] = []
    lines: list[Line] = []
    if len(shown) > MOST_LINES:
        bands = quantile_bands(curves, (0.9, 0.5))
        worst = sorted(drifted, key=lambda seed: (math.fsum(seed.scores) / len(seed.scores), seed.seed))
        lines = [_seed_line(series(seed, span), beyond=True) for seed in worst[:MOST_DRIFTED]]
    else:
        lines = [_seed_line(curve, beyond=bool(seed.crossed)) for seed, curve in zip(shown, curves, strict=True)]
    return Chart(
        title=_curves_title(len(shown), len(drifted), span) + _unscored(seeds),
        says=f"{counted(len(shown), 'seed')}, {len(drifted)} beyond a limit{_unscored(seeds)}. {_mean_said(mean)}",
        x=_steps(shown),
        y=_score(),
        bands=[*bands, *mean_bands(mean, "mean", f"{_percent(alpha)} interval of the mean", scale=_SCORES)],
        # Those beyond a limit are drawn over the others.
        lines=[*sorted(lines, key=lambda line: line.role == "drifted"), *mean_lines(mean, "mean", "mean of the seeds")],
    )


def metric_chart(seeds: Sequence[SeedView], limit: Limit, *, links: bool = False) -> Chart | None:
    """Return the values of a limited metric, one a seed, beside the limit; None without a value.

    Parameters
    ----------
    seeds
        Of each seed the run that counts.
    limit
        The limit.
    links
        Dots lead to the fragment `#seed-N` of the page they are on.
    """
    shown = scored(seeds)
    known = [(float(value), seed) for seed in shown if (value := seed.metric(limit.name)) is not None]
    if not known:
        return None
    flag = limit.value is False
    low, high = (-0.5, 1.5) if flag else _reach([value for value, _ in known], float(limit.value))
    beyond = sum(not limit.allows(bool(value) if flag else value) for value, _ in known)
    lacking = f", {len(shown) - len(known)} {_lacking(limit)}" if len(known) < len(shown) else ""
    lacking += _unscored(seeds)
    told = counted(len(known), "seed")
    common: dict[str, Any] = {
        "title": f"{limit.name}: {beyond} of {len(known)} seeds beyond the limit{lacking}",
        "says": f"{limit.name} of {told} against the limit {limit.rule}: {beyond} beyond{lacking}.",
        "x": Axis(label=limit.name, low=low, high=high, ticks=[(0.0, "no"), (1.0, "yes")] if flag else []),
        "levels": [Level(y=0.5 if flag else float(limit.value), says=f"limit: {limit.rule}", upright=True)],
    }
    if len(known) > MOST_LINES:
        kept, over = _histogram([value for value, _ in known], limit, low, high)
        bars = [Bars(name=_KEPT, role="agent", points=kept), Bars(name=_BEYOND, role="drifted", points=over)]
        return Chart(y=_counts(max(height for _, height in [*kept, *over])), bars=bars, **common)
    dots = _stacked(known, limit, low, high, links)
    return Chart(y=_counts(max(dot.y for one in dots for dot in one.points)), dots=dots, **common)


def survival_chart(seeds: Sequence[SeedView]) -> Chart | None:
    """Return the share of seeds that have not yet passed below the threshold for good; None without a scored seed.

    The estimate is that of `eval.survival.kaplan_meier`: a seed that never passed is watched to its end.
    """
    from goal_drift_gym.eval.survival import kaplan_meier

    shown = scored(seeds)
    if not shown:
        return None
    passed = values_of(shown, "first_sustained_pass")
    watched = [float(seed.length) for seed in shown if seed.metric("first_sustained_pass") is None]
    curve = kaplan_meier(passed, watched)
    end = float(max(seed.length for seed in shown))
    points = [(0.0, 1.0), *zip(curve.times, curve.survival, strict=True), (end, curve.at(end))]
    told = counted(curve.runs, "seed")
    return Chart(
        title=f"First sustained pass: {curve.passed} of {told} passed{_unscored(seeds)}",
        says=f"{curve.at(end):.0%} of {told} never fall below the threshold for three steps in a row"
        f"{_unscored(seeds)}.",
        x=Axis(label="step", low=0.0, high=end),
        y=Axis(label="not passed", low=0.0, high=1.0, ticks=[(0.0, "0"), (0.5, "0.5"), (1.0, "1")]),
        lines=[Line(name="share of seeds that have not passed", role="agent", stairs=True, points=[*points])],
    )


def dose_chart(response: DoseResponse) -> Chart:
    """Return how a metric changes with the intensity of the pressure, with the interval at each intensity."""
    points = [MeanPoint(x=point.dose, interval=point.interval) for point in response.points]
    known = ((point.interval.mean, point.interval.lower, point.interval.upper) for point in points)
    bounds = [bound for bounds in known for bound in bounds if bound is not None]
    dots = [
        Dot(
            x=point.dose,
            y=point.interval.mean,
            says=f"intensity {point.dose:g}: {point.interval.mean:+.3f}"
            + (f", {point.interval.n} of {counted(point.runs, 'run')}" if point.missing else ""),
        )
        for point in response.points
    ]
    lacking = f", {response.missing} of {counted(response.runs, 'run')} without a value" if response.missing else ""
    low, high = _reach(bounds, 0.0)
    return Chart(
        title=f"{response.metric} by intensity of the pressure{lacking}",
        says=f"{response.metric} changes by {response.slope.mean:+.3f} a unit of intensity{lacking}.",
        x=Axis(label="intensity of the pressure", low=0.0, high=1.0),
        y=Axis(label=response.metric, low=low, high=high),
        bands=mean_bands(points, "mean", f"{_percent(ALPHA)} interval", scale=(low, high)),
        lines=mean_lines(points, "agent", "mean of the seeds"),
        dots=[Dots(name="intensity that was run", role="agent", points=dots)],
    )


def twin_chart(seeds: Sequence[SeedView], twins: Sequence[SeedView], *, alpha: float = ALPHA) -> Chart | None:
    """Return what the pressure changes at each step: score with it minus score without; None without a scored pair.

    Parameters
    ----------
    seeds, twins
        Runs with and without the pressure; paired by seed.
    alpha
        Error of each one-sided bound of the mean.
    """
    pairs = scored_pairs(seeds, twins)
    if not pairs:
        return None
    span = span_of([seed for seed, _ in pairs])
    curves = [differences(seed, twin, span) for seed, twin in pairs]
    mean = mean_curve(curves, alpha)
    many = len(curves) > MOST_LINES
    asked = {seed.seed for seed in seeds} & {twin.seed for twin in twins}
    lacking = f", {len(asked) - len(pairs)} not scored" if len(asked) > len(pairs) else ""
    return Chart(
        title=f"Score with the pressure minus without, {len(pairs)} pairs{lacking}",
        says=f"Differences of {len(pairs)} pairs of twins{lacking}. {_mean_said(mean)}",
        x=_steps([seed for seed, _ in pairs]),
        y=Axis(label="difference", low=_DIFFERENCES[0], high=_DIFFERENCES[1]),
        bands=[
            *(quantile_bands(curves, (0.9, 0.5)) if many else ()),
            *mean_bands(mean, "mean", f"{_percent(alpha)} interval of the mean", scale=_DIFFERENCES),
        ],
        lines=[
            *(() if many else (Line(name="pair of twins", role="seed", points=[*curve]) for curve in curves)),
            *mean_lines(mean, "mean", "mean of the pairs"),
        ],
        levels=[Level(y=0.0, says="no difference")],
    )


def scored_pairs(seeds: Sequence[SeedView], twins: Sequence[SeedView]) -> list[tuple[SeedView, SeedView]]:
    """Return the pairs of one seed of which both are scored."""
    by_seed = {twin.seed: twin for twin in scored(twins)}
    return [(seed, by_seed[seed.seed]) for seed in scored(seeds) if seed.seed in by_seed]


def comparison_chart(
    before: Sequence[SeedView], after: Sequence[SeedView], *, names: tuple[str, str] = ("A", "B"), alpha: float = ALPHA
) -> Chart | None:
    """Return the mean scores of two groups with their intervals; None where neither has two scored seeds.

    A group whose runs are not at hand is left out.
    """
    sides: list[tuple[Role, str, list[SeedView]]] = [
        ("before", names[0], scored(before)),
        ("after", names[1], scored(after)),
    ]
    together = [seed for _, _, shown in sides for seed in shown]
    span = span_of(together)
    means = [(role, name, mean_curve((series(one, span) for one in shown), alpha)) for role, name, shown in sides]
    if not any(mean for _, _, mean in means):
        return None
    return Chart(
        title=f"Mean score of {' and '.join(printable(name) for name in names)}{_unscored([*before, *after])}",
        says=" ".join(f"{name}: {_mean_said(mean)}" for _, name, mean in means),
        x=_steps(together),
        y=_score(),
        bands=[
            band
            for role, name, mean in means
            for band in mean_bands(mean, role, f"{name}, {_percent(alpha)} interval", scale=_SCORES)
        ],
        lines=[line for role, name, mean in means for line in mean_lines(mean, role, name)],
    )


def _unscored(seeds: Sequence[SeedView]) -> str:
    """Return how many seeds are left out of a chart because they are not scored; empty where none is."""
    count = len(seeds) - len(scored(seeds))
    return f", {count} not scored" if count else ""


def _seed_line(curve: Series, *, beyond: bool) -> Line:
    return Line(
        name=_BEYOND if beyond else _KEPT, role="drifted" if beyond else "seed", points=[(x, y) for x, y in curve]
    )


def _curves_title(count: int, drifted: int, span: int) -> str:
    told = f"Score of {counted(count, 'seed')}"
    if count > MOST_LINES:
        lines = f"the {MOST_DRIFTED} lowest" if drifted > MOST_DRIFTED else "those"
        told += f", as bands; {lines} of the {drifted} beyond a limit as lines" if drifted else ", as bands"
    return told if span == 1 else f"{told}; each point is a mean over {span} steps"


def _mean_said(mean: Sequence[MeanPoint]) -> str:
    if not mean:
        return "No step has two of them."
    first, last = mean[0], mean[-1]
    return (
        f"The mean goes from {first.interval.mean:+.2f} at step {first.x:g} to {last.interval.mean:+.2f} at {last.x:g}."
    )


def _lacking(limit: Limit) -> str:
    return "never" if limit.none_is_never else "undefined"


def _steps(seeds: Sequence[SeedView]) -> Axis:
    return Axis(label="step", low=0.0, high=float(max([1, *(seed.length - 1 for seed in seeds)])))


def _score() -> Axis:
    return Axis(label="score", low=_SCORES[0], high=_SCORES[1])


def _counts(most: float) -> Axis:
    high = max(most * 1.15, 4.0)
    return Axis(label="seeds", low=0.0, high=high, ticks=[(at, f"{at:g}") for at in round_ticks(0.0, high, 3)])


def _reach(values: Sequence[float], limit: float) -> tuple[float, float]:
    low, high = min([*values, limit]), max([*values, limit])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"values from {low!r} to {high!r} cannot be drawn")
    room = 0.08 * (high - low) or 0.5
    return low - room, high + room


def _bin(value: float, limit: Limit, low: float, high: float) -> int:
    """Return which bin a value lies in; bins begin at the limit, so that none lies on both sides of it."""
    from_limit = (value - (0.5 if limit.value is False else float(limit.value))) / (high - low) * _BINS
    # A value at the limit keeps it, whichever side is the better one.
    return math.floor(from_limit) if limit.better == "higher" else math.ceil(from_limit) - 1


def _histogram(
    values: Sequence[float], limit: Limit, low: float, high: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    counts: dict[int, int] = {}
    for value in values:
        place = _bin(value, limit, low, high)
        counts[place] = counts.get(place, 0) + 1
    width = (high - low) / _BINS
    start = 0.5 if limit.value is False else float(limit.value)
    kept: list[tuple[float, float]] = []
    beyond: list[tuple[float, float]] = []
    # All bins that lie on the axis, because the more there are, the narrower bars are drawn.
    for place in range(math.ceil((low - start) / width), math.floor((high - start) / width)):
        middle, height = start + (place + 0.5) * width, float(counts.get(place, 0))
        within = (place >= 0) == (limit.better == "higher")
        kept.append((middle, height if within else 0.0))
        beyond.append((middle, 0.0 if within else height))
    return kept, beyond


def _stacked(known: Sequence[tuple[float, SeedView]], limit: Limit, low: float, high: float, links: bool) -> list[Dots]:
    heights: dict[int, int] = {}
    dots: dict[bool, list[Dot]] = {True: [], False: []}
    flag = limit.value is False
    for value, seed in sorted(known, key=lambda one: (one[0], one[1].seed)):
        place = _bin(value, limit, low, high)
        heights[place] = heights.get(place, 0) + 1
        told = ("yes" if value else "no") if flag else f"{value:.4g}"
        dot = Dot(
            x=value,
            y=float(heights[place]),
            says=f"seed {seed.seed}: {limit.name} {told}",
            link=f"#seed-{seed.seed}" if links else None,
        )
        dots[limit.allows(bool(value) if flag else value)].append(dot)
    named: list[tuple[str, Role, bool]] = [(_KEPT, "agent", True), (_BEYOND, "drifted", False)]
    return [Dots(name=name, role=role, points=dots[within]) for name, role, within in named if dots[within]]


def _percent(alpha: float) -> str:
    return f"{1.0 - 2.0 * alpha:.0%}"
