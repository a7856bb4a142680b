"""Rows of tables over runs: one a run, one a group of runs, one a group's last steps.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from goal_drift_gym.consistency import require_one_story
from goal_drift_gym.core.errors import RunRecordError, UsageError, did_you_mean
from goal_drift_gym.core.rundir import METRICS, Run
from goal_drift_gym.eval.external import ExternalRun, LastStepsRow, last_steps_table
from goal_drift_gym.eval.limits import DEFAULT_LIMITS, check_limits
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.grouping import agent_name, condition_name, group_runs, told_apart

STANDARD_GROUP = ("scenario", "condition", "agent")
"""What runs of one experiment share."""

_SHOWN = (
    "mean", "initial_level", "final_level", "slope", "total_change", "first_sustained_pass", "stickiness",
    "policy_distance",
)  # fmt: skip


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a table. A metric is None where it is undefined or the run is not scored."""

    path: str
    scenario: str
    condition: str
    agent: str
    seed: int
    outcome: str
    """The run outcome; `running` while it is being written, `unfinished` when its writer was killed."""
    status: str
    """`scored`, `dead` or `not_scored`."""
    steps: int | None
    mean: float | None
    initial_level: float | None
    final_level: float | None
    slope: float | None
    total_change: float | None
    first_sustained_pass: int | None
    stickiness: float | None
    policy_distance: float | None
    crossed: list[str]
    """Names of the default limits the run crossed."""
    undecided: list[str]
    """Names of the default limits the run gives no answer to; all of them when it is not scored."""


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one group in a table. Statistics are over its scored runs, and None without any."""

    group: dict[str, Any]
    runs: int
    scored: int
    mean: float | None
    final_level_min: float | None
    final_level_mean: float | None
    final_level_max: float | None
    total_change_min: float | None
    total_change_max: float | None
    drifted: int
    """Scored runs that crossed a default limit."""
    drifted_share: float | None
    """`drifted` / `scored`, in [0, 1]."""
    policy_distance: float | None
    """Mean distance of the agent's actions from the reference policy's, less what chance makes of it."""


def run_row(run: Run) -> RunRow:
    """Return the row of a run, from what its directory says.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    metrics = written_metrics(run)
    outcome = run.outcome
    if outcome is None:
        outcome = "running" if run.is_running else "unfinished"
    crossings = check_limits({} if metrics is None else metrics, DEFAULT_LIMITS)
    flat = {} if metrics is None else metrics.flat()
    return RunRow(
        path=str(run.path),
        scenario=run.config.scenario.id,
        condition=condition_name(run),
        agent=agent_name(run),
        seed=run.seed,
        outcome=outcome,
        status="not_scored" if metrics is None else metrics.status,
        steps=None if metrics is None else metrics.steps,
        **{name: flat.get(name) for name in _SHOWN},  # type: ignore[arg-type]
        crossed=[crossing.limit.name for crossing in crossings if crossing.kind == "crossed"],
        undecided=[crossing.limit.name for crossing in crossings if crossing.kind == "undefined"],
    )


def run_labels(run: Run) -> dict[str, Any]:
    """Return everything runs can be grouped by: what `STANDARD_GROUP` names, seed, outcome, settings by dotted key."""
    settings = dict(_scalars(run.config.condition, ""))
    return {
        **settings,
        "scenario": run.config.scenario.id,
        "condition": condition_name(run),
        "agent": agent_name(run),
        "seed": run.seed,
        "outcome": run.outcome,
    }


def group_rows(runs: Sequence[Run], *, by: Sequence[str] | None = None) -> list[GroupRow]:
    """Return a row for each group of runs, in the order in which groups first occur.

    Parameters
    ----------
    runs
        The runs.
    by
        Labels that make a group, see `run_labels`. By default the groups that verdicts are on: scenario,
        condition and agent, where the start of a hash follows a name that stands for several.

    Raises
    ------
    UsageError
        If a run does not have one of the labels.
    RunRecordError
        If a directory is damaged.
    """
    return [_group_row(names, [run_row(run) for run in members]) for names, members in grouped(runs, by=by)]


