"""Planning: how many seeds see how much, and what a number of seeds can and cannot show.

An *effect* is the distance between the true mean of a metric and its limit, in standard deviations over seeds.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.streams import stream
from goal_drift_gym.eval.interval import clopper_pearson_upper, require_alpha, t_quantile
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.rule import FAIL, GUARD, require_share
from goal_drift_gym.eval.sequential import DEFAULT_LOOKS, schedule, walk

MOST_SEEDS = 10_000
"""Where the search for a number of seeds ends."""

_CERTAIN = 30.0


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the looks of a schedule cost when the truth is `effect` beyond the limit."""

    effect: float
    """Distance beyond the limit in standard deviations over seeds, >= 0."""
    fail: float
    """Probability of FAIL, in [0, 1]."""
    seeds: float
    """Mean number of seeds used."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many seeds a change needs, and what they cost."""

    change: float
    """Distance between truth and limit that is to be seen, in the metric's unit, > 0."""
    sd: float
    """Standard deviation of the metric over seeds, in its unit, > 0."""
    power: float
    """Wanted probability of seeing it, in (0, 1)."""
    alpha: float
    """Error rate."""
    limits: int
    """Number of limits judged at once; alpha is shared among them."""
    seeds: int | None
    """Seeds that are needed without looks; None above 10,000."""
    clean_seeds: int
    """Seeds without a collapse before anything can PASS."""
    expected: Expected
    """Cost with the looks."""
    looks: tuple[int, ...]
    """The looks."""


class Showing(msgspec.Struct, frozen=True, kw_only=True):
    """What a number of seeds can and cannot show."""

    seeds: int
    """Number of valid seeds."""
    detectable: float | None
    """Smallest distance beyond the limit, in standard deviations over seeds, that FAILs with the wanted power; None
    for one seed."""
    rate_bound: float
    """Share of collapsing episodes that cannot be excluded when none of the seeds collapsed, in (0, 1]."""
    can_pass: bool
    """Whether a PASS is possible at all."""


def power(effect: float, n: int, *, alpha: float = 0.05) -> float:
    """Compute the probability that n seeds show a mean to be beyond (or within) its limit.

    Parameters
    ----------
    effect : float
        Distance of the true mean from the limit in standard deviations over seeds, finite.
    n : int
        Number of seeds; below 2 the probability is 0.
    alpha : float, default 0.05
        One-sided error rate, in (0, 0.5).

    Returns
    -------
    float
        P(T > t(n - 1, 1 - alpha)) of the noncentral t with noncentrality sqrt(n) x effect, in [0, 1].

    Examples
    --------
    >>> round(power(1.0, 10), 4)
    0.8975
    """
    from scipy.special import nctdtr

    require_alpha(alpha)
    if n < 2:
        return 0.0
    critical, shift = t_quantile(n - 1, alpha), effect * math.sqrt(n)
    # Far out the noncentral t loses its digits; nothing depends on them there.
    if shift - critical > _CERTAIN:
        return 1.0
    return 1.0 - float(nctdtr(n - 1, shift, critical))


def seeds_for_power(effect: float, *, wanted: float = 0.8, alpha: float = 0.05) -> int | None:
    """Return the smallest number of seeds with at least the wanted power; None above `MOST_SEEDS`, or for effect <= 0.

    >>> seeds_for_power(1.0), seeds_for_power(1.0, wanted=0.9)
    (8, 11)
    """
    require_alpha(alpha)
    require_share("the wanted power", wanted)
    if effect <= 0.0 or power(effect, MOST_SEEDS, alpha=alpha) < wanted:
        return None
    low, high = 1, 2
    while power(effect, high, alpha=alpha) < wanted:
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, middle, alpha=alpha) < wanted:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=1024)
def detectable_effect(n: int, *, wanted: float = 0.8, alpha: float = 0.05) -> float | None:
    """Return the smallest effect that n seeds see with the wanted power; None below 2 seeds.

    >>> [round(detectable_effect(n), 3) for n in (3, 5, 10, 20)]
    [2.297, 1.359, 0.853, 0.577]
    """
    require_alpha(alpha)
    require_share("the wanted power", wanted)
    if n < 2:
        return None
    low, high = 0.0, 1.0
    while power(high, n, alpha=alpha) < wanted:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = (low + high) / 2.0
        if power(middle, n, alpha=alpha) < wanted:
            low = middle
        else:
            high = middle
    return high


def clean_seeds(p_max: float = 0.25, *, collapses: int = 0, alpha: float = 0.05) -> int:
    """Return the seeds needed to show that at most `p_max` of episodes collapse when `collapses` of them did.

    >>> clean_seeds(), clean_seeds(collapses=1), clean_seeds(0.1), clean_seeds(0.05)
    (11, 18, 29, 59)
    """
    require_alpha(alpha)
    require_share("p_max", p_max)
    low, high = collapses, collapses + 1
    while clopper_pearson_upper(collapses, high, alpha=alpha) > p_max:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if clopper_pearson_upper(collapses, middle, alpha=alpha) > p_max:
            low = middle
        else:
            high = middle
    return high


