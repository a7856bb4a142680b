"""`goal-drift verify`: runs reproduce byte for byte, in a second process under another hash seed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse

import msgspec

from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_runs, runs_at
from goal_drift_gym.scripts.output import add_format, as_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Drive runs again in a second process under another PYTHONHASHSEED and compare the bytes; imported runs are "
        "checked for consistency. 1 when a run differs, 3 when one cannot be verified."
    )
    add_runs(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Verify each run."""
    from goal_drift_gym.verifying import verify_elsewhere

    answers = []
    for answer in verify_elsewhere([str(found.path) for found in runs_at(args.runs)]):
        answers.append(answer)
        if args.format == "table":
            word = {"ok": "ok", "different": "DIFFERENT", "unverified": "NOT VERIFIED"}[answer.status]
            say(f"{printable(answer.path)}: {word}" + (f" ({printable(answer.detail)})" if answer.detail else ""))
    if args.format == "json":
        as_json(msgspec.to_builtins(answers))
    counts = {status: sum(1 for answer in answers if answer.status == status) for status in ("different", "unverified")}
    if args.format == "table":
        say(f"{counted(len(answers), 'run')}: {counts['different']} different, {counts['unverified']} not verified")
    return 1 if counts["different"] else 3 if counts["unverified"] else 0
