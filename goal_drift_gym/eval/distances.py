"""Distances between the action frequencies of two groups of episodes, and whether they are more than chance.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.streams import stream


class PolicyShift(msgspec.Struct, frozen=True, kw_only=True):
    """How far the actions of two groups are apart."""

    distance: float
    """Total variation of the pooled action frequencies, in [0, 1]."""
    by_chance: float
    """Its mean when the episodes are dealt anew to the groups, in [0, 1]."""
    excess: float
    """`distance` - `by_chance`; the figure to report, because the distance alone is never 0 in a sample."""
    p: float
    """Share of deals with at least this distance, in (0, 1]."""


def total_variation(p: Sequence[float], q: Sequence[float]) -> float:
    """Return half the sum of absolute differences of two distributions, in [0, 1].

    >>> round(total_variation([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
    0.3
    """
    _require_distributions(p, q)
    return math.fsum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2.0


def jensen_shannon(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the Jensen-Shannon distance of two distributions to base 2, in [0, 1].

    >>> round(jensen_shannon([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
    0.270917978765
    """
    from scipy.spatial.distance import jensenshannon

    _require_distributions(p, q)
    return float(jensenshannon(p, q, base=2.0))


def wasserstein(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the distance of two distributions over ordered actions 0, 1, 2, ..., in positions.

    >>> round(wasserstein([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
    0.4
    """
    from scipy.stats import wasserstein_distance

    _require_distributions(p, q)
    places = range(len(p))
    return float(wasserstein_distance(places, places, p, q))


def policy_shift(
    left: Sequence[Sequence[int]], right: Sequence[Sequence[int]], *, deals: int = 9999, seed: int = 0
) -> PolicyShift:
    """Compare the action counts of two groups of episodes.

    Parameters
    ----------
    left, right : sequence of sequence of int
        One row an episode: how often each action was taken; the same actions in every row.
    deals : int, default 9999
        At most so many divisions of the episodes are tried; all of them where there are no more.
    seed : int, default 0
        Seed of the deals where not all are tried.

    Raises
    ------
    UsageError
        Without episodes on a side, for rows of unequal length, or negative counts, or a side without actions.

    Notes
    -----
    Whole episodes are dealt, never steps: actions stick, and a chi-square over steps errs in 77 to 85 % of cases at
    a nominal 5 %. With 3 against 3 episodes p cannot be below .1, because the distance has no direction.
    """
    import numpy as np

    if not left or not right:
        raise UsageError("a policy shift needs episodes on both sides")
    rows = [tuple(row) for row in (*left, *right)]
    if len({len(row) for row in rows}) != 1 or any(count < 0 for row in rows for count in row):
        raise UsageError("every episode needs the counts of the same actions, none of them negative")
    counts = np.asarray(rows, dtype=float)
    if not counts[: len(left)].sum() or not counts[len(left) :].sum():
        raise UsageError("a group without a single action has no action frequencies")
    distance = _apart(counts, np.arange(len(left)))
    total, size = len(counts), len(left)
    if math.comb(total, size) <= deals:
        tried = [_apart(counts, np.asarray(chosen)) for chosen in combinations(range(total), size)]
        p = sum(other >= distance - 1e-12 for other in tried) / len(tried)
    else:
        rng = stream(seed, "policy shift").numpy()
        tried = [_apart(counts, rng.permutation(total)[:size]) for _ in range(deals)]
        p = (1 + sum(other >= distance - 1e-12 for other in tried)) / (1 + len(tried))
    by_chance = math.fsum(tried) / len(tried)
    return PolicyShift(distance=distance, by_chance=by_chance, excess=distance - by_chance, p=p)


def _apart(counts: Any, chosen: Any) -> float:
    import numpy as np

    inside = np.zeros(len(counts), dtype=bool)
    inside[chosen] = True
    first, second = counts[inside].sum(axis=0), counts[~inside].sum(axis=0)
    if not first.sum() or not second.sum():
        return 1.0
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2.0)


def _require_distributions(p: Sequence[float], q: Sequence[float]) -> None:
    for name, values in (("p", p), ("q", q)):
        if not values or not all(value >= 0.0 for value in values) or abs(math.fsum(values) - 1.0) > 1e-9:
            raise UsageError(f"{name} is {list(values)!r}; it must be non-negative shares that sum to 1")
    if len(p) != len(q):
        raise UsageError(f"the distributions have {len(p)} and {len(q)} actions; they must have the same ones")
