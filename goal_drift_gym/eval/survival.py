"""First-pass times with censoring: a run that never passed is known to have lasted, not to have passed at its end.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError


class SurvivalCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Kaplan-Meier estimate of the share of runs that have not passed yet."""

    times: list[float]
    """Steps at which at least one run passed, ascending."""
    survival: list[float]
    """Share that has not passed after each of them, in [0, 1]."""
    runs: int
    """Number of runs."""
    passed: int
    """Runs that passed."""

    def at(self, step: float) -> float:
        """Return the share of runs that have not passed after `step`."""
        share = 1.0
        for time, survival in zip(self.times, self.survival, strict=True):
            if time > step:
                break
            share = survival
        return share


class LogRank(msgspec.Struct, frozen=True, kw_only=True):
    """Log-rank comparison of two groups."""

    chi2: float
    """Statistic with one degree of freedom, >= 0."""
    p: float
    """Two-sided p, in [0, 1]."""


def kaplan_meier(passed: Sequence[float], censored: Sequence[float]) -> SurvivalCurve:
    """Estimate the survival of first pass.

    Parameters
    ----------
    passed : sequence of float
        Steps of the first pass, one a run that passed. `first_sustained_pass` is the better choice: over a long
        horizon nearly every run trips once.
    censored : sequence of float
        Number of steps watched, one a run that never passed.

    Raises
    ------
    UsageError
        Without a run, or for a time that is negative or not finite.

    References
    ----------
    .. [1] Kaplan and Meier 1958, "Nonparametric estimation from incomplete observations", Journal of the American
       Statistical Association 53.

    Examples
    --------
    >>> curve = kaplan_meier([4, 7, 7, 12], [20, 20])
    >>> curve.times, [round(share, 4) for share in curve.survival]
    ([4.0, 7.0, 12.0], [0.8333, 0.5, 0.3333])
    """
    from scipy.stats import ecdf

    sample = _sample(passed, censored)
    if not passed:
        return SurvivalCurve(times=[], survival=[], runs=len(censored), passed=0)
    found = ecdf(sample).sf
    events = {float(time) for time in passed}
    pairs = zip(found.quantiles.tolist(), found.probabilities.tolist(), strict=True)
    steps = [(time, share) for time, share in pairs if time in events]
    return SurvivalCurve(
        times=[time for time, _ in steps],
        survival=[share for _, share in steps],
        runs=len(passed) + len(censored),
        passed=len(passed),
    )


def restricted_mean(curve: SurvivalCurve, horizon: float) -> float:
    """Return the mean number of steps without a pass up to `horizon`: the area under the curve.

    References
    ----------
    .. [1] Royston and Parmar 2013, "Restricted mean survival time", BMC Medical Research Methodology 13:152.

    Examples
    --------
    >>> round(restricted_mean(kaplan_meier([4, 7, 7, 12], [20, 20]), 20), 4)
    11.6667
    """
    if not horizon > 0.0:
        raise UsageError(f"horizon is {horizon!r}; the restricted mean needs one above 0")
    area, before, share = 0.0, 0.0, 1.0
    for time, survival in zip(curve.times, curve.survival, strict=True):
        if time >= horizon:
            break
        area += share * (time - before)
        before, share = time, survival
    return area + share * (horizon - before)


def log_rank(
    passed: Sequence[float], censored: Sequence[float], other_passed: Sequence[float], other_censored: Sequence[float]
) -> LogRank | None:
    """Compare the first-pass times of two groups; None where no run of either passed, so that nothing can differ.

    Notes
    -----
    With 3 runs a group the test errs in 6.4 % of cases at a nominal 5 %, with 10 in 5.2 %.
    """
    from scipy.stats import logrank

    if not len(passed) + len(other_passed):
        return None
    found = logrank(_sample(passed, censored), _sample(other_passed, other_censored))
    return LogRank(chi2=float(found.statistic) ** 2, p=float(found.pvalue))


def _sample(passed: Sequence[float], censored: Sequence[float]) -> Any:
    from scipy.stats import CensoredData

    times = [*passed, *censored]
    if not times or not all(0.0 <= time < float("inf") for time in times):
        raise UsageError("survival needs at least one run, and times that are finite and not negative")
    return CensoredData(uncensored=list(map(float, passed)), right=list(map(float, censored)))