def total_change_sd(step_sd: float, steps: int, *, correlation: float = 0.0, seed_sd: float = 0.0) -> float:
    """Compute the standard deviation of total_change over seeds from the noise of a step.

    Parameters
    ----------
    step_sd : float
        Standard deviation of a score around its trend, >= 0.
    steps : int
        Scored steps T, >= 2.
    correlation : float, default 0.0
        Correlation of neighbouring steps, in (-1, 1).
    seed_sd : float, default 0.0
        Standard deviation of the true total_change between seeds. In published episodes it dominates: more seeds
        help, longer episodes do not.

    Returns
    -------
    float
        ``sqrt(seed_sd^2 + 12 step_sd^2 (T - 1) / (T (T + 1)) x inflation)``, where the inflation is that of a
        first-order autoregression.

    Examples
    --------
    >>> [round((total_change_sd(1, 20, correlation=r) / total_change_sd(1, 20)) ** 2, 1) for r in (0.3, 0.6, 0.8)]
    [1.7, 2.9, 4.1]
    """
    import numpy as np

    if steps < 2 or step_sd < 0.0 or seed_sd < 0.0 or not -1.0 < correlation < 1.0:
        raise UsageError(
            f"total_change_sd(step_sd={step_sd!r}, steps={steps!r}, correlation={correlation!r}, seed_sd={seed_sd!r}): "
            f"needs at least 2 steps, no negative sd and a correlation in (-1, 1)"
        )
    time = np.arange(steps) - (steps - 1) / 2
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    inflation = float(time @ covariance @ time / (time @ time))
    own = 12.0 * step_sd**2 * (steps - 1) / (steps * (steps + 1))
    return math.sqrt(seed_sd**2 + own * inflation)


@lru_cache(maxsize=256)
def expected_seeds(
    effect: float,
    *,
    looks: tuple[int, ...] = DEFAULT_LOOKS,
    alpha: float = 0.05,
    limits: int = 1,
    draws: int = 20_000,
    seed: int = 0,
) -> Expected:
    """Simulate what a schedule of looks costs; the experiments go through the real rule.

    Parameters
    ----------
    effect : float
        Distance of the true mean beyond its limit in standard deviations over seeds; negative within it.
    looks : tuple of int
        The schedule.
    alpha : float, default 0.05
        Error over all looks.
    limits : int, default 1
        Number of limits that share alpha, >= 1; the others are taken to be kept.
    draws, seed : int
        Simulated experiments of normal seeds, and the seed of the simulation.

    Returns
    -------
    Expected
        Standard errors at 20,000 draws are at most 0.004 for `fail` and 0.06 for `seeds` up to 20.
    """
    import numpy as np

    plan = schedule(looks, alpha=alpha)
    if limits > 1:
        plan = msgspec.structs.replace(plan, nominal=plan.nominal / limits)
    limit = Limit("stickiness", 0.0)
    values = stream(seed, "expected seeds").numpy().normal(size=(draws, plan.looks[-1])) + effect
    status, used = walk({limit.name: values, GUARD: np.zeros_like(values)}, [limit], plan)
    return Expected(effect=effect, fail=float(np.mean(status == FAIL)), seeds=float(used.mean()))


def plan_seeds(
    change: float,
    sd: float,
    *,
    wanted: float = 0.8,
    alpha: float = 0.05,
    limits: int = 1,
    p_max: float = 0.25,
    looks: Sequence[int] = DEFAULT_LOOKS,
) -> Plan:
    """Plan an experiment that is to see a change of a metric.

    Parameters
    ----------
    change : float
        How far beyond its limit the metric's true mean must be seen, in its unit, > 0.
    sd : float
        Assumed or measured standard deviation of the metric over seeds, in its unit, > 0.
    wanted : float, default 0.8
        Wanted power, in (0, 1).
    alpha : float, default 0.05
        Error rate, in (0, 0.5).
    limits : int, default 1
        Number of limits judged at once, >= 1.
    p_max : float, default 0.25
        Largest allowed share of collapsing episodes.
    looks : sequence of int
        Schedule whose cost is given beside it.

    Raises
    ------
    UsageError
        If an argument is out of its range.

    Examples
    --------
    >>> plan_seeds(0.01, 0.0105).seeds
    9
    """
    if not change > 0.0 or not sd > 0.0 or not math.isfinite(change / sd):
        raise UsageError(f"change {change!r} and sd {sd!r} must be finite numbers above 0")
    if limits < 1:
        raise UsageError(f"limits is {limits!r}; at least 1 limit must be judged")
    return Plan(
        change=change,
        sd=sd,
        power=wanted,
        alpha=alpha,
        limits=limits,
        seeds=seeds_for_power(change / sd, wanted=wanted, alpha=alpha / limits),
        clean_seeds=clean_seeds(p_max, alpha=alpha),
        expected=expected_seeds(change / sd, looks=tuple(looks), alpha=alpha, limits=limits),
        looks=tuple(looks),
    )


def what_seeds_show(
    counts: Sequence[int] = (3, 5, 10, 11, 15, 20, 30),
    *,
    wanted: float = 0.8,
    alpha: float = 0.05,
    limits: int = 1,
    p_max: float = 0.25,
) -> list[Showing]:
    """Tabulate what numbers of seeds can and cannot show, without looks.

    >>> [(row.seeds, row.can_pass, round(row.rate_bound, 2)) for row in what_seeds_show([5, 11])]
    [(5, False, 0.45), (11, True, 0.24)]
    """
    return [
        Showing(
            seeds=n,
            detectable=detectable_effect(n, wanted=wanted, alpha=alpha / limits),
            rate_bound=float(clopper_pearson_upper(0, n, alpha=alpha)),
            can_pass=bool(clopper_pearson_upper(0, n, alpha=alpha) <= p_max),
        )
        for n in counts
    ]
