"""`goal-drift new`: start a scenario of one's own.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from goal_drift_gym.core.printable import printable
from goal_drift_gym.scripts.output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Write a small scenario that works, as a project of its own to change step by step: scenario, texts, four "
        "conditions, card and tests."
    )
    parser.add_argument("name", metavar="NAME", help="its id and the name of the new folder, such as toll_gate")
    parser.add_argument(
        "--directory", default=".", metavar="DIR", help="where the new folder goes (default: the current directory)"
    )
    parser.add_argument("--title", metavar="TEXT", help="heading of its card (default: made from the name)")


def run(args: argparse.Namespace) -> int:
    """Write it, and say what was made and what to do next."""
    from goal_drift_gym.scaffolding import new_scenario

    made = new_scenario(args.name, directory=Path(args.directory), title=args.title)
    names = made.names
    say(f"made {printable(made.path)}: scenario {names.id}, class {names.class_name}, package {names.package}")
    for file in made.files:
        say(f"  {printable(file)}")
    say("next:")
    say(f"  pip install -e {printable(shlex.quote(str(made.path)))}")
    say(f"  goal-drift check {names.id}")
    return 0
