"""Scores of many seeds step by step: means with intervals, quantiles, differences of twins.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from goal_drift_gym.eval.interval import MeanInterval, t_interval
from goal_drift_gym.report.chart import Band, Line, Role
from goal_drift_gym.report.seeds import SeedView

MOST_POINTS: Final = 400
"""Points of a curve; a longer one is drawn as means over equal spans of steps."""

Series = list[tuple[float, float]]
"""Steps, or middles of spans of steps, with a score."""


class MeanPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The seeds at one step."""

    x: float
    interval: MeanInterval
    """Over the two or more seeds that have a score there."""


def span_of(seeds: Iterable[SeedView]) -> int:
    """Return over how many steps each point of these seeds' curves is a mean; 1 where every step is drawn."""
    last = max((seed.steps[-1] for seed in seeds if seed.steps), default=0)
    return math.ceil((last + 1) / MOST_POINTS)


def series(seed: SeedView, span: int) -> Series:
    """Return the scores of a seed, as means over spans of so many steps."""
    return _in_spans(zip(seed.steps, seed.scores, strict=True), span)


def differences(seed: SeedView, twin: SeedView, span: int) -> Series:
    """Return the score of a seed minus that of its twin, at the steps at which both have one."""
    other = dict(zip(twin.steps, twin.scores, strict=True))
    both = ((step, score - other[step]) for step, score in zip(seed.steps, seed.scores, strict=True) if step in other)
    return _in_spans(both, span)


def mean_curve(curves: Iterable[Series], alpha: float) -> list[MeanPoint]:
    """Return mean and Student t interval over seeds wherever two or more of them have a value.

    Parameters
    ----------
    curves
        One a seed.
    alpha
        Error of each one-sided bound, see `eval.interval.t_interval`.
    """
    return [
        MeanPoint(x=x, interval=t_interval(values, alpha=alpha))
        for x, values in by_step(curves).items()
        if len(values) > 1
    ]


def by_step(curves: Iterable[Series]) -> dict[float, list[float]]:
    """Return the values at each x, by ascending x."""
    found: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in curve:
            found.setdefault(x, []).append(y)
    return dict(sorted(found.items()))


def mean_lines(points: Sequence[MeanPoint], role: Role, name: str) -> list[Line]:
    """Return the line of a mean; none without points."""
    return [Line(name=name, role=role, points=[(p.x, p.interval.mean) for p in points])] if points else []


def mean_bands(points: Sequence[MeanPoint], role: Role, name: str, *, scale: tuple[float, float]) -> list[Band]:
    """Return the band of its interval, cut at the ends of what a mean can be; none without points."""
    low, high = scale
    bounds = [
        (point.x, max(point.interval.lower, low), min(point.interval.upper, high))
        for point in points
        if point.interval.lower is not None and point.interval.upper is not None
    ]
    return [Band(name=name, role=role, points=bounds)] if bounds else []


def quantile_bands(curves: Sequence[Series], shares: Sequence[float]) -> list[Band]:
    """Return for each share the band that so large a share of the seeds lies in, in the middle of them."""
    import numpy as np

    steps = [(x, np.asarray(values)) for x, values in by_step(curves).items() if len(values) > 1]
    bands: list[Band] = []
    for share in shares:
        found = [(x, np.quantile(values, [(1.0 - share) / 2.0, (1.0 + share) / 2.0])) for x, values in steps]
        points = [(x, float(low), float(high)) for x, (low, high) in found]
        bands.append(Band(name=f"{share:.0%} of the seeds", role="seed", points=points))
    return bands


def _in_spans(points: Iterable[tuple[int, float]], span: int) -> Series:
    if span == 1:
        return [(float(step), score) for step, score in points]
    spans: dict[int, list[float]] = {}
    for step, score in points:
        spans.setdefault(step // span, []).append(score)
    return [(place * span + (span - 1) / 2.0, math.fsum(s) / len(s)) for place, s in spans.items()]
