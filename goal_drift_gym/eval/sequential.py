"""Looks: deciding before all planned seeds are run, without erring more often.

A t statistic of n seeds has the same distribution whatever their spread, so one nominal level for all looks can be
calibrated once for any agent. The levels here are constants, found by simulating 2 million experiments of normal
seeds; `calibrate` finds those of other schedules.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.streams import stream
from goal_drift_gym.eval.curtailing import can_change
from goal_drift_gym.eval.interval import clopper_pearson_upper, require_alpha
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.rule import INCONCLUSIVE, Judged, judge, require_share

if TYPE_CHECKING:
    from goal_drift_gym.eval.rule import Flags, Floats, Ints

DEFAULT_LOOKS: Final = (5, 10, 15, 20)

NOMINAL_LEVELS: Final[Mapping[tuple[int, ...], Mapping[float, float]]] = MappingProxyType(
    {
        (5, 10): MappingProxyType({0.05: 0.0289, 0.025: 0.0139, 0.01: 0.0053}),
        (3, 5, 10): MappingProxyType({0.05: 0.0202, 0.025: 0.0095, 0.01: 0.0036}),
        (5, 10, 20): MappingProxyType({0.05: 0.0206, 0.025: 0.0097, 0.01: 0.0037}),
        (5, 10, 15, 20): MappingProxyType({0.05: 0.0181, 0.025: 0.0084, 0.01: 0.0031}),
        (3, 5, 10, 20): MappingProxyType({0.05: 0.0156, 0.025: 0.0073, 0.01: 0.0028}),
        (4, 8, 12, 16, 20): MappingProxyType({0.05: 0.0155, 0.025: 0.0071, 0.01: 0.0026}),
        tuple(range(3, 21)): MappingProxyType({0.05: 0.0088, 0.025: 0.0038, 0.01: 0.0013}),
    }
)
"""Nominal one-sided level of every look, by schedule and overall error."""

_LARGEST_LOOK = 1000
_CHUNK = 50_000


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When to look and how strict to be."""

    looks: tuple[int, ...]
    """Numbers of seeds at which to decide, increasing, each >= 2."""
    alpha: float
    """Error over all looks, in (0, 0.5)."""
    nominal: float
    """Error of each bound and test at each look, in (0, alpha]."""
    p_max: float
    """Largest allowed share of collapsing episodes, in (0, 1)."""
    guard_alpha: float
    """Error of the collapse bound at each look, such that the guard errs at most in alpha of cases over all looks."""
    allowed: tuple[int | None, ...]
    """At each look, the largest number of collapses with which the guard holds; None: not even with 0."""


def schedule(
    looks: Sequence[int] = DEFAULT_LOOKS,
    *,
    alpha: float = 0.05,
    p_max: float = 0.25,
) -> Schedule:
    """Plan the looks of an experiment.

    Parameters
    ----------
    looks : sequence of int
        Numbers of seeds, increasing, each >= 2 and at most 1000.
    alpha : float, default 0.05
        Error over all looks, in (0, 0.5).
    p_max : float, default 0.25
        Largest allowed share of collapsing episodes, in (0, 1).

    Returns
    -------
    Schedule
        With the nominal level of `NOMINAL_LEVELS`, or of `calibrate` for a schedule or alpha not listed there.

    Raises
    ------
    UsageError
        If an argument is out of its range.

    Notes
    -----
    Pocock's constant level [1]_, calibrated for t statistics of few seeds instead of z. The guard's level is the
    largest one whose exact error over all looks is at most alpha.

    References
    ----------
    .. [1] Pocock 1977, "Group sequential methods in the design and analysis of clinical trials", Biometrika 64.
    .. [2] Jennison and Turnbull 2000, "Group Sequential Methods with Applications to Clinical Trials".

    Examples
    --------
    >>> plan = schedule()
    >>> plan.nominal, plan.guard_alpha, plan.allowed
    (0.0181, 0.05, (None, None, 0, 1))
    """
    require_alpha(alpha)
    require_share("p_max", p_max)
    ordered = require_looks(looks)
    level, allowed = _guard(ordered, alpha, p_max)
    return Schedule(
        looks=ordered,
        alpha=alpha,
        nominal=nominal_level(ordered, alpha=alpha),
        p_max=p_max,
        guard_alpha=level,
        allowed=allowed,
    )


def nominal_level(looks: Sequence[int], *, alpha: float = 0.05) -> float:
    """Return the level of each look that keeps the error over all looks at `alpha`; one look needs no correction.

    >>> nominal_level([5, 10, 15, 20]), nominal_level([7])
    (0.0181, 0.05)
    """
    ordered = require_looks(looks)
    require_alpha(alpha)
    if len(ordered) == 1:
        return alpha
    known = NOMINAL_LEVELS.get(ordered, {})
    return known[alpha] if alpha in known else calibrate(ordered, alpha=alpha)


@lru_cache(maxsize=64)
def calibrate(looks: tuple[int, ...], *, alpha: float = 0.05, draws: int = 400_000, seed: int = 0) -> float:
    """Find the nominal level of a schedule by simulation.

    Parameters
    ----------
    looks : tuple of int
        Numbers of seeds, increasing.
    alpha : float, default 0.05
        Error over all looks, in (0, 0.5).
    draws : int, default 400_000
        Simulated experiments of normal seeds whose mean is the limit.
    seed : int, default 0
        Seed of the simulation.

    Returns
    -------
    float
        The alpha quantile of the smallest p of an experiment, rounded down to 4 significant digits; with 400,000
        draws the overall error is within 0.0007 of 0.05 in 95 of 100 seeds.
    """
    import numpy as np

    smallest = smallest_p_values(require_looks(looks), draws=draws, seed=seed)
    level = float(np.quantile(smallest, alpha))
    digits = 3 - math.floor(math.log10(level))
    return float(math.floor(level * 10**digits) / 10**digits)


