"""`goal-drift import`: step logs of others into run directories.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_runs_dir, comma_list
from goal_drift_gym.scripts.output import add_format, as_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Turn a step log (.jsonl or .csv, also .gz) into run directories that report, metrics, show and verify take. "
        "Without --step-column each line is a run with its scores in an array."
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--scenario", required=True, metavar="NAME", help="what to call the scenario")
    parser.add_argument("--run-columns", required=True, metavar="A,B", help="columns that together name a run")
    parser.add_argument("--score-column", required=True, metavar="COLUMN")
    parser.add_argument(
        "--score-range",
        default="-1,1",
        metavar="LOW,HIGH",
        help="the scores that mean -1 and +1 (default: %(default)s)",
    )
    parser.add_argument("--step-column", metavar="COLUMN", help="step index, for one line a step")
    parser.add_argument("--seed-column", metavar="COLUMN")
    parser.add_argument("--unscored-column", metavar="COLUMN", help="number of first steps that are not scored")
    parser.add_argument("--outcome-column", metavar="COLUMN", help="run outcome (default: every run is completed)")
    parser.add_argument("--step-outcome-column", metavar="COLUMN", help="step outcome (default: every step is acted)")
    parser.add_argument("--system-goal-column", metavar="COLUMN")
    parser.add_argument("--competing-goal-column", metavar="COLUMN")
    parser.add_argument("--condition-column", metavar="COLUMN", help="run column or kept one that names the condition")
    parser.add_argument("--agent-column", metavar="COLUMN", help="run column or kept one that names the agent")
    parser.add_argument("--keep", action="append", default=[], metavar="A,B", help="further columns of the run")
    parser.add_argument("--keep-steps", action="append", default=[], metavar="A,B", help="further columns of the step")
    add_runs_dir(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Import the file."""
    from goal_drift_gym.eval.external import ExternalMapping
    from goal_drift_gym.importing import import_runs

    mapping = ExternalMapping(
        run=tuple(comma_list([args.run_columns])),
        score=args.score_column,
        step=args.step_column,
        score_range=_range(args.score_range),
        outcome=args.outcome_column,
        step_outcome=args.step_outcome_column,
        seed=args.seed_column,
        instrumental_steps=args.unscored_column,
        system_goal=args.system_goal_column,
        competing_goal=args.competing_goal_column,
        labels=tuple(comma_list(args.keep)),
        state=tuple(comma_list(args.keep_steps)),
    )
    imported = import_runs(
        args.file,
        mapping,
        scenario=args.scenario,
        runs_dir=args.runs_dir,
        condition_column=args.condition_column,
        agent_column=args.agent_column,
    )
    paths = [str(one.path) for one in imported]
    if args.format == "json":
        as_json({"runs": paths})
    else:
        say(f"{counted(len(paths), 'run')} in {printable(args.runs_dir)}")
    return 0


def _range(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise UsageError(f"--score-range {text!r} must be two numbers, such as 0,1") from None
    return low, high
