"""A verdict and means over seeds as pages show them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from goal_drift_gym.eval.interval import clopper_pearson_lower, clopper_pearson_upper, t_interval
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.verdict_records import Verdict
from goal_drift_gym.eval.verdict_text import (
    further_sentence,
    guard_sentence,
    interval_title,
    metric_cells,
    verdict_headline,
)
from goal_drift_gym.report.page import number

ALPHA: Final = 0.05
"""Error of each one-sided bound on pages."""

INTERVAL: Final = f"{1.0 - 2.0 * ALPHA:.0%}"

_LONGEST = 200


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in words."""

    headline: str
    interval: str
    """What the intervals are called."""
    metrics: list[tuple[str, ...]]
    """Metric, estimate, interval, limit, p and result of each limit."""
    guard: str | None
    reasons: list[str]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval."""

    value: float | None
    text: str
    interval: str
    """Empty where there is none."""


def verdict_view(verdict: Verdict) -> VerdictView:
    """Return a verdict in words."""
    further = [] if verdict.further_seeds is None else [further_sentence(verdict)]
    return VerdictView(
        headline=verdict_headline(verdict),
        interval=interval_title(verdict),
        metrics=[metric_cells(metric) for metric in verdict.metrics],
        guard=None if verdict.guard is None else guard_sentence(verdict.guard),
        reasons=[*verdict.reasons, *further],
    )


def mean_cell(values: Sequence[float]) -> Cell:
    """Return the mean of values over seeds with its Student t interval."""
    if not values:
        return Cell(value=None, text="-", interval="")
    found = t_interval(values, alpha=ALPHA)
    # An interval without width would read as certainty.
    interval = bounds(found.lower, found.upper) if found.sd else ""
    return Cell(value=found.mean, text=number(found.mean), interval=interval)


def share_cell(count: int, total: int) -> Cell:
    """Return a share of seeds with its exact bounds."""
    if not total:
        return Cell(value=None, text="-", interval="")
    low, high = (float(bound(count, total, alpha=ALPHA)) for bound in (clopper_pearson_lower, clopper_pearson_upper))
    return Cell(value=count / total, text=f"{count} of {total}", interval=f"[{low:.0%}, {high:.0%}]")


def bounds(lower: float | None, upper: float | None) -> str:
    """Return an interval as pages show it; empty where there is none."""
    return "" if lower is None or upper is None else f"[{number(lower)}, {number(upper)}]"


def limits_text(limits: Mapping[str, float | bool]) -> str:
    """Return limits as a reader would write them."""
    return ", ".join(Limit(name, value).rule for name, value in limits.items()) or "-"


def short(text: str) -> str:
    """Return a text that fits a heading or a cell; what is cut is said.

    >>> short("x" * 1000)[-32:]
    'xxx ... (800 further characters)'
    """
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} ... ({len(text) - _LONGEST} further characters)"
