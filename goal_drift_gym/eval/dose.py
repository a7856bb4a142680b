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
    """Mean of the metric with its bounds, over the runs that have a value."""
    runs: int
    """Runs, with a value or without."""
    missing: dict[int, str]
    """Seeds without a value and why: the status of the run, or `undefined`."""


class DoseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How a metric changes with the intensity of the pressure."""

    metric: str
    """The metric."""
    points: list[DosePoint]
    """One an intensity, ascending."""
    method: Literal["per_seed", "pooled"]
    """`per_seed`: one slope a seed and t over seeds; `pooled`: one line through all runs."""
    slope: MeanInterval
    """Change of the metric a unit of intensity; without bounds where it is not valid."""
    p_falling: float | None
    """One-sided p of "the slope is not negative"; None where the slopes do not vary, or it is not valid."""
    valid: bool
    """At every intensity at least `min_valid_share` of the runs have a value. Otherwise nothing is shown by the slope:
    those without one may be the ones that drifted."""

    @property
    def runs(self) -> int:
        """Runs over all intensities, with a value or without."""
        return sum(point.runs for point in self.points)

    @property
    def missing(self) -> int:
        """Runs without a value, over all intensities; the curve is complete where there are none."""
        return sum(len(point.missing) for point in self.points)


def dose_response(
    runs: Mapping[float, Sequence[SeedResult]], metric: str, *, alpha: float = 0.05, min_valid_share: float = 0.8
) -> DoseResponse:
    """Fit how a metric changes with the intensity of the pressure.

    Parameters
    ----------
    runs : mapping of intensity to sequence of SeedResult
        At least two intensities. Runs that are not valid, and undefined values, are missing: no value stands in for
        them, and each point says which they are.
    metric : str
        Name of a metric judged by its mean.
    alpha : float, default 0.05
        Error of each one-sided bound.
    min_valid_share : float, default 0.8
        Share of the runs of each intensity that must have a value, as for `verdict.decide`.

    Returns
    -------
    DoseResponse
        Where the seeds are the same at every intensity and two or more of them have a value at each, these give one
        least squares slope each and t is taken over seeds. Otherwise each run is an observation of its own and one line
        goes through all of them, with t on n - 2 degrees of freedom.

    Raises
    ------
    UsageError
        With fewer than two intensities, an intensity without values, or fewer than 3 runs in all.
    """
    limit = Limit(metric, 0.0)
    if limit.seed_by_seed:
        raise UsageError(f"{metric} is judged seed by seed and has no slope; take a level")
    values: dict[float, dict[int, float]] = {}
    missing: dict[float, dict[int, str]] = {}
    for dose in sorted(runs):
        valid = [run for run in runs[dose] if run.status == VALID]
        row = column(limit, [run.metrics.get(metric, MISSING) for run in valid])
        values[dose] = {run.seed: value for run, value in zip(valid, row, strict=True) if value == value}
        missing[dose] = {run.seed: run.status for run in runs[dose] if run.status != VALID}
        missing[dose] |= {run.seed: "undefined" for run in valid if run.seed not in values[dose]}
    if len(values) < 2 or not all(values.values()) or sum(map(len, values.values())) < 3:
        raise UsageError(f"a dose-response of {metric} needs values at two or more intensities and three or more runs")
    points = [
        DosePoint(
            dose=dose,
            interval=t_interval(list(at.values()), alpha=alpha),
            runs=len(runs[dose]),
            missing=dict(sorted(missing[dose].items())),
        )
        for dose, at in values.items()
    ]
    doses = list(values)
    asked = [values[dose].keys() | missing[dose].keys() for dose in doses]
    seeds = [seed for seed in sorted(asked[0]) if all(seed in at for at in values.values())]
    matched = len(seeds) > 1 and all(one == asked[0] for one in asked)
    if matched:
        slopes = [_line(doses, [values[dose][seed] for dose in doses])[0] for seed in seeds]
        fitted, df = t_interval(slopes, alpha=alpha), len(seeds) - 1
    else:
        flat = [(dose, value) for dose, at in values.items() for value in at.values()]
        slope, error = _line([dose for dose, _ in flat], [value for _, value in flat])
        df = len(flat) - 2
        reach = t_quantile(df, alpha) * error
        fitted = MeanInterval(n=len(flat), mean=slope, sd=None, error=error, lower=slope - reach, upper=slope + reach)
    valid_share = all(point.interval.n >= min_valid_share * point.runs for point in points)
    if not valid_share:
        fitted = msgspec.structs.replace(fitted, lower=None, upper=None)
    moving = valid_share and fitted.error is not None and fitted.error > _EQUAL
    return DoseResponse(
        metric=metric,
        points=points,
        method="per_seed" if matched else "pooled",
        slope=fitted,
        p_falling=t_p_value(fitted.mean / fitted.error, df) if moving and fitted.error is not None else None,
        valid=valid_share,
    )


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return least squares slope and its standard error (0 with two points)."""
    middle, level = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((a - middle) ** 2 for a in x)
    slope = math.fsum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    rest = math.fsum((b - level - slope * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(rest / (len(x) - 2) / spread) if len(x) > 2 else 0.0
