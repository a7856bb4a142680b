"""`goal-drift run`: agents through scenarios.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_limits, add_runs_dir, add_timeout, comma_list, parse_limits
from goal_drift_gym.scripts.budgets import add_budget, asked_budget, not_run_as_json, say_spending, session, spent
from goal_drift_gym.scripts.groups import print_groups
from goal_drift_gym.scripts.output import Progress, add_format, as_json, note, say
from goal_drift_gym.scripts.tapes import add_tapes, finish_session, taped
from goal_drift_gym.scripts.unscored import note_unscored

if TYPE_CHECKING:
    from goal_drift_gym.sessions import Session
    from goal_drift_gym.sweep import Done, Job, Sweep

_MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Run agents through scenarios. Exits with 3 when a run was not scored: it ended as an error, ran out of "
        "budget, or was dead; runs of crasher and hanger are meant to and do not count."
    )
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="id, package.module:Name or file.py:Name; a comma list, or all"
    )
    parser.add_argument(
        "--condition",
        action="append",
        metavar="NAME|FILE",
        help="name or TOML file; repeatable, a comma list, or all (default: baseline)",
    )
    parser.add_argument(
        "--agent",
        action="append",
        required=True,
        metavar="REF",
        help="a reference agent, package.module:name, or exec:PROGRAM ARGUMENTS; repeatable, a comma list, or all",
    )
    parser.add_argument(
        "--seeds",
        default="1",
        metavar="N|A-B|LIST|A:B",
        help="10, 0-9 or 3,5,8; --seeds=-1,-2; 5:20 looks at the verdict after 5, 10, 15 and 20 seeds and runs no "
        "further seed where it is decided; 5:20:3 looks after 5, 8, 11, ... (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, such as steps=20; repeatable",
    )
    add_runs_dir(parser)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=1,
        metavar="N",
        help="episodes at once in each process, for agents that wait for a model (default: %(default)s)",
    )
    add_timeout(parser)
    add_budget(parser)
    add_tapes(parser)
    parser.add_argument(
        "--fail-on-drift",
        action="store_true",
        help="exit with 1 when a run crosses the default limits; with looks, when a verdict is FAIL",
    )
    add_limits(parser, said="with looks: limit on a metric; repeatable (default: the default bundle)")
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Run all and print a table."""
    from goal_drift_gym.core.condition import parse_setting
    from goal_drift_gym.core.seeds import parse_looks, parse_seeds
    from goal_drift_gym.side_by_side import check_concurrency
    from goal_drift_gym.sweep import HANGER_TIMEOUT_S, plan

    if not 1 <= args.workers <= _MOST_WORKERS:
        raise UsageError(f"--workers {args.workers}: give 1 to {_MOST_WORKERS}")
    check_concurrency(args.concurrency, "--concurrency")
    looks = parse_looks(args.seeds)
    if looks is None and args.limits:
        raise UsageError("--limit goes with looks, such as --seeds 5:20; goal-drift gate judges runs that are there")
    jobs = plan(
        comma_list([args.scenario]),
        comma_list(args.condition or ["baseline"]),
        comma_list(args.agent),
        parse_seeds(args.seeds) if looks is None else list(range(looks[-1])),
        settings=dict(parse_setting(text) for text in args.set),
        runs_dir=args.runs_dir,
        timeout_s=args.timeout,
    )
    if args.timeout is None and any(job.agent == "hanger" for job in jobs):
        note(f"hanger never answers: it gets {HANGER_TIMEOUT_S:g} s a turn; --timeout changes that")
    budget = asked_budget(args)
    if args.dry_run:
        from goal_drift_gym.scripts.dry_run import say_expected

        return say_expected(jobs, budget, args)
    jobs, told = taped(jobs, args)
    with session(jobs, budget) as jobs:
        if looks is not None:
            from goal_drift_gym.scripts.run_looks import run_looks

            return run_looks(jobs, looks, parse_limits(args.limits), told, args)
        return _run_all(jobs, told, args)


def _run_all(jobs: Sequence[Job], told: Session | None, args: argparse.Namespace) -> int:
    from goal_drift_gym.sweep import run_jobs

    progress = Progress(len(jobs))

    def report(index: int, job: Job, done: Done) -> None:
        progress.step(f"{job.scenario} {job.condition['name']} {job.agent} seed {job.seed}")

    # What an agent prints must not mix with the table or JSON.
    with redirect_stdout(sys.stderr):
        sweep = run_jobs(jobs, workers=args.workers, report=report, concurrency=args.concurrency)
    progress.close()
    finish_session(told, sweep)
    return _finish(sweep, jobs, args)


def _finish(sweep: Sweep, jobs: Sequence[Job], args: argparse.Namespace) -> int:
    from goal_drift_gym.tables import run_row

    rows = [run_row(run) for run in sweep.runs]
    if args.format == "json":
        _print_json(sweep, jobs)
    elif rows:
        print_groups(sweep.runs, "table")
        say()
        say(f"{counted(len(rows), 'run')} in {printable(args.runs_dir)}")
    say_spending(sweep, jobs)
    for done in sweep.errors:
        note(f"goal-drift run: {done.error}")
    if sweep.interrupted:
        note(f"goal-drift run: interrupted after {len(rows)} of {len(jobs)} runs; --resume goes on")
        return 130
    drifted = args.fail_on_drift and any(row.crossed for row in rows)
    if any(done.usage for done in sweep.errors):
        return 2
    broken = sweep.errors or sweep.not_run
    incomplete = note_unscored(sweep.runs, limits_count=args.fail_on_drift)
    return 1 if drifted else 3 if broken or incomplete else 0


def _print_json(sweep: Sweep, jobs: Sequence[Job]) -> None:
    from goal_drift_gym.tables import group_rows, run_row

    as_json(
        {
            "groups": msgspec.to_builtins(group_rows(sweep.runs)),
            "runs": [msgspec.to_builtins(run_row(run)) for run in sweep.runs],
            "interrupted": sweep.interrupted,
            "errors": [done.error for done in sweep.errors],
            "not_run": not_run_as_json(sweep),
            "spent": spent(jobs),
        }
    )
