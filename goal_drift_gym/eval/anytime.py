"""Evidence that may be looked at after every seed, for ever: the t-mixture e-process.

Worth its price above some thirty cheap seeds, such as nightly runs of scripted agents. For up to twenty seeds the
looks of `sequential` need fewer.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.interval import require_alpha, t_interval


def evidence(t: float, n: int, *, g: float = 1.0) -> float:
    """Compute how much more likely a t statistic is under a normal mixture of effects than under none.

    Parameters
    ----------
    t : float
        One-sample t statistic of n seeds against the limit.
    n : int
        Number of seeds, >= 2.
    g : float, default 1.0
        Standard deviation of the effects that are expected, in standard deviations over seeds, > 0.

    Returns
    -------
    float
        ``(1 + n g^2)^(-1/2) [(1 + t^2/v) / (1 + t^2/(v (1 + n g^2)))]^((v + 1)/2)`` with v = n - 1. If the true mean
        is the limit it ever exceeds 1/a with probability at most a, however often one looks.

    References
    ----------
    .. [1] Lai 1976, "On confidence sequences", Annals of Statistics 4.
    .. [2] Goenen et al. 2005, "The Bayesian two-sample t test", The American Statistician 59.

    Examples
    --------
    >>> round(evidence(3.343, 10), 1)
    10.0
    """
    if n < 2 or not g > 0.0 or not math.isfinite(t):
        raise UsageError(f"evidence(t={t!r}, n={n!r}, g={g!r}): needs a finite t, at least 2 seeds and g above 0")
    df, wide = n - 1, 1.0 + n * g * g
    squared = t * t / df
    return math.exp((df + 1) / 2.0 * (math.log1p(squared) - math.log1p(squared / wide)) - math.log(wide) / 2.0)


def critical_t(n: int, *, alpha: float = 0.05, g: float = 1.0) -> float | None:
    """Return the |t| at which n seeds decide with one-sided error `alpha` under any stopping; None where none does.

    >>> [round(critical_t(n), 3) for n in (4, 5, 8, 10, 20)], critical_t(3)
    ([14.358, 5.088, 3.561, 3.343, 3.085], None)
    """
    require_alpha(alpha)
    if n < 2:
        return None
    wide = 1.0 + n * g * g
    root = (wide**0.5 / (2.0 * alpha)) ** (2.0 / n)
    if root >= wide:
        return None
    return math.sqrt((n - 1) * (root - 1.0) / (1.0 - root / wide))


def crossed(values: Sequence[float], limit: float, *, alpha: float = 0.05, g: float = 1.0) -> bool:
    """Return whether the mean of values, one a seed, is shown to be below the limit under any stopping.

    Equal values show nothing here: their t is undefined.
    """
    found = t_interval(values, alpha=alpha)
    needed = critical_t(found.n, alpha=alpha, g=g)
    if needed is None or found.error is None or found.error <= 1e-9:
        return False
    return (found.mean - limit) / found.error <= -needed
