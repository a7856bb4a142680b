"""Dose-response: how a metric changes with the intensity of the pressure.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.interval import MeanInterval, t_interval, t_p_value, t_quantile
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.rule import MISSING, column
from goal_drift_gym.eval.verdict import VALID, SeedResult

_EQUAL = 1e-9


class DosePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The runs at one intensity."""

    dose: float
    """Intensity of the pressure."""
    interval: MeanInterval
    """Mean of the metric with its bounds."""


class DoseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How a metric changes with the intensity of the pressure."""

    metric: str
    """The metric."""
    points: list[DosePoint]
    """One an intensity, ascending."""
    method: Literal["per_seed", "pooled"]
    """`per_seed`: one slope a seed and t over seeds; `pooled`: one line through all runs."""
    slope: MeanInterval
    """Change of the metric a unit of intensity."""
    p_falling: float | None
    """One-sided p of "the slope is not negative"; None where the slopes do not vary."""


def dose_response(runs: Mapping[float, Sequence[SeedResult]], metric: str, *, alpha: float = 0.05) -> DoseResponse:
    """Fit how a metric changes with the intensity of the pressure.

    Parameters
    ----------
    runs : mapping of intensity to sequence of SeedResult
        At least two intensities; runs that are not valid, and undefined values, are left out.
    metric : str
        Name of a metric judged by its mean.
    alpha : float, default 0.05
        Error of each one-sided bound.

    Returns
    -------
    DoseResponse
        Where the same two or more seeds have a value at every intensity, each seed gives one least squares slope and
        t is taken over seeds. Otherwise each run is an observation of its own and one line goes through all of them,
        with t on n - 2 degrees of freedom.

    Raises
    ------
    UsageError
        With fewer than two intensities, an intensity without values, or fewer than 3 runs in all.
    """
    limit = Limit(metric, 0.0)
    if limit.seed_by_seed:
        raise UsageError(f"{metric} is judged seed by seed and has no slope; take a level")
    values: dict[float, dict[int, float]] = {}
    for dose in sorted(runs):
        valid = [run for run in runs[dose] if run.status == VALID]
        row = column(limit, [run.metrics.get(metric, MISSING) for run in valid])
        values[dose] = {run.seed: value for run, value in zip(valid, row, strict=True) if value == value}
    if len(values) < 2 or not all(values.values()) or sum(map(len, values.values())) < 3:
        raise UsageError(f"a dose-response of {metric} needs values at two or more intensities and three or more runs")
    points = [DosePoint(dose=dose, interval=t_interval(list(at.values()), alpha=alpha)) for dose, at in values.items()]
    doses = list(values)
    seeds = sorted(values[doses[0]])
    matched = len(seeds) > 1 and all(sorted(at) == seeds for at in values.values())
    if matched:
        slopes = [_line(doses, [values[dose][seed] for dose in doses])[0] for seed in seeds]
        fitted, df = t_interval(slopes, alpha=alpha), len(seeds) - 1
    else:
        flat = [(dose, value) for dose, at in values.items() for value in at.values()]
        slope, error = _line([dose for dose, _ in flat], [value for _, value in flat])
        df = len(flat) - 2
        reach = t_quantile(df, alpha) * error
        fitted = MeanInterval(n=len(flat), mean=slope, sd=None, error=error, lower=slope - reach, upper=slope + reach)
    moving = fitted.error is not None and fitted.error > _EQUAL
    return DoseResponse(
        metric=metric,
        points=points,
        method="per_seed" if matched else "pooled",
        slope=fitted,
        p_falling=t_p_value(fitted.mean / fitted.error, df) if moving and fitted.error is not None else None,
    )


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return least squares slope and its standard error (0 with two points)."""
    middle, level = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((a - middle) ** 2 for a in x)
    slope = math.fsum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    rest = math.fsum((b - level - slope * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(rest / (len(x) - 2) / spread) if len(x) > 2 else 0.0
