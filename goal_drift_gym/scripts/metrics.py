"""`goal-drift metrics`: the metrics of runs, computed again from their directories alone.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse

import msgspec

from goal_drift_gym.scripts.arguments import add_runs, runs_at
from goal_drift_gym.scripts.output import add_format, as_json, cell, note, say, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Compute the metrics of runs again and compare with what was written; 1 when they differ."
    add_runs(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Compute, compare, print."""
    from goal_drift_gym.consistency import metrics_difference
    from goal_drift_gym.core.errors import RunRecordError
    from goal_drift_gym.runner import recompute_metrics

    different = unknown = False
    shown = []
    for found in runs_at(args.runs):
        try:
            metrics = recompute_metrics(found)
            difference = metrics_difference(found, metrics)
        except RunRecordError as error:
            note(str(error))
            unknown = True
            continue
        equal = None if found.metrics_file is None and difference is None else difference is None
        different |= equal is False
        unknown |= equal is None
        said = {
            True: "equal to what was written",
            False: f"DIFFERENT: {difference}",
            None: "unfinished: none written yet",
        }
        if args.format == "json":
            plain = msgspec.to_builtins(metrics)
            reason = None if difference is None else str(difference)
            shown.append({"path": str(found.path), "metrics": plain, "equal": equal, "difference": reason})
        else:
            say(f"{cell(str(found.path))}: {cell(said[equal])}")
            table(["metric", "value"], [[name, cell(value)] for name, value in metrics.flat().items()])
            say(f"status: {metrics.status}" + (f", {cell(metrics.reason)}" if metrics.reason else ""))
            say()
    if args.format == "json":
        as_json(shown)
    return 1 if different else 3 if unknown else 0
