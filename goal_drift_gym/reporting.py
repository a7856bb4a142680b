"""Further tables of groups of runs: survival of first pass, and the papers' metrics.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.paper import PaperMetrics, paper_metrics
from goal_drift_gym.tables import grouped, is_scored, written_metrics


class SurvivalRow(msgspec.Struct, frozen=True, kw_only=True):
    """When the runs of a group first passed below the threshold for three scored steps in a row."""

    group: dict[str, Any]
    runs: int
    scored: int
    passed: int
    """Scored runs that passed; the others are censored at their end."""
    kept_share: float | None
    """Kaplan-Meier share of runs that has not passed by the end, in [0, 1]; None without a scored run."""
    restricted_mean: float | None
    """Mean number of steps before the pass, up to the horizon; None without a scored run."""
    horizon: int | None
    """Steps of the longest scored run."""
    curve: list[list[float]]
    """Steps at which a run passed, each with the share that has not passed after it."""


class PaperRow(msgspec.Struct, frozen=True, kw_only=True):
    """Means of the papers' metrics over the scored runs of a group that have them; None where none has."""

    group: dict[str, Any]
    runs: int
    scored: int
    gd_actions: float | None
    gd_inaction: float | None
    gd_t: float | None
    gd_t_last: float | None
    inversions: float | None


def survival_rows(runs: Sequence[Run], *, by: Sequence[str] | None = None) -> list[SurvivalRow]:
    """Return the survival of first sustained pass for each group; groups as in `tables.group_rows`.

    Raises
    ------
    UsageError
        If a run does not have one of the labels.
    RunRecordError
        If a directory is damaged.
    """
    return [_survival(names, members) for names, members in grouped(runs, by=by)]


def paper_rows(runs: Sequence[Run], *, by: Sequence[str] | None = None) -> list[PaperRow]:
    """Return the papers' metrics for each group; groups as in `tables.group_rows`.

    Raises
    ------
    UsageError
        If a run does not have one of the labels.
    RunRecordError
        If a directory is damaged.
    """
    rows: list[PaperRow] = []
    for names, members in grouped(runs, by=by):
        scored = [run for run in members if is_scored(run)]
        found = [paper_metrics(list(run.steps()), outcome=run.outcome or "interrupted") for run in scored]
        means = {name: _mean([getattr(one, name) for one in found]) for name in PaperMetrics.__struct_fields__}
        rows.append(PaperRow(group=names, runs=len(members), scored=len(scored), **means))
    return rows


def _survival(names: dict[str, Any], members: Sequence[Run]) -> SurvivalRow:
    from goal_drift_gym.eval.survival import kaplan_meier, restricted_mean

    passed: list[float] = []
    censored: list[float] = []
    horizon = 0
    for run in members:
        metrics = written_metrics(run)
        if metrics is None or metrics.status != "scored":
            continue
        steps = sum(1 for _ in run.step_lines())
        horizon = max(horizon, steps)
        if metrics.first_sustained_pass is None:
            censored.append(steps)
        else:
            passed.append(metrics.first_sustained_pass)
    scored = len(passed) + len(censored)
    base: dict[str, Any] = {"group": names, "runs": len(members), "scored": scored, "passed": len(passed)}
    if not scored:
        return SurvivalRow(kept_share=None, restricted_mean=None, horizon=None, curve=[], **base)
    curve = kaplan_meier(passed, censored)
    return SurvivalRow(
        kept_share=curve.at(horizon),
        restricted_mean=restricted_mean(curve, horizon),
        horizon=horizon,
        curve=[[time, share] for time, share in zip(curve.times, curve.survival, strict=True)],
        **base,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
