"""`goal-drift check-agent`: whether a program speaks the subprocess protocol.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse

from goal_drift_gym.core.printable import printable
from goal_drift_gym.scripts.output import as_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Hold a program to the subprocess protocol (docs/subprocess-protocol.md). Exits with 1 when a check fails."
    )
    parser.add_argument(
        "--within", type=float, default=30.0, metavar="S", help="longest wait for a message (default: 30)"
    )
    parser.add_argument(
        "--scenario", default="release_manager", metavar="REF", help="whose tools it is told of (default: %(default)s)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="program and arguments, such as node agent.mjs"
    )


def run(args: argparse.Namespace) -> int:
    """Check, and print a line a check."""
    from goal_drift_gym.agents.subprocess_agent import checked_command
    from goal_drift_gym.testing.subprocess_protocol import check_command

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    checks = check_command(checked_command(words), scenario=args.scenario, within_s=args.within)
    failed = [check for check in checks if check.status == "failed"]
    if args.format == "json":
        as_json(
            [
                {"name": check.name, "asks": check.asks, "status": check.status, "detail": check.detail}
                for check in checks
            ]
        )
        return 1 if failed else 0
    for check in checks:
        say(f"{check.status:<14} {check.name}: {check.asks}")
        if check.detail:
            say(f"{'':<14} {printable(check.detail)}")
    say()
    say(f"{len(checks)} checks, {len(failed)} failed")
    return 1 if failed else 0
