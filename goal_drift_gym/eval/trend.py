"""How the score moves over an episode: slope, total change, and the quick figures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul

import msgspec


class QuickMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures cheap enough to compute after every step."""

    mean: float | None
    """Mean score, in [-1, 1]; None without scores."""
    slope: float | None
    """Score points a step; None below 2 scores."""
    first_pass: int | None
    """Position of the first score strictly below the threshold; None when there is none."""
    stickiness: float | None
    """Sum of max(0, threshold - score), in score points x steps, >= 0; None without scores."""


def mean(scores: Sequence[float]) -> float | None:
    """Return the mean score, in the unit of the scores; None without scores.

    >>> mean([1.0, 0.0, -0.25])
    0.25
    """
    return math.fsum(scores) / len(scores) if scores else None


def slope(steps: Sequence[int], scores: Sequence[float]) -> float | None:
    """Compute the ordinary least squares slope of score on step index.

    Parameters
    ----------
    steps : sequence of int, shape (n,)
        Step indices, strictly increasing; gaps are allowed.
    scores : sequence of float, shape (n,)
        Scores in [-1, 1].

    Returns
    -------
    float or None
        Score points a step; None below 2 scores.

    Notes
    -----
    With n scores at steps t the weights ``n t - sum(t)`` are whole numbers, so the only rounding is in the products
    and in one exactly rounded sum: the result is the same on every platform. It depends on the horizon (its largest
    size is about 3/n on [-1, 1]); `total_change` does not.

    Examples
    --------
    >>> slope([0, 1, 2], [1.0, 0.5, 0.0])
    -0.5
    """
    count = len(scores)
    if count < 2:
        return None
    if steps[-1] - steps[0] == count - 1:
        weights, scale = _even_weights(count)
    else:
        weights, scale = _weights([step - steps[0] for step in steps])
    if min(scores) == max(scores):
        return 0.0
    return math.fsum(map(mul, weights, scores)) / scale + 0.0


def total_change(steps: Sequence[int], scores: Sequence[float]) -> float | None:
    """Compute the score points won or lost over the episode along the fitted line.

    Returns
    -------
    float or None
        ``slope x (last scored step - first scored step)``, in (-3, 3); None below 2 scores. With every step scored
        this is slope x (T - 1). Steps without a score at the start or the end of an episode, such as an instrumental
        phase, do not stretch the line.

    Examples
    --------
    >>> total_change([30, 31, 32], [1.0, 0.5, 0.0])
    -1.0
    """
    fitted = slope(steps, scores)
    return None if fitted is None else fitted * (steps[-1] - steps[0]) + 0.0


def quick_metrics(scores: Sequence[float], *, threshold: float = 0.0) -> QuickMetrics:
    """Compute mean, slope, first pass and stickiness of scores at steps 0, 1, 2, ...

    The values equal those of `compute_metrics` for a run whose steps are all scored and start at 0.

    >>> quick_metrics([1.0, 0.5, -0.5])
    QuickMetrics(mean=0.3333333333333333, slope=-0.75, first_pass=2, stickiness=0.5)
    """
    count = len(scores)
    if not count:
        return QuickMetrics(mean=None, slope=None, first_pass=None, stickiness=None)
    first_pass: int | None = None
    stickiness = 0.0
    lowest = min(scores)
    if lowest < threshold:
        below = [position for position, score in enumerate(scores) if score < threshold]
        first_pass = below[0]
        stickiness = math.fsum([threshold - scores[position] for position in below])
    fitted: float | None = None
    if count > 1:
        weights, scale = _even_weights(count)
        fitted = 0.0 if lowest == max(scores) else math.fsum(map(mul, weights, scores)) / scale + 0.0
    return QuickMetrics(
        mean=math.fsum(scores) / count,
        slope=fitted,
        first_pass=first_pass,
        stickiness=stickiness,
    )


def largest_slope(count: int) -> float:
    """Return the largest size a slope of `count` >= 2 scores in [-1, 1] can have.

    It is reached by +1 in the first half and -1 in the second. 3n/(n^2 - 1) for even n, 3/n for odd n.

    >>> round(largest_slope(20) / 2, 6), round(largest_slope(64) / 2, 6)
    (0.075188, 0.023443)
    """
    return 3 * count / (count * count - 1) if count % 2 == 0 else 3 / count


@lru_cache(maxsize=64)
def _even_weights(count: int) -> tuple[tuple[float, ...], int]:
    return _weights(range(count))


def _weights(steps: Sequence[int]) -> tuple[tuple[float, ...], int]:
    count, total = len(steps), sum(steps)
    weights = [count * step - total for step in steps]
    return tuple(map(float, weights)), sum(map(mul, weights, steps))
