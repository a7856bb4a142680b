"""`goal-drift calibrate`: how often the verdict is right on agents whose drift is known.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_limits, comma_list, parse_limits
from goal_drift_gym.scripts.output import Progress, add_format, as_csv, as_json, note, say, table

if TYPE_CHECKING:
    from goal_drift_gym.calibrating import Calibration, Rates
    from goal_drift_gym.sweep import Job

_MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Run the reference agents and judge disjoint groups of their seeds. Cells are FAIL/PASS in percent of the "
        "groups, the rest is INCONCLUSIVE; a third number is INVALID. Where the goal is kept, FAIL is the rate of "
        "false alarms; where it is left, FAIL is the power. Exits with 3 when a run was not scored."
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="as for run")
    parser.add_argument("--condition", action="append", metavar="NAME|FILE", help="as for run (default: all)")
    parser.add_argument(
        "--agents", action="append", metavar="REF", help="as for run (default: all reference agents that can be scored)"
    )
    parser.add_argument("--seeds", default="20", metavar="N|A-B|LIST", help="default: %(default)s")
    parser.add_argument(
        "--looks",
        default="5,10,15,20",
        metavar="LIST|A:B",
        help="sizes of the groups, and the schedule of the sequential rule (default: %(default)s)",
    )
    parser.add_argument(
        "--mixture",
        type=float,
        action="append",
        default=[],
        metavar="SHARE",
        help="judge each agent that leaves the goal also as one that does so in this share of seeds; repeatable",
    )
    add_limits(parser, said="limit on a metric; repeatable (default: the default bundle)")
    parser.add_argument("--alpha", type=float, default=0.05, metavar="A", help="error rate (default: %(default)s)")
    parser.add_argument(
        "--p-max", type=float, default=0.25, metavar="P", help="largest share of collapses (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add_format(parser, "table", "markdown", "json", "csv")


def run(args: argparse.Namespace) -> int:
    """Run, judge, print."""
    from goal_drift_gym.calibrating import JUDGED_AGENTS, calibrate_verdict
    from goal_drift_gym.core.seeds import parse_seeds

    if not 1 <= args.workers <= _MOST_WORKERS:
        raise UsageError(f"--workers {args.workers}: give 1 to {_MOST_WORKERS}")
    progress: list[Progress] = []

    def report(job: Job) -> None:
        progress[0].step(f"{job.scenario} {job.condition['name']} {job.agent} seed {job.seed}")

    with redirect_stdout(sys.stderr):
        found = calibrate_verdict(
            comma_list([args.scenario]),
            comma_list(args.condition or ["all"]),
            comma_list(args.agents) if args.agents else JUDGED_AGENTS,
            seeds=parse_seeds(args.seeds),
            looks=_looks(args.looks),
            mixtures=args.mixture,
            limits=parse_limits(args.limits),
            alpha=args.alpha,
            p_max=args.p_max,
            workers=args.workers,
            planned=lambda total: progress.append(Progress(total)),
            report=report,
        )
    progress[0].close()
    if args.format == "json":
        as_json(msgspec.to_builtins(found))
    elif args.format == "csv":
        as_csv(*_long(found))
    else:
        columns, rows = _wide(found)
        if args.format == "markdown":
            for line in (columns, ["---"] * len(columns), *rows):
                say(printable(f"| {' | '.join(line)} |"))
        else:
            table(columns, rows)
    return 3 if _note_unscored(found) else 0


def _note_unscored(found: Sequence[Calibration]) -> bool:
    """Say which agents had runs that could not be scored, and return whether one had that is not meant to."""
    from goal_drift_gym.sweep import FAILS_ON_PURPOSE

    lacking = [one for one in found if one.unscored and one.share == 1.0 and one.agent not in FAILS_ON_PURPOSE]
    for one in lacking:
        named = ", ".join(f"{count} {status}" for status, count in sorted(one.unscored.items()))
        count = sum(one.unscored.values())
        where = f"scenario {one.scenario}, condition {one.condition}, agent {one.agent}"
        note(f"{where}: {count} of {counted(one.runs, 'run')} could not be scored ({named})")
    return bool(lacking)


def _looks(text: str) -> list[int]:
    from goal_drift_gym.core.seeds import parse_looks

    looks = parse_looks(text)
    if looks is not None:
        return looks
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--looks {text!r} names no looks; write 5,10,15,20 or 5:20") from None


def _wide(found: Sequence[Calibration]) -> tuple[list[str], list[list[str]]]:
    first = found[0]
    columns = ["scenario", "condition", "agent", "goal"]
    columns += [f"N = {rates.seeds} ({counted(rates.groups, 'group')})" for rates in first.fixed]
    if first.looks is not None:
        columns += [f"looks ({counted(first.looks.groups, 'group')})", "seeds used"]
    rows = []
    for one in found:
        goal = "kept" if one.keeps_goal else "left" if one.share == 1.0 else f"left in {one.share:.0%} of seeds"
        row = [one.scenario, one.condition, one.agent, goal]
        row += [_cell(rates) for rates in one.fixed]
        if one.looks is not None:
            row += [_cell(one.looks), f"{one.looks.used:.1f}"]
        rows.append(row)
    return columns, rows


def _cell(rates: Rates) -> str:
    return f"{100 * rates.fail:.0f}/{100 * rates.passed:.0f}" + (f"/{100 * rates.invalid:.0f}" if rates.invalid else "")


def _long(found: Sequence[Calibration]) -> tuple[list[str], list[list[object]]]:
    columns = ["scenario", "condition", "agent", "share", "goal_kept", "looks", *_RATES]
    rows: list[list[object]] = []
    for one in found:
        all_rates = [(False, rates) for rates in one.fixed] + ([(True, one.looks)] if one.looks is not None else [])
        for looks, rates in all_rates:
            plain = msgspec.to_builtins(rates)
            values = [plain[name] for name in _RATES]
            rows.append([one.scenario, one.condition, one.agent, one.share, one.keeps_goal, looks, *values])
    return columns, rows


_RATES = ("seeds", "groups", "fail", "passed", "inconclusive", "invalid", "used")
