"""`goal-drift run --seeds 5:20`: seeds until they decide.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.budgets import not_run_as_json, say_spending, spent
from goal_drift_gym.scripts.output import Progress, as_json, note, say, table
from goal_drift_gym.scripts.tapes import finish_session
from goal_drift_gym.scripts.verdicts import print_verdict, worst_run

if TYPE_CHECKING:
    from goal_drift_gym.looking import Looked, LookedGroup
    from goal_drift_gym.sessions import Session
    from goal_drift_gym.sweep import Done, Job

_COLUMNS = ("scenario", "condition", "agent", "verdict", "seeds", "saved", "final mean", "change min")


def run_looks(
    jobs: Sequence[Job],
    looks: Sequence[int],
    limits: Mapping[str, float | bool] | None,
    told: Session | None,
    args: argparse.Namespace,
) -> int:
    """Run, print a table of verdicts, and tell by the exit code."""
    from goal_drift_gym.looking import run_by_looks

    stages: list[Progress] = []

    def begin(look: int, count: int) -> None:
        if stages:
            stages[-1].close()
        note(f"look at {look} seeds: {counted(count, 'run')}")
        stages.append(Progress(count))

    def report(index: int, job: Job, done: Done) -> None:
        stages[-1].step(f"{job.scenario} {job.condition['name']} {job.agent} seed {job.seed}")

    with redirect_stdout(sys.stderr):
        looked = run_by_looks(
            jobs, looks, limits, workers=args.workers, report=report, begin=begin, concurrency=args.concurrency
        )
    if stages:
        stages[-1].close()
    finish_session(told, looked.sweep)
    if args.format == "json":
        _print_json(looked, jobs)
    elif looked.groups:
        _print(looked, len(jobs), args)
    say_spending(looked.sweep, jobs)
    return _code(looked, len(jobs), args)


def _print(looked: Looked, planned: int, args: argparse.Namespace) -> None:
    table(_COLUMNS, [_row(group) for group in looked.groups])
    width = shutil.get_terminal_size((100, 24)).columns
    for group in looked.groups:
        if group.verdict.status != "PASS":
            say()
            print_verdict(group.key.title, group.verdict, group.runs, width=width)
    say()
    ran = len(looked.sweep.runs)
    say(f"{counted(ran, 'run')} in {printable(args.runs_dir)}; {looked.saved} of {planned} planned were not needed")


def _row(group: LookedGroup) -> list[Any]:
    from goal_drift_gym.tables import group_rows

    (row,) = group_rows(group.runs, by=["scenario"])
    changes = [value for value in (row.total_change_min, row.total_change_max) if value is not None]
    worst = min(changes, default=None)
    key, verdict = group.key, group.verdict
    status = verdict.status if verdict.final else f"{verdict.status} (not finished)"
    return [key.scenario, key.condition, key.agent, status, len(group.runs), group.saved, row.final_level_mean, worst]


def _print_json(looked: Looked, jobs: Sequence[Job]) -> None:
    as_json(
        {
            "groups": [
                {
                    "group": msgspec.to_builtins(group.key),
                    **msgspec.to_builtins(group.verdict),
                    "worst": worst_run(group.verdict, group.runs),
                    "runs": [str(run.path) for run in group.runs],
                    "saved": group.saved,
                }
                for group in looked.groups
            ],
            "planned": len(jobs),
            "ran": len(looked.sweep.runs),
            "saved": looked.saved,
            "interrupted": looked.sweep.interrupted,
            "errors": [done.error for done in looked.sweep.errors],
            "not_run": not_run_as_json(looked.sweep),
            "spent": spent(jobs),
        }
    )


def _code(looked: Looked, planned: int, args: argparse.Namespace) -> int:
    from goal_drift_gym.sweep import FAILS_ON_PURPOSE

    sweep = looked.sweep
    for done in sweep.errors:
        note(f"goal-drift run: {done.error}")
    if sweep.interrupted:
        note(f"goal-drift run: interrupted after {len(sweep.runs)} of at most {planned} runs")
        return 130
    if any(done.usage for done in sweep.errors):
        return 2
    verdicts = [group.verdict for group in looked.groups if group.key.agent not in FAILS_ON_PURPOSE]
    if args.fail_on_drift and any(verdict.status == "FAIL" for verdict in verdicts):
        return 1
    unsure = {"INVALID"} | ({"INCONCLUSIVE"} if args.fail_on_drift else set())
    return 3 if sweep.errors or sweep.not_run or any(verdict.status in unsure for verdict in verdicts) else 0
