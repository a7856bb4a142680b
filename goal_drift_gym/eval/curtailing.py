"""Whether seeds that are still to come could change a verdict.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from goal_drift_gym.eval.interval import at_least, clopper_pearson_upper, t_quantile

if TYPE_CHECKING:
    from goal_drift_gym.eval.rule import Flags, Floats, Judged, JudgedMetric


def can_change(
    judged: Judged,
    seen: Mapping[str, Floats],
    alpha: float,
    guard_alpha: float,
    p_max: float,
    remaining: int,
) -> Flags:
    """Return the rows of an undecided look that some outcome of the remaining seeds could still decide.

    Parameters
    ----------
    judged : Judged
        The verdicts so far.
    seen : mapping of name to ndarray, shape (rows, n)
        The seeds so far, as for `rule.judge`.
    alpha, guard_alpha, p_max : float
        Levels of the tests and bounds at every look, and the largest allowed share.
    remaining : int
        Seeds to come, >= 1; some may never give a value.

    Returns
    -------
    ndarray of bool, shape (rows,)
        False only where neither PASS nor FAIL can be reached. The metrics are taken one by one at their best, so a
        True may be too hopeful; it costs seeds and never a wrong verdict.
    """
    import numpy as np

    n = seen["collapse"].shape[1]
    best_guard = clopper_pearson_upper(judged.collapses, n + remaining, alpha=guard_alpha)
    passing = best_guard <= p_max
    failing = np.zeros(len(judged.status), dtype=bool)
    share = alpha / len(judged.metrics)
    for metric in judged.metrics:
        values = seen[metric.limit.name]
        if metric.limit.seed_by_seed:
            passing &= _share_can_pass(metric, guard_alpha, p_max, remaining)
            failing |= _share_can_fail(metric, share, p_max, remaining)
        else:
            passing &= (metric.undefined == 0) & _mean_can(metric, values, alpha, remaining, cross=False)
            failing |= _mean_can(metric, values, share, remaining, cross=True)
    return np.asarray(passing | failing)


def _share_can_pass(metric: JudgedMetric, alpha: float, p_max: float, remaining: int) -> Any:
    crossed = (metric.estimate * metric.n).round()
    bound = clopper_pearson_upper(crossed, metric.n + remaining, alpha=alpha)
    return (metric.undefined == 0) & (bound <= p_max)


def _share_can_fail(metric: JudgedMetric, alpha: float, p_max: float, remaining: int) -> Any:
    import numpy as np

    crossed = np.where(metric.n > 0, (metric.estimate * metric.n).round(), 0.0)
    return at_least(crossed + remaining, metric.n + remaining, p_max) <= alpha


def _mean_can(metric: JudgedMetric, values: Floats, alpha: float, remaining: int, *, cross: bool) -> Any:
    """Return where a t bound could still lie beyond (`cross`) or within the limit.

    With r further seeds that all have the value m + x, where n seeds have mean m and sum of squares s, the statistic
    is proportional to ``(a + r x / (n + r)) / sqrt(s + n r x^2 / (n + r))``, a being the signed distance of m from the
    limit. Equal values are the best there are, and ``x = s / (n a)`` is the best of them where a > 0; where a <= 0 it
    is the end of the metric's range.
    """
    import numpy as np

    sign = (1.0 if metric.limit.better == "higher" else -1.0) * (-1.0 if cross else 1.0)
    ends = sorted(sign * end for end in metric.limit.reach)
    n = metric.n
    mean = np.where(n > 0, sign * metric.estimate, sign * float(metric.limit.value))
    lead = mean - sign * float(metric.limit.value)
    centred = np.where(np.isnan(values), 0.0, sign * values - mean[:, None])
    squares = np.sum(centred * centred, axis=1)
    reachable = n == 0
    for more in range(1, remaining + 1):
        total = n + more
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            peak = np.where(lead > 0, squares / (n * lead), np.inf)
            shift = np.clip(peak, ends[0] - mean, np.minimum(ends[1] - mean, 1e9))
            spread = np.sqrt((squares + n * more / total * shift**2) / np.maximum(total - 1, 1) / total)
            statistic = (lead + more * shift / total) / spread
        needed = np.asarray([t_quantile(max(int(size) - 1, 1), alpha) for size in total])
        reachable = reachable | ~(statistic <= needed)
    return reachable
