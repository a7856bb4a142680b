"""The records a verdict is made of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Literal

import msgspec

from goal_drift_gym.eval.rule import Status

Method = Literal["mean", "share", "constant", "direct", "paired", "welch"]


class MetricVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the seeds say about one limit."""

    name: str
    """The metric."""
    rule: str
    """The limit as a reader would write it."""
    limit: float | bool
    """The last allowed value."""
    better: Literal["higher", "lower"]
    """Which side of the limit is allowed."""
    method: Method
    """`mean`: t over seeds; `share`: exact bound of the share of seeds beyond the limit; `constant`: all seeds agree
    on one value; `direct`: one series, compared as it is; `paired`, `welch`: difference of twins."""
    status: Literal["within", "beyond", "open"]
    """The limit is shown to be kept, shown to be crossed, or neither."""
    n: int
    """Valid seeds in which the metric is defined."""
    undefined: int
    """Valid seeds in which it is not."""
    estimate: float | None
    """Mean over seeds in the metric's unit, or share of seeds beyond the limit; None without a value."""
    sd: float | None
    """Standard deviation over seeds; None for shares and for fewer than two values."""
    lower: float | None
    """One-sided lower bound of the estimate; None where there is none."""
    upper: float | None
    """One-sided upper bound."""
    p: float | None
    """One-sided p of "the limit is kept", in [0, 1]: small speaks for a crossing. None where nothing was tested,
    because one deterministic series was compared."""
    p_adjusted: float | None
    """The same after Holm's correction over the limits."""
    p_pass: float | None
    """One-sided p of "the limit is crossed", in [0, 1]: small speaks for keeping it."""
    minimum_detectable_change: float | None
    """Distance beyond the limit, in the unit of the estimate, that as many seeds show in 80 of 100 cases; None where
    no distance is."""
    worst_seed: int | None
    """The seed that is furthest on the wrong side; None without a value."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The bound on the share of episodes that collapse."""

    collapses: int
    """Valid seeds that collapsed, or for which that is not known."""
    n: int
    """Valid seeds."""
    upper: float
    """Exact upper bound of the share of collapsing episodes, in [0, 1]."""
    p_max: float
    """Largest share with which anything passes."""
    holds: bool
    """The bound is at most `p_max`."""
    seeds_needed: int | None
    """Seeds with which the guard would hold if no further one collapsed."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on one group of seeds, and everything it rests on."""

    status: Status
    """PASS, FAIL, INCONCLUSIVE or INVALID."""
    mode: Literal["detect", "gate"]
    """What is asked of the status; see `ok`."""
    alpha: float
    """Error rate of the whole decision."""
    nominal_alpha: float
    """Error rate of each bound and test: alpha, or less with several looks."""
    p_max: float
    """Largest allowed share of collapsing episodes."""
    n: int
    """Seeds looked at."""
    n_valid: int
    """Of these, seeds with a scored run."""
    n_planned: int
    """Planned seeds."""
    effective_n: int
    """Independent observations: `n_valid`, or 1 where a deterministic agent gave one and the same series."""
    invalid: dict[str, int]
    """Seeds without a scored run, by status."""
    metrics: list[MetricVerdict] = []
    """One a limit, in their order; empty without a valid run."""
    unmeasured: list[str] = []
    """Limited metrics without a value to judge in any seed, where enough runs are valid: unless it is a FAIL, the
    verdict is INVALID for them, or waits for a later look."""
    guard: Guard | None = None
    """The collapse guard; None without a valid run."""
    reasons: list[str] = []
    """Why, in sentences."""
    further_seeds: int | None = None
    """Estimated further valid seeds until a decision, if the seeds go on like this; with looks that go on, seeds until
    the next one. None where no number helps or none is needed."""
    looks: list[int] | None = None
    """The schedule; None for a fixed number of seeds."""
    look: int | None = None
    """The look at which this was decided."""
    final: bool = True
    """No further seed is wanted: False only between looks."""

    @property
    def ok(self) -> bool:
        """Whether the mode is content: PASS, or in `detect` also INCONCLUSIVE."""
        return self.status == "PASS" or (self.mode == "detect" and self.status == "INCONCLUSIVE")

    @property
    def p_fail(self) -> float | None:
        """Smallest adjusted p of the limits, for corrections over several verdicts; None where nothing was tested."""
        return min((metric.p_adjusted for metric in self.metrics if metric.p_adjusted is not None), default=None)

    @property
    def worst_seed(self) -> int | None:
        """The worst seed on a limit that is crossed, else on the one with the smallest p; None without a valid run."""
        if not self.metrics:
            return None
        return min(self.metrics, key=_severity).worst_seed

    def to_text(self, width: int = 88, ascii_only: bool = False) -> str:
        """Return the verdict for a terminal of `width` columns; see `verdict_text.verdict_text`."""
        from goal_drift_gym.eval.verdict_text import verdict_text

        return verdict_text(self, width=width, ascii_only=ascii_only)


def _severity(metric: MetricVerdict) -> tuple[bool, float, float]:
    return (
        metric.status != "beyond",
        1.0 if metric.p_adjusted is None else metric.p_adjusted,
        1.0 if metric.p is None else metric.p,
    )
