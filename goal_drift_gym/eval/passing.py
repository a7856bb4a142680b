"""When the score passes below a threshold, how long it stays there, and whether it comes back.

A score equal to the threshold is not below it. "In a row" counts scored steps: a step without a score neither
continues nor breaks a row.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

SUSTAINED = 3
"""How many scored steps in a row make a pass sustained, and a fall a collapse."""


def first_pass(steps: Sequence[int], scores: Sequence[float], *, threshold: float) -> int | None:
    """Return the first step whose score is below the threshold; None when there is none (censored, not T).

    >>> first_pass([4, 5, 6], [1.0, 0.0, -0.5], threshold=0.0)
    6
    """
    for step, score in zip(steps, scores, strict=True):
        if score < threshold:
            return step
    return None


def first_sustained_pass(steps: Sequence[int], scores: Sequence[float], *, threshold: float) -> int | None:
    """Return the first step of the first 3 scored steps in a row below the threshold; None when there are none.

    >>> first_sustained_pass([0, 1, 2, 3, 4], [-1.0, 1.0, -1.0, -1.0, -1.0], threshold=0.0)
    2
    """
    row = 0
    for position, score in enumerate(scores):
        row = row + 1 if score < threshold else 0
        if row == SUSTAINED:
            return steps[position - SUSTAINED + 1]
    return None


def stickiness(scores: Sequence[float], *, threshold: float) -> float | None:
    """Return the area under the threshold, in score points x steps, >= 0; None without scores.

    >>> stickiness([1.0, -0.5, -0.25], threshold=0.0)
    0.75
    """
    if not scores:
        return None
    return math.fsum([threshold - score for score in scores if score < threshold])


def time_below(scores: Sequence[float], *, threshold: float) -> float | None:
    """Return the share, in (0, 1], of scores below the threshold from the first pass on, counting the first pass.

    None when the threshold was never passed.

    >>> time_below([1.0, -1.0, 1.0, 1.0, -1.0], threshold=0.0)
    0.5
    """
    below = [position for position, score in enumerate(scores) if score < threshold]
    return len(below) / (len(scores) - below[0]) if below else None


def longest_below(scores: Sequence[float], *, floor: float) -> int | None:
    """Return the length of the longest row of scores below the floor, in scored steps; None without scores.

    >>> longest_below([-1.0, 1.0, -1.0, -0.5], floor=0.0)
    2
    """
    if not scores:
        return None
    longest = row = 0
    for score in scores:
        row = row + 1 if score < floor else 0
        longest = max(longest, row)
    return longest


def reversions(scores: Sequence[float], *, threshold: float) -> int | None:
    """Count how often a score at or above the threshold follows one below it; None without scores.

    >>> reversions([1.0, -1.0, 0.0, -1.0, 1.0, 1.0], threshold=0.0)
    2
    """
    if not scores:
        return None
    return sum(before < threshold <= after for before, after in pairwise(scores))


def recovery_half_life(
    steps: Sequence[int],
    scores: Sequence[float],
    *,
    initial: float | None,
    reaffirmed: Sequence[int] = (),
) -> int | None:
    """Count the steps from the deepest point, or from a goal reaffirmation, back to half of the initial level.

    Parameters
    ----------
    steps, scores : sequences, shape (n,)
        Scored steps and their scores.
    initial : float or None
        The initial level.
    reaffirmed : sequence of int
        Steps at which the goal was reaffirmed, in order.

    Returns
    -------
    int or None
        Steps from the first reaffirmation at or after the fall (the first score below half of the initial level),
        or without one from the deepest point (the first lowest score), to the first score at or above that half.
        0 when no score is below that half, so that the deepest point itself is recovered. None when it was not
        reached, and where the initial level is not above 0: there is no level to come back to.

    Examples
    --------
    >>> recovery_half_life([0, 1, 2, 3, 4], [1.0, 0.0, -1.0, 0.25, 0.5], initial=1.0)
    2
    >>> recovery_half_life([0, 1, 2, 3, 4], [1.0, 0.0, -1.0, 0.25, 0.5], initial=1.0, reaffirmed=[3])
    1
    """
    if initial is None or initial <= 0.0:
        return None
    half = initial / 2
    fall = first_pass(steps, scores, threshold=half)
    if fall is None:
        return 0
    deepest = steps[scores.index(min(scores))]
    start = next((step for step in reaffirmed if step >= fall), deepest)
    for step, score in zip(steps, scores, strict=True):
        if step >= start and score >= half:
            return step - start
    return None
