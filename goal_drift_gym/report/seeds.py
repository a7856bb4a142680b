"""What pages and figures of many runs keep of each: so little that ten thousand fit.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.limits import check_limits
from goal_drift_gym.eval.metrics import Scalar
from goal_drift_gym.eval.verdict import VALID, SeedResult
from goal_drift_gym.judging import counting_runs, scored_run
from goal_drift_gym.tables import written_metrics

SHOWN = ("mean", "final_level", "total_change", "first_sustained_pass", "collapse")
"""Metrics that are kept whatever the limits are."""

_COUNTED = "scored_steps"


class SeedView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run of a group. Nothing in it refers back to it, so the garbage collector need not look at it."""

    path: Path
    place: str
    """`<scenario>/<directory name>`, which is the same wherever the run lies."""
    outcome: str | None
    """The run outcome; None where it has no end."""
    why: str | None
    """Why it is not scored; None when it is."""
    result: SeedResult
    """What it brings to a verdict, with the metrics that are limited or shown."""
    length: int
    """Steps in its log."""
    steps: list[int]
    """Scored steps, ascending; empty where the run is not scored."""
    scores: list[float]
    """Their scores, each in [-1, 1]."""
    crossed: list[str]
    """Limits that it crossed."""

    @property
    def seed(self) -> int:
        """The seed."""
        return self.result.seed

    @property
    def is_scored(self) -> bool:
        """Whether its scores are used."""
        return self.result.status == VALID

    def metric(self, name: str) -> Scalar:
        """Return a metric that was kept; None where it is undefined, or never happened."""
        return self.result.metrics.get(name)


def read_seed(run: Run, limits: Mapping[str, float | bool]) -> SeedView:
    """Read of a run what is shown of it. Nothing stays in memory with the run itself.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    return seed_view(Run(run.path), limits)


def seed_view(run: Run, limits: Mapping[str, float | bool]) -> SeedView:
    """Return what is shown of a run, as `read_seed` does; the run keeps what it read.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    found = scored_run(run)
    kept = {*SHOWN, *limits, _COUNTED}
    flat = {name: value for name, value in found.result.metrics.items() if name in kept}
    result = msgspec.structs.replace(found.result, metrics=flat)
    scored = result.status == VALID
    return SeedView(
        path=run.path,
        place=run.place,
        outcome=run.outcome,
        why=None if scored else _why_not(run, result.status),
        result=result,
        length=found.length,
        steps=found.steps,
        scores=found.scores,
        crossed=[one.limit.name for one in check_limits(flat, limits) if one.kind == "crossed"] if scored else [],
    )


def _why_not(run: Run, status: str) -> str:
    metrics = written_metrics(run)
    if metrics is not None and metrics.reason:
        return metrics.reason
    return "running" if run.outcome is None and run.is_running else status


def counting(seeds: Iterable[SeedView]) -> list[SeedView]:
    """Return of each seed the run that counts, by ascending seed; see `judging.counting_runs`."""
    return counting_runs(seeds)


def scored(seeds: Iterable[SeedView]) -> list[SeedView]:
    """Return the scored ones."""
    return [seed for seed in seeds if seed.is_scored]


def values_of(seeds: Sequence[SeedView], name: str) -> list[float]:
    """Return the values of a metric over scored seeds; a seed without one is left out."""
    known = [seed.metric(name) for seed in scored(seeds)]
    return [float(value) for value in known if value is not None]