def smallest_p_values(looks: tuple[int, ...], *, draws: int, seed: int) -> Floats:
    """Simulate experiments on the limit and return the smallest one-sided p over the looks of each."""
    import numpy as np
    from scipy.special import stdtr

    sizes = np.asarray(looks)
    found = []
    for chunk, start in enumerate(range(0, draws, _CHUNK)):
        rng = stream(seed, "calibrate", chunk).numpy()
        values = rng.normal(size=(min(_CHUNK, draws - start), looks[-1]))
        sums = np.cumsum(values, axis=1)[:, sizes - 1]
        squares = np.cumsum(values * values, axis=1)[:, sizes - 1]
        variance = (squares - sums * sums / sizes) / (sizes - 1)
        found.append(stdtr(sizes - 1, sums / np.sqrt(sizes * variance)).min(axis=1))
    return np.concatenate(found)


def walk(columns: Mapping[str, Floats], limits: Sequence[Limit], plan: Schedule) -> tuple[Ints, Ints]:
    """Decide experiments look by look.

    Parameters
    ----------
    columns : mapping of name to ndarray, shape (rows, n)
        As for `rule.judge`, with at least the seeds of the last look.
    limits : sequence of Limit
        At least one.
    plan : Schedule
        The looks.

    Returns
    -------
    status, used : ndarray of int, shape (rows,)
        Index into `rule.STATUSES`, and the number of seeds looked at.
    """
    import numpy as np

    rows = len(columns[limits[0].name])
    status, used = np.full(rows, INCONCLUSIVE), np.full(rows, plan.looks[-1])
    running = np.arange(rows)
    for look in plan.looks:
        seen = {name: values[running, :look] for name, values in columns.items()}
        judged = judge_look(seen, limits, plan)
        stops = stopping(judged, seen, plan, remaining=plan.looks[-1] - look)
        status[running[stops]] = judged.status[stops]
        used[running[stops]] = look
        running = running[~stops]
        if not running.size:
            break
    return status, used


def judge_look(seen: Mapping[str, Floats], limits: Sequence[Limit], plan: Schedule) -> Judged:
    """Judge the seeds of one look at the schedule's levels."""
    return judge(seen, limits, alpha=plan.nominal, p_max=plan.p_max, guard_alpha=plan.guard_alpha)


def stopping(judged: Judged, seen: Mapping[str, Floats], plan: Schedule, *, remaining: int) -> Flags:
    """Return where no further seed is needed: decided, no seeds left, or no outcome of them changes the verdict."""
    import numpy as np

    if remaining == 0:
        return np.ones(len(judged.status), dtype=bool)
    decided = judged.status != INCONCLUSIVE
    return np.asarray(decided | ~can_change(judged, seen, plan.nominal, plan.guard_alpha, plan.p_max, remaining))


def require_looks(looks: Sequence[int]) -> tuple[int, ...]:
    """Return the looks as a tuple; raise UsageError unless they are increasing whole numbers from 2 to 1000."""
    ordered = tuple(looks)
    if (
        not ordered
        or any(isinstance(look, bool) or not isinstance(look, int) for look in ordered)
        or any(later <= earlier for earlier, later in pairwise(ordered))
        or not 2 <= ordered[0] <= ordered[-1] <= _LARGEST_LOOK
    ):
        raise UsageError(
            f"looks are {list(ordered)!r}; they must be increasing whole numbers from 2 to {_LARGEST_LOOK}"
        )
    return ordered


def _guard(looks: tuple[int, ...], alpha: float, p_max: float) -> tuple[float, tuple[int | None, ...]]:
    levels = {alpha}
    for look in looks:
        tail = 0.0
        for count in range(look + 1):
            tail += math.comb(look, count) * p_max**count * (1.0 - p_max) ** (look - count)
            if tail > alpha:
                break
            # A hair above the tail, so that the bound at this level falls below p_max in floating point.
            levels.add(min(alpha, tail * (1.0 + 1e-9)))
    # The smallest level admits a single (look, count), whose error is at most alpha: the search always ends.
    plans = ((level, tuple(_allowed(look, level, p_max) for look in looks)) for level in sorted(levels, reverse=True))
    return next((level, allowed) for level, allowed in plans if _guard_error(looks, allowed, p_max) <= alpha)


def _allowed(n: int, alpha: float, p_max: float) -> int | None:
    largest = None
    for count in range(n):
        if clopper_pearson_upper(count, n, alpha=alpha) > p_max:
            break
        largest = count
    return largest


def _guard_error(looks: tuple[int, ...], allowed: tuple[int | None, ...], p_max: float) -> float:
    """Return the exact probability that the guard holds at some look when a share `p_max` of episodes collapses."""
    import numpy as np

    running, error, before = np.ones(1), 0.0, 0
    for look, most in zip(looks, allowed, strict=True):
        steps = look - before
        added = [math.comb(steps, k) * p_max**k * (1.0 - p_max) ** (steps - k) for k in range(steps + 1)]
        running = np.convolve(running, added)
        if most is not None:
            error += float(running[: most + 1].sum())
            running[: most + 1] = 0.0
        before = look
    return error
