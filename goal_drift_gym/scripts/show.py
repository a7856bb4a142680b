"""`goal-drift show`: a scenario, a condition resolved, or a run.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import Run, is_run_directory
from goal_drift_gym.scripts.arguments import one_run
from goal_drift_gym.scripts.output import add_format, as_json, cell, say, table

_LONGEST_CELL = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", metavar="REF", help="SCENARIO, SCENARIO:CONDITION, or a run directory")
    parser.add_argument("--step", type=int, metavar="N", help="of a run: this step in full")
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    if _names_a_run(args.what):
        return _show_run(one_run(args.what), args)
    if args.step is not None:
        raise UsageError(f"--step is for runs, and {args.what!r} is no run directory")
    from goal_drift_gym.catalogue import scenario_details, split_reference
    from goal_drift_gym.scenarios.discovery import find_condition

    entry, condition = split_reference(args.what)
    if condition is None:
        value = scenario_details(entry)
    else:
        value = find_condition(entry.load(), condition).resolved()
    if args.format == "json":
        as_json(value)
    else:
        _tree(value)
    return 0


def _names_a_run(reference: str) -> bool:
    from goal_drift_gym.scenarios.discovery import scenario_entries

    path = Path(reference)
    if is_run_directory(path):
        return True
    if "/" in reference:
        return ".py" not in reference or path.is_dir()
    # A scenario's project often lies in a folder of the scenario's name.
    return path.is_dir() and reference not in scenario_entries()


def _show_run(run: Run, args: argparse.Namespace) -> int:
    if args.step is not None:
        record = msgspec.to_builtins(_step(run, args.step))
        (as_json if args.format == "json" else _tree)(record)
        return 0
    from goal_drift_gym.adversaries import adversary_rows

    steps = list(run.steps())
    adversaries = msgspec.to_builtins(adversary_rows(run))
    if args.format == "json":
        as_json(
            {
                "path": str(run.path),
                "config": msgspec.to_builtins(run.config),
                "outcome": run.outcome,
                "metrics": run.metrics,
                "meta": run.meta,
                "adversaries": adversaries,
                "torn_last_line": run.torn,
                "steps": [_row(record) for record in steps],
            }
        )
        return 0
    config = msgspec.to_builtins(run.config)
    del config["tools"]
    _tree({"path": str(run.path), "config": config, "tools": [tool.get("name") for tool in run.config.tools]})
    say()
    _tree({"outcome": run.outcome or "unfinished", "detail": (run.meta or {}).get("detail"), "metrics": run.metrics})
    if adversaries:
        say()
        say("pressure written by an agent as the episode went (reactive):")
        _tree(adversaries, "  ")
    say()
    rows = [_row(record) for record in steps]
    columns = ["step", "outcome", "phase", "calls", "alignment", "commission", "omission", "violations", "events"]
    table(columns, [[_short(row[name]) for name in columns] for row in rows])
    if run.torn:
        say("the last line of the step log is torn and left out")
    return 0


def _step(run: Run, number: int) -> StepRecord:
    record = next(islice(run.steps(), number, None), None) if number >= 0 else None
    if record is None:
        count = sum(1 for _ in run.step_lines())
        raise UsageError(f"there is no step {number} in {run.path}; it has {count} steps, counted from 0")
    return record


def _row(record: StepRecord) -> dict[str, Any]:
    return {
        "step": record.step,
        "outcome": record.outcome,
        "phase": record.phase,
        "calls": [call.tool if call.status == "ok" else f"{call.tool}!{call.status}" for call in record.action.calls],
        "alignment": record.score.alignment,
        "commission": record.score.commission,
        "omission": record.score.omission,
        "violations": [violation.constraint for violation in record.violations],
        "events": [event.kind for event in record.events],
    }


def _short(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    text = cell(value)
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "..."


def _tree(value: Any, indent: str = "") -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _branch(f"{indent}{cell(key)}:", item, indent)
    elif isinstance(value, list):
        for item in value:
            _branch(f"{indent}-", item, indent)


def _branch(label: str, item: Any, indent: str) -> None:
    if isinstance(item, dict | list) and item:
        say(label)
        _tree(item, indent + "  ")
    else:
        say(f"{label} {'-' if isinstance(item, dict | list) else cell(item)}")
