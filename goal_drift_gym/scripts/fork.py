"""`goal-drift fork`: a new run from the first steps of another.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout

from goal_drift_gym.scripts.arguments import add_runs_dir, add_timeout, one_run
from goal_drift_gym.scripts.groups import print_groups
from goal_drift_gym.scripts.output import add_format, note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Start a new run of the same scenario, condition and seed: the first steps are taken over, then the agent "
        "goes on. 3 when the new run was not scored."
    )
    parser.add_argument("source", metavar="RUN", help="run directory")
    parser.add_argument("--steps", type=int, required=True, metavar="K", help="how many steps are taken over")
    parser.add_argument("--agent", required=True, metavar="REF", help="reference agent or package.module:name")
    add_runs_dir(parser)
    add_timeout(parser)
    add_format(parser, "table", "json", "csv")


def run(args: argparse.Namespace) -> int:
    """Fork it."""
    from goal_drift_gym.core.engine import Limits
    from goal_drift_gym.runner import fork_run
    from goal_drift_gym.sweep import make_agent, timeout_of
    from goal_drift_gym.tables import is_scored

    source = one_run(args.source)
    limits = Limits(step_timeout_s=timeout_of(args.agent, args.timeout))
    with redirect_stdout(sys.stderr):
        forked = fork_run(source, make_agent(args.agent), steps=args.steps, runs_dir=args.runs_dir, limits=limits)
    note(str(forked.path))
    print_groups([forked], args.format)
    return 0 if is_scored(forked) else 3
