"""`goal-drift compare`: what changed between two sets of runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goal_drift_gym.scripts.arguments import (
    add_baselines_dir,
    add_limits,
    add_rule,
    exit_code,
    parse_limits,
    runs_at,
    samples_at,
)
from goal_drift_gym.scripts.output import add_format, as_json, note, say
from goal_drift_gym.scripts.verdicts import print_verdict, worst_run

if TYPE_CHECKING:
    from goal_drift_gym.comparing import Comparison
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.grouping import GroupKey
    from goal_drift_gym.samples import Sample

_BASELINE = "baseline:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Decide whether B is worse than A: runs of two commits, models or prompts under the same conditions. "
        "Estimates are differences, B minus A. Exits with 0 when every group is PASS, 1 when one is FAIL, 2 when the "
        "two cannot be compared, 3 when one is INCONCLUSIVE or INVALID."
    )
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="run directory, a directory of runs, or baseline:NAME")
    add_limits(
        parser,
        "--fail-on",
        said="limit on the difference B - A, such as total_change=-0.1 (or total_change:-0.1); repeatable (default: "
        "total_change=-0.2, final_level=-0.4, worst_window=-1)",
    )
    parser.add_argument(
        "--paired",
        choices=("auto", "yes", "no"),
        default="auto",
        help="pair seeds; auto: where both agents repeat themselves and share seeds and worlds (default: %(default)s)",
    )
    add_rule(parser)
    add_baselines_dir(parser)
    add_format(parser, "table", "json")
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page with both sides of each group: means, curves, settings"
    )


def run(args: argparse.Namespace) -> int:
    """Compare, print, and tell by the exit code."""
    from goal_drift_gym.comparing import compare

    before, after = (samples_at(place, args.baselines_dir) for place in (args.a, args.b))
    found = compare(
        before,
        after,
        parse_limits(args.limits),
        pairing=args.paired,
        mode=args.mode,
        alpha=args.alpha,
        p_max=args.p_max,
    )
    runs = _runs(args.b)
    if args.html:
        note(f"page: {_write_page(args, found, (before, after), runs)}")
    if args.format == "json":
        as_json({"comparisons": [_plain(one, runs.get(one.after, [])) for one in found]})
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        for place, one in enumerate(found):
            if place:
                say()
            print_verdict(_title(one.before, one.after), one.verdict, runs.get(one.after, []), width=width)
    return exit_code(one.verdict for one in found)


def _runs(place: str) -> dict[GroupKey, list[Run]]:
    from goal_drift_gym.grouping import group_runs

    return {} if place.startswith(_BASELINE) else group_runs(runs_at([place]))


def _write_page(
    args: argparse.Namespace,
    found: Sequence[Comparison],
    samples: Sequence[Sequence[Sample]],
    after: dict[GroupKey, list[Run]],
) -> Path:
    from goal_drift_gym.report.compare_page import Side, compare_page
    from goal_drift_gym.report.writing import write_whole

    before, now = (
        Side(name=place if place.startswith(_BASELINE) else Path(place).resolve().name, samples=side, runs=runs)
        for place, side, runs in zip((args.a, args.b), samples, (_runs(args.a), after), strict=True)
    )
    return write_whole(Path(args.html), compare_page(found, before, now))


def _title(before: GroupKey, after: GroupKey) -> str:
    agents = after.agent if before.agent == after.agent else f"{before.agent} (A) and {after.agent} (B)"
    return f"scenario {after.scenario}, condition {after.condition}, agent {agents}: B - A"


def _plain(one: Comparison, runs: Sequence[Run]) -> dict[str, object]:
    return {
        "a": msgspec.to_builtins(one.before),
        "b": msgspec.to_builtins(one.after),
        "paired": one.paired,
        **msgspec.to_builtins(one.verdict),
        "worst": worst_run(one.verdict, runs),
    }
