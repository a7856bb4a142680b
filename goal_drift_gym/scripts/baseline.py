"""`goal-drift baseline`: keep results under a name.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.scripts.arguments import add_baselines_dir, add_limits, parse_limits, runs_at
from goal_drift_gym.scripts.output import add_format, as_json, note, one_of, say, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "save NAME RUN...: write the results of runs to NAME.json, for review and for gate and compare as "
        "baseline:NAME. promote NAME: copy it over main, or over --to. list: what there is. Nothing is written in CI "
        "(where $CI is set) without --force."
    )
    parser.add_argument("action", type=one_of("save", "promote", "list"), metavar="save|promote|list")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run directory, or a directory to search for runs")
    parser.add_argument("--to", default="main", metavar="NAME", help="what promote writes (default: %(default)s)")
    add_limits(parser, said="limits to note down with it; repeatable (default: the default bundle)")
    parser.add_argument("--force", action="store_true", help="write over what is there, and in CI")
    add_baselines_dir(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Save, promote or list."""
    if args.action == "list":
        _require(args.name is None, "list takes no name")
        return _list(args)
    _require(args.name is not None, f"{args.action} needs a NAME")
    if args.action == "promote":
        from goal_drift_gym.baselines import promote_baseline

        _require(not args.runs, "promote takes a name and no runs")
        path = promote_baseline(args.name, args.to, args.baselines_dir, force=args.force)
    else:
        _require(bool(args.runs), "save needs runs")
        path = _save(args)
    if args.format == "json":
        as_json({"path": str(path)})
    else:
        say(printable(path))
    return 0


def _save(args: argparse.Namespace) -> Path:
    from goal_drift_gym.baselines import make_baseline, write_baseline
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS
    from goal_drift_gym.samples import samples_of

    baseline = make_baseline(args.name, samples_of(runs_at(args.runs)), parse_limits(args.limits) or DEFAULT_LIMITS)
    path = write_baseline(baseline, args.baselines_dir, force=args.force)
    if baseline.dirty:
        note("runs of this baseline were made in a checkout with uncommitted changes: no commit holds what made them")
    return path


def _list(args: argparse.Namespace) -> int:
    from goal_drift_gym.baselines import baseline_names, load_baseline

    found = [load_baseline(name, args.baselines_dir) for name in baseline_names(args.baselines_dir)]
    if args.format == "json":
        as_json(
            [
                {
                    "name": baseline.name,
                    "promoted_from": baseline.promoted_from,
                    "groups": [
                        {
                            **msgspec.to_builtins(group.sample.key),
                            "n": group.n,
                            "n_valid": group.n_valid,
                            "commits": msgspec.to_builtins(group.sample.commits),
                        }
                        for group in baseline.groups
                    ],
                }
                for baseline in found
            ]
        )
        return 0
    columns = ["name", "promoted from", "scenario", "condition", "agent", "seeds", "scored", "commit"]
    rows = [
        [
            baseline.name,
            baseline.promoted_from,
            group.sample.key.scenario,
            group.sample.key.condition,
            group.sample.key.agent,
            group.n,
            group.n_valid,
            [commit.sha[:12] + ("+" if commit.dirty else "") for commit in group.sample.commits],
        ]
        for baseline in found
        for group in baseline.groups
    ]
    table(columns, rows)
    return 0


def _require(holds: bool, said: str) -> None:
    if not holds:
        raise UsageError(f"{said}; see goal-drift baseline --help")
