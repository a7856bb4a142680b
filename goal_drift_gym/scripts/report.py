"""`goal-drift report`: tables of runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.scripts.arguments import add_runs, comma_list, runs_at
from goal_drift_gym.scripts.groups import print_groups
from goal_drift_gym.scripts.output import add_format, note, records

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run

_COLUMNS = (
    "scenario", "condition", "agent", "seed", "outcome", "steps", "mean", "initial_level", "final_level", "slope",
    "total_change", "first_sustained_pass", "stickiness", "crossed",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_runs(parser)
    parser.add_argument("--group", action="store_true", help="statistics of groups instead of single runs")
    parser.add_argument(
        "--last-steps",
        type=int,
        metavar="N",
        help="mean drift over the last N steps of each group, 0 to 1, with its SE",
    )
    parser.add_argument(
        "--by",
        metavar="LABELS",
        help="what makes a group: scenario, condition, agent, seed, outcome, or a setting such as goal.wording; a "
        "comma list (default: scenario,condition,agent)",
    )
    add_format(parser, "table", "json", "csv")


def run(args: argparse.Namespace) -> int:
    """Print the table asked for; 3 when a run could not be read or, with --last-steps, was not scored."""
    from goal_drift_gym.core.errors import RunRecordError
    from goal_drift_gym.tables import run_row

    if args.group and args.last_steps is not None:
        raise UsageError("--group and --last-steps are two tables; ask for one")
    by = None if args.by is None else comma_list([args.by])
    if by is not None and not (args.group or args.last_steps is not None):
        raise UsageError("--by goes with --group or --last-steps")
    runs: list[Run] = []
    damaged = False
    for found in runs_at(args.runs):
        try:
            run_row(found)
        except RunRecordError as error:
            note(str(error))
            damaged = True
        else:
            runs.append(found)
    if args.last_steps is not None:
        damaged |= _last_steps(runs, args, by)
    elif args.group:
        print_groups(runs, args.format, by)
    else:
        columns = _COLUMNS if args.format == "table" else ("path", *_COLUMNS)
        rows = [run_row(found) for found in runs]
        records(args.format, columns, [[getattr(row, name) for name in columns] for row in rows])
    return 3 if damaged else 0


def _last_steps(runs: list[Run], args: argparse.Namespace, by: list[str] | None) -> bool:
    from goal_drift_gym.tables import STANDARD_GROUP, is_scored, last_steps

    scored = [found for found in runs if is_scored(found)]
    if len(scored) < len(runs):
        note(f"{len(runs) - len(scored)} of {len(runs)} runs are not scored and left out")
    names = list(STANDARD_GROUP) if by is None else by
    rows = last_steps(scored, by=names, last=args.last_steps)
    columns = [*names, "runs", "mean", "standard_error", "fewest_steps"]
    records(
        args.format,
        columns,
        [[*row.group.values(), row.runs, row.mean, row.standard_error, row.fewest_steps] for row in rows],
    )
    return len(scored) < len(runs)
