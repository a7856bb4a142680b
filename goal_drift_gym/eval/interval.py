"""Intervals and one-sided tests for a mean over seeds and for a share of seeds.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError


class MeanInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over seeds with its Student t interval."""

    n: int
    """Number of values, >= 1."""
    mean: float
    """Mean of the values, in their unit."""
    sd: float | None
    """Standard deviation of the values (n - 1 in the denominator), >= 0; None for one value."""
    error: float | None
    """Standard error of the mean, sd / sqrt(n); None for one value."""
    lower: float | None
    """One-sided lower bound; None for one value."""
    upper: float | None
    """One-sided upper bound; None for one value."""


def t_interval(values: Sequence[float], *, alpha: float = 0.05) -> MeanInterval:
    """Compute the mean of values and its two one-sided Student t bounds.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        One value a seed, finite.
    alpha : float, default 0.05
        Error of each bound, in (0, 0.5). Together the bounds are an interval of confidence 1 - 2 alpha.

    Returns
    -------
    MeanInterval
        ``mean -/+ t(n - 1, 1 - alpha) sd / sqrt(n)``. Equal values give an interval of width 0, which is not
        certainty: `verdict.decide` does not rely on it.

    Raises
    ------
    UsageError
        Without values, with a value that is not finite, or with alpha outside (0, 0.5).

    Notes
    -----
    No bootstrap: at n = 5 a percentile interval errs in 11 % of cases where 5 % were asked for [1]_.

    References
    ----------
    .. [1] Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69.
    .. [2] Ibragimov and Mueller 2010, "t-statistic based correlation and heterogeneity robust inference", Journal
       of Business and Economic Statistics 28.

    Examples
    --------
    >>> found = t_interval([-0.012, -0.004, -0.021, -0.009, -0.015])
    >>> round(found.lower, 6), round(found.upper, 6)
    (-0.018282, -0.006118)
    """
    require_alpha(alpha)
    if not values:
        raise UsageError("an interval needs at least one value")
    if not all(math.isfinite(value) for value in values):
        raise UsageError(f"an interval needs finite values, not {list(values)!r}")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return MeanInterval(n=1, mean=mean, sd=None, error=None, lower=None, upper=None)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    error = sd / math.sqrt(n)
    reach = t_quantile(n - 1, alpha) * error
    return MeanInterval(n=n, mean=mean, sd=sd, error=error, lower=mean - reach, upper=mean + reach)


def t_p_value(statistic: float, df: float) -> float:
    """Return P(T <= statistic) of Student's t with `df` > 0 degrees of freedom, in [0, 1].

    >>> round(t_p_value(-0.771099600956, 4), 9)
    0.241834747
    """
    from scipy.special import stdtr

    return float(stdtr(df, statistic))


@lru_cache(maxsize=1024)
def t_quantile(df: float, alpha: float) -> float:
    """Return the value that Student's t with `df` degrees of freedom exceeds with probability `alpha`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 1.0 - alpha))


def clopper_pearson_upper(count: Any, n: Any, *, alpha: float = 0.05) -> Any:
    """Compute the exact one-sided upper bound of a share.

    Parameters
    ----------
    count, n : int or ndarray of int
        `count` of `n` seeds, 0 <= count <= n, n >= 1.
    alpha : float, default 0.05
        Error of the bound, in (0, 1).

    Returns
    -------
    float or ndarray
        The share, in (0, 1], above which `count` or fewer would be seen with probability below alpha.

    References
    ----------
    .. [1] Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the
       binomial", Biometrika 26.
    .. [2] Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all right?", JAMA 249.

    Examples
    --------
    >>> [round(float(clopper_pearson_upper(0, n)), 4) for n in (3, 5, 10, 11)]
    [0.6316, 0.4507, 0.2589, 0.2384]
    """
    import numpy as np
    from scipy.special import betaincinv

    count, n = np.asarray(count), np.asarray(n)
    bound = betaincinv(count + 1.0, np.maximum(n - count, 1), 1.0 - alpha)
    return np.where(count >= n, 1.0, bound)[()]


def clopper_pearson_lower(count: Any, n: Any, *, alpha: float = 0.05) -> Any:
    """Compute the exact one-sided lower bound of a share; see `clopper_pearson_upper`.

    >>> round(float(clopper_pearson_lower(5, 5)), 4)
    0.5493
    """
    return 1.0 - clopper_pearson_upper(n - count, n, alpha=alpha)


def at_least(count: Any, n: Any, share: float) -> Any:
    """Return P(X >= count) for X binomial with `n` seeds and `share`; exact, in [0, 1].

    >>> float(at_least(5, 5, 0.25)) == 0.25 ** 5
    True
    """
    import numpy as np
    from scipy.special import betainc

    count, n = np.asarray(count), np.asarray(n)
    tail = betainc(np.maximum(count, 1), np.maximum(n - count + 1, 1), share)
    return np.where(count <= 0, 1.0, np.where(count > n, 0.0, tail))[()]


def pass_all(successes: int, n: int, k: int) -> float | None:
    """Estimate the probability that `k` fresh runs all succeed, from `successes` of `n`; None when k > n.

    References
    ----------
    .. [1] Yao et al. 2024, "tau-bench", arXiv 2406.12045: pass^k.

    Examples
    --------
    >>> round(pass_all(18, 20, 5), 6)
    0.552632
    """
    if not 0 <= successes <= n or k < 1:
        raise UsageError(f"pass_all({successes!r}, {n!r}, {k!r}): needs 0 <= successes <= n and k >= 1")
    return None if k > n else math.comb(successes, k) / math.comb(n, k)


def require_alpha(alpha: float) -> None:
    """Raise UsageError unless `alpha` is a number in (0, 0.5)."""
    if isinstance(alpha, bool) or not 0.0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha!r}; the error rate must be a number in (0, 0.5)")