def grouped(runs: Sequence[Run], *, by: Sequence[str] | None = None) -> list[tuple[dict[str, Any], list[Run]]]:
    """Return the labels and the runs of each group, as `group_rows` makes them.

    Raises
    ------
    UsageError
        If a run does not have one of the labels.
    RunRecordError
        If a config is damaged.
    """
    if by is None:
        found = group_runs(runs)
        shown = told_apart(found)
        return [({name: getattr(shown[key], name) for name in STANDARD_GROUP}, found[key]) for key in found]
    groups: dict[tuple[Any, ...], tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        group = _pick(run_labels(run), by, run.path)
        groups.setdefault(tuple(group.values()), (group, []))[1].append(run)
    return list(groups.values())


def drifted_interval(row: GroupRow) -> tuple[float | None, float | None]:
    """Return exact one-sided 95 % bounds of the share of seeds that drift; None without a scored run."""
    from goal_drift_gym.eval.interval import clopper_pearson_lower, clopper_pearson_upper

    if not row.scored:
        return None, None
    return (
        float(clopper_pearson_lower(row.drifted, row.scored)),
        float(clopper_pearson_upper(row.drifted, row.scored)),
    )


def last_steps(runs: Iterable[Run], *, by: Sequence[str], last: int = 10) -> list[LastStepsRow]:
    """Return the mean drift over the last steps of the runs of each group; see `eval.external.last_steps_table`.

    Raises
    ------
    UsageError
        If a run does not have one of the labels, `last` is below 1, or a run has no score among its last steps.
    RunRecordError
        If a directory is damaged.
    """
    return last_steps_table((_external(run) for run in runs), by=by, last=last)


def is_scored(run: Run) -> bool:
    """Return whether a run is scored; a dead or failed one is not, and an unfinished one not yet."""
    metrics = written_metrics(run)
    return metrics is not None and metrics.status == "scored"


def written_metrics(run: Run) -> RunMetrics | None:
    """Return the metrics of a finished run, which must be those of its step log; None while it is unfinished.

    Raises
    ------
    RunRecordError
        If they are damaged, or the files of the run contradict each other.
    """
    # The end is asked for first, because a writer puts it there last.
    if run.outcome is None:
        return None
    try:
        metrics = None if run.metrics_file is None else msgspec.convert(run.metrics, RunMetrics)
    except msgspec.ValidationError as error:
        raise RunRecordError(f"{run.path / METRICS} is damaged: {error}") from error
    require_one_story(run, metrics)
    return metrics


def _external(run: Run) -> ExternalRun:
    return ExternalRun(
        key=str(run.path),
        labels=run_labels(run),
        outcome=run.outcome or "interrupted",
        seed=run.seed,
        system_goal=run.config.goal.get("system"),
        competing_goal=run.config.goal.get("competing"),
        records=list(run.steps()),
    )


def _scalars(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _scalars(item, f"{path}{key}.")
        elif not isinstance(item, list):
            yield f"{path}{key}", item


def _pick(labels: Mapping[str, Any], by: Sequence[str], where: Any) -> dict[str, Any]:
    for name in by:
        if name not in labels:
            raise UsageError(f"{where}: there is no label {name!r}; {did_you_mean(name, labels)}")
    return {name: labels[name] for name in by}


def _group_row(group: dict[str, Any], rows: Sequence[RunRow]) -> GroupRow:
    scored = [row for row in rows if row.status == "scored"]
    means = [row.mean for row in scored if row.mean is not None]
    finals = [row.final_level for row in scored if row.final_level is not None]
    changes = [row.total_change for row in scored if row.total_change is not None]
    drifted = sum(1 for row in scored if row.crossed)
    return GroupRow(
        group=group,
        runs=len(rows),
        scored=len(scored),
        mean=_mean(means),
        final_level_min=min(finals, default=None),
        final_level_mean=_mean(finals),
        final_level_max=max(finals, default=None),
        total_change_min=min(changes, default=None),
        total_change_max=max(changes, default=None),
        drifted=drifted,
        drifted_share=drifted / len(scored) if scored else None,
        policy_distance=_mean([row.policy_distance for row in scored if row.policy_distance is not None]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
