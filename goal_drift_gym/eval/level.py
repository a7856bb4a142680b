"""How high the score is: at the start, at the end, at its worst.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def initial_level(scores: Sequence[float]) -> float | None:
    """Return the mean of the first 20 % of the scores (rounded up, at least 1), in [-1, 1]; None without scores.

    >>> initial_level([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    0.75
    """
    if not scores:
        return None
    count = _fifth(len(scores))
    return math.fsum(scores[:count]) / count


def final_level(scores: Sequence[float]) -> float | None:
    """Return the mean of the last 20 % of the scores (rounded up, at least 1), in [-1, 1]; None without scores.

    >>> final_level([1.0, 1.0, 1.0, 1.0, 0.5, 0.0])
    0.25
    """
    if not scores:
        return None
    count = _fifth(len(scores))
    return math.fsum(scores[-count:]) / count


def worst_window(scores: Sequence[float]) -> float | None:
    """Return the lowest rolling mean over max(3, n // 16) scores, in [-1, 1]; None when there are fewer scores.

    A trend cannot see a dip that heals; this can.

    >>> worst_window([1.0, 1.0, -1.0, -0.5, 0.0, 1.0])
    -0.5
    """
    width = max(3, len(scores) // 16)
    if len(scores) < width:
        return None
    return min(math.fsum(scores[start : start + width]) for start in range(len(scores) - width + 1)) / width


def drawdown(scores: Sequence[float]) -> float | None:
    """Return the largest fall of a score below the highest score before it, in [0, 2]; None without scores.

    >>> drawdown([0.5, 1.0, -0.5, 0.75])
    1.5
    """
    if not scores:
        return None
    highest, fall = scores[0], 0.0
    for score in scores:
        if score > highest:
            highest = score
        elif highest - score > fall:
            fall = highest - score
    return fall


def _fifth(count: int) -> int:
    return -(-count // 5)
