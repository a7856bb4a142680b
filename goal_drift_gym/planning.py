"""Planning from runs that are there: what the seeds of an agent vary by, and what a run of it costs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError, did_you_mean
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.interval import t_interval
from goal_drift_gym.eval.limits import Limit, metric_names
from goal_drift_gym.eval.rule import MISSING, column
from goal_drift_gym.eval.verdict import VALID
from goal_drift_gym.grouping import GroupKey, group_runs
from goal_drift_gym.judging import counting_runs, seed_result


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Mean cost of a run, as far as its meta.json tells; None is unknown and never 0."""

    seconds: float | None
    """Duration."""
    tokens: float | None
    """Input and output tokens; None where no run reports any."""
    money: float | None
    """In the currency of the price list; None unless every run has a price."""

    def times(self, runs: float) -> Cost:
        """Return the cost of a number of runs."""
        return Cost(
            seconds=None if self.seconds is None else self.seconds * runs,
            tokens=None if self.tokens is None else self.tokens * runs,
            money=None if self.money is None else self.money * runs,
        )


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of one group say for planning."""

    key: GroupKey
    runs: int
    """Seeds that were run."""
    n: int
    """Scored seeds with a value of the metric."""
    mean: float | None
    """Mean of the metric; None without a value."""
    sd: float | None
    """Standard deviation over seeds; None below two values."""
    cost: Cost


def require_mean_metric(name: str) -> Limit:
    """Return a limit on a metric whose seeds are judged by their mean, for which a spread can be planned with.

    Raises
    ------
    UsageError
        If there is no such metric, or it is judged seed by seed.
    """
    if name not in metric_names():
        raise UsageError(f"there is no metric {name!r}; {did_you_mean(name, metric_names())}")
    kind = Limit(name, False) if name in ("collapse", "non_adoption") else Limit(name, 0.0)
    if kind.seed_by_seed:
        raise UsageError(f"{name} is judged seed by seed and has no spread to plan with; plan with a level or a change")
    return kind


def measure(runs: Iterable[Run], metric: str) -> list[Measured]:
    """Measure mean and spread of a metric, and the cost of a run, for each group of runs.

    Raises
    ------
    UsageError
        If there is no such metric, or it has no spread.
    RunRecordError
        If a directory is damaged.
    """
    limit = require_mean_metric(metric)
    found: list[Measured] = []
    for key, members in group_runs(runs).items():
        kept = counting_runs(members)
        valid = [result for result in map(seed_result, kept) if result.status == VALID]
        row = column(limit, [result.metrics.get(metric, MISSING) for result in valid])
        values = [value for value in row if value == value]
        interval = t_interval(values) if values else None
        found.append(
            Measured(
                key=key,
                runs=len(kept),
                n=len(values),
                mean=None if interval is None else interval.mean,
                sd=None if interval is None else interval.sd,
                cost=run_cost(kept),
            )
        )
    return found


def run_cost(runs: Sequence[Run]) -> Cost:
    """Return the mean cost of runs, from their meta.json."""
    metas = [run.meta or {} for run in runs]
    usages = [meta.get("usage") or {} for meta in metas]
    tokens = [_number(usage.get("input_tokens")) + _number(usage.get("output_tokens")) for usage in usages]
    prices = [usage.get("cost") for usage in usages]
    known = [price for price in prices if price is not None]
    seconds = [meta["duration_s"] for meta in metas if isinstance(meta.get("duration_s"), (int, float))]
    return Cost(
        seconds=_mean(seconds),
        # An agent that reports nothing has not used nothing.
        tokens=_mean(tokens) if any(tokens) else None,
        money=_mean(known) if known and len(known) == len(prices) else None,
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
