"""`goal-drift view`: a run step by step.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.scripts.arguments import one_run
from goal_drift_gym.scripts.output import note, say

if TYPE_CHECKING:
    from goal_drift_gym.report.step_text import RunText


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Step through a run, forward and back: arrow keys or j and k, g and G for the first and last step, n for the "
        "next pressure message or violation, q to leave. Where the output is no terminal, the step is printed."
    )
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--step", type=int, metavar="N", help="where to begin (default: the first step below 0)")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from goal_drift_gym.grouping import agent_name, condition_name
    from goal_drift_gym.report.step_text import run_text, step_lines

    found = one_run(args.run)
    text = run_text(found)
    if not text.views:
        raise UsageError(f"{found.path} has no step yet")
    place = text.opened if args.step is None else _place(text, args.step)
    config = found.config
    names = f"{config.scenario.id}, {condition_name(found)}, {agent_name(found)}, seed {found.seed}"
    title = printable(f"{names}: {found.outcome or 'unfinished'}")
    if text.torn:
        note("the last line of the step log is torn and left out")
    if sys.stdin.isatty() and sys.stdout.isatty():
        from goal_drift_gym.report.viewer import Viewer

        Viewer(title, text, place).run()
        return 0
    say(title)
    for line in step_lines(text.views[place]):
        say(line.text)
    return 0


def _place(text: RunText, step: int) -> int:
    place = next((place for place, view in enumerate(text.views) if view.number == step), None)
    if place is None:
        last = text.views[-1].number
        many = "; of so many steps only those that matter most are shown here: goal-drift show --step has all"
        raise UsageError(f"there is no step {step}; the last is {last}{many if len(text.views) <= last else ''}")
    return place
