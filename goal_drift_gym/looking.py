"""Running seeds until they decide: looks at a few seeds first, and no further seed where the verdict is in.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.sequential import require_looks
from goal_drift_gym.eval.verdict import Verdict
from goal_drift_gym.grouping import GroupKey, group_key, group_runs, split_runs
from goal_drift_gym.judging import judge_runs, verdict_on_part
from goal_drift_gym.sweep import Done, Job, Sweep, run_jobs


class LookedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One agent under one condition, decided."""

    key: GroupKey
    verdict: Verdict
    runs: list[Run]
    """Its runs, by seed."""
    saved: int
    """Planned seeds that were not needed."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all groups."""

    sweep: Sweep
    """All runs; those of early looks come first."""
    groups: list[LookedGroup]
    """In the planned order; without a group that has no run, because something ended the sweep before."""

    @property
    def saved(self) -> int:
        """Planned seeds that were not needed, over all groups that were decided."""
        return sum(group.saved for group in self.groups)


def run_by_looks(
    jobs: Sequence[Job],
    looks: Sequence[int],
    limits: Mapping[str, float | bool] | None = None,
    *,
    workers: int,
    report: Callable[[int, Job, Done], None],
    begin: Callable[[int, int], None] | None = None,
    concurrency: int = 1,
) -> Looked:
    """Run jobs in stages and stop each group at the look that decides it.

    Parameters
    ----------
    jobs
        Jobs of one or more groups, see `sweep.plan`; each group with as many seeds as the last look needs, in order.
    looks
        Numbers of seeds at which to decide.
    limits
        As for `eval.verdict.decide`.
    workers
        Processes.
    report
        As for `sweep.run_jobs`, with the index in `jobs`.
    begin
        Called before each stage with its look and the number of episodes in it.
    concurrency
        Episodes at once in each process.

    Notes
    -----
    All groups come to their first look before any of them goes on. A look uses exactly the first seeds in their
    order, so the verdict does not depend on workers or on which run was finished first.
    """
    schedule = require_looks(looks)
    groups: dict[bytes, list[int]] = {}
    for index, job in enumerate(jobs):
        key = canonical_json([job.scenario, job.condition, job.agent])
        groups.setdefault(key, []).append(index)
    runs: dict[bytes, list[Run]] = {key: [] for key in groups}
    verdicts: dict[bytes, Verdict] = {}
    swept: list[Sweep] = []
    before = 0
    for look in schedule:
        waiting = [key for key in groups if key not in verdicts or not verdicts[key].final]
        stage = [index for key in waiting for index in groups[key][before:look]]
        if not stage:
            break
        if begin is not None:
            begin(look, len(stage))
        todo = [jobs[index] for index in stage]
        sweep = run_jobs(todo, workers=workers, report=_shifted(report, stage), concurrency=concurrency)
        swept.append(sweep)
        if sweep.not_run:
            # Seeds are missing, and a verdict on the others would be one on fewer seeds than were asked for.
            break
        _deal(sweep, [key for key in waiting for _ in groups[key][before:look]], runs)
        if sweep.errors or sweep.interrupted:
            break
        for key in waiting:
            seeds = [jobs[index].seed for index in groups[key]]
            split = split_runs(group_runs(runs[key])).get(group_key(runs[key][0]))
            verdicts[key] = verdict_on_part(judge_runs(runs[key], limits, looks=schedule, seeds=seeds), split)
        before = look
    found = [
        LookedGroup(
            key=group_key(runs[key][0]),
            verdict=verdicts[key],
            runs=runs[key],
            saved=len(groups[key]) - len(runs[key]) if verdicts[key].final else 0,
        )
        for key in groups
        if key in verdicts
    ]
    return Looked(sweep=_together(swept), groups=found)


def _shifted(report: Callable[[int, Job, Done], None], stage: Sequence[int]) -> Callable[[int, Job, Done], None]:
    return lambda place, job, done: report(stage[place], job, done)


def _deal(sweep: Sweep, keys: Sequence[bytes], runs: dict[bytes, list[Run]]) -> None:
    if len(sweep.runs) != len(keys):
        # Something ended the sweep: which runs are missing does not matter, for nothing is decided from here on.
        return
    for key, run in zip(keys, sweep.runs, strict=True):
        runs[key].append(run)


def _together(swept: Sequence[Sweep]) -> Sweep:
    parts: dict[str, Any] = {"runs": [], "errors": [], "not_run": []}
    for sweep in swept:
        parts["runs"] += sweep.runs
        parts["errors"] += sweep.errors
        parts["not_run"] += sweep.not_run
    return Sweep(interrupted=any(sweep.interrupted for sweep in swept), **parts)
