"""`goal-drift gate`: the verdict on runs that are there.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted
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
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.eval.verdict import Verdict
    from goal_drift_gym.grouping import GroupKey

_BASELINE = "baseline:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Decide on the runs of each group (scenario, condition, agent) whether the agent keeps its goal. "
        "Exits with 0 when every group is PASS, 1 when one is FAIL, 3 when one is INCONCLUSIVE or INVALID."
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run directory, a directory to search for runs, or baseline:NAME"
    )
    add_limits(
        parser,
        said="limit on a metric, such as total_change=-0.2; repeatable (default: total_change=-0.2, final_level=0.6, "
        "worst_window=0, no collapse)",
    )
    add_rule(parser)
    parser.add_argument(
        "--family",
        choices=("none", "holm"),
        default="none",
        help="holm: a false FAIL among all groups is as rare as in one (default: %(default)s)",
    )
    parser.add_argument(
        "--looks",
        metavar="A:B",
        help="the runs were made with run --seeds A:B, which stops early: judge them by the same schedule",
    )
    add_baselines_dir(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Judge, print, and tell by the exit code."""
    from goal_drift_gym.eval.verdict import decide
    from goal_drift_gym.grouping import group_runs, split_runs, split_series
    from goal_drift_gym.judging import counting_runs, judge_family, judge_runs, verdict_on_part

    limits = parse_limits(args.limits)
    rule = {"mode": args.mode, "alpha": args.alpha, "p_max": args.p_max, "looks": _looks(args.looks)}
    groups: list[tuple[GroupKey, Verdict, Sequence[Run]]] = []
    parts: list[str | None] = []
    for place in (place for place in args.runs if place.startswith(_BASELINE)):
        samples = samples_at(place, args.baselines_dir)
        split = split_series((one.key, [result.seed for result in one.results], {}) for one in samples)
        for one in samples:
            groups.append((one.key, decide(one.results, limits, **rule), []))
            parts.append(split.get(one.key))
    places = [place for place in args.runs if not place.startswith(_BASELINE)]
    found = group_runs(runs_at(places))
    split = split_runs(found)
    for key, runs in found.items():
        repeated = len(runs) - len(counting_runs(runs))
        if repeated:
            note(f"{key.title}: {counted(repeated, 'repeated run')} left out; the first attempt of a seed counts")
        groups.append((key, judge_runs(runs, limits, **rule), runs))
        parts.append(split.get(key))
    if args.family == "holm":
        corrected = judge_family({str(place): verdict for place, (_, verdict, _) in enumerate(groups)})
        groups = [(key, corrected[str(place)], runs) for place, (key, _, runs) in enumerate(groups)]
    # After the correction, which may take back the FAIL that would stay one.
    groups = [
        (key, verdict_on_part(verdict, said), runs) for (key, verdict, runs), said in zip(groups, parts, strict=True)
    ]
    if args.format == "json":
        as_json({"groups": [_plain(*group) for group in groups]})
    else:
        _print(groups)
    return exit_code(verdict for _, verdict, _ in groups)


def _looks(text: str | None) -> list[int] | None:
    from goal_drift_gym.core.seeds import parse_looks

    if text is None:
        return None
    looks = parse_looks(text)
    if looks is None:
        raise UsageError(f"--looks {text!r} names no looks; write 5:20")
    return looks


def _print(groups: Sequence[tuple[GroupKey, Verdict, Sequence[Run]]]) -> None:
    from goal_drift_gym.grouping import told_apart

    width = shutil.get_terminal_size((100, 24)).columns
    shown = told_apart({key for key, _, _ in groups})
    for place, (key, verdict, runs) in enumerate(groups):
        if place:
            say()
        print_verdict(shown[key].title, verdict, runs, width=width)
    if len(groups) > 1:
        say()
        words = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
        counts = [(sum(verdict.status == word for _, verdict, _ in groups), word) for word in words]
        say(f"{counted(len(groups), 'group')}: " + ", ".join(f"{count} {word}" for count, word in counts if count))


def _plain(key: GroupKey, verdict: Verdict, runs: Sequence[Run]) -> dict[str, Any]:
    return {"group": msgspec.to_builtins(key), **msgspec.to_builtins(verdict), "worst": worst_run(verdict, runs)}
