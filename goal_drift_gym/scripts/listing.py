"""`goal-drift list`: what there is.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse

from goal_drift_gym.scripts.output import add_format, note, one_of, records

KINDS = ("scenarios", "conditions", "agents", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "kind", nargs="?", type=one_of(*KINDS), default=KINDS[0], metavar="|".join(KINDS), help="default: %(default)s"
    )
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """List; 3 when a scenario cannot be loaded."""
    from goal_drift_gym import catalogue

    sources = {
        "scenarios": catalogue.scenario_list,
        "conditions": catalogue.condition_list,
        "agents": catalogue.agent_list,
        "metrics": catalogue.metric_list,
    }
    rows = list(sources[args.kind]())
    errors = [row["error"] for row in rows if row.get("error")]
    for error in errors:
        note(error)
    columns = [name for name in (rows[0] if rows else ()) if name != "error" or errors]
    records(args.format, columns, [[row[name] for name in columns] for row in rows])
    return 3 if errors else 0
