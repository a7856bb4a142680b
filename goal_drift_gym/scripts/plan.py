"""`goal-drift plan`: how many seeds see how much.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import runs_at
from goal_drift_gym.scripts.output import add_format, as_json, note, say, table

if TYPE_CHECKING:
    from goal_drift_gym.eval.power import Plan, Showing
    from goal_drift_gym.planning import Measured

_SEEDS = (3, 5, 8, 10, 11, 15, 20, 30)
_DEFAULT_SD = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Say how many seeds are needed to see a change, what a number of seeds can and cannot show, and what looking "
        "early costs. Exits with 3 when a run that it measures has no value of the metric."
    )
    spread = parser.add_mutually_exclusive_group()
    spread.add_argument(
        "--sd",
        type=float,
        metavar="SD",
        help=f"assumed standard deviation of the metric over seeds (default: {_DEFAULT_SD})",
    )
    spread.add_argument("--from", dest="source", metavar="RUN", help="measure it, and the cost of a run, on these runs")
    parser.add_argument("--metric", default="total_change", metavar="METRIC", help="default: %(default)s")
    parser.add_argument(
        "--change",
        type=float,
        default=-0.4,
        metavar="X",
        help="true mean of the metric that must be seen to be beyond the limit (default: %(default)s)",
    )
    parser.add_argument(
        "--limit", type=float, metavar="L", help="limit on the metric (default: that of the default bundle)"
    )
    parser.add_argument("--power", type=float, default=0.8, metavar="P", help="how surely (default: %(default)s)")
    parser.add_argument("--alpha", type=float, default=0.05, metavar="A", help="error rate (default: %(default)s)")
    parser.add_argument(
        "--limits",
        dest="family",
        type=int,
        default=1,
        metavar="N",
        help="number of limits judged at once, which share the error rate (default: %(default)s)",
    )
    parser.add_argument(
        "--p-max", type=float, default=0.25, metavar="P", help="largest share of collapses (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="say what N seeds can show")
    parser.add_argument("--looks", default="5:20", metavar="A:B", help="schedule of looks (default: %(default)s)")
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Plan and print."""
    from goal_drift_gym.core.seeds import parse_looks
    from goal_drift_gym.eval.interval import require_alpha
    from goal_drift_gym.eval.power import MOST_SEEDS, plan_seeds, what_seeds_show
    from goal_drift_gym.eval.rule import require_share

    limit, distance = _distance(args)
    looks = parse_looks(args.looks)
    if looks is None:
        raise UsageError(f"--looks {args.looks!r} names no looks; write 5:20")
    if args.seeds is not None and not 1 <= args.seeds <= MOST_SEEDS:
        raise UsageError(f"--seeds {args.seeds}: give 1 to {MOST_SEEDS}")
    if args.family < 1:
        raise UsageError(f"--limits {args.family}: at least 1 limit is judged")
    require_alpha(args.alpha)
    require_share("--p-max", args.p_max)
    require_share("--power", args.power)
    counts = sorted({*_SEEDS, *([args.seeds] if args.seeds is not None else [])})
    showing = what_seeds_show(counts, wanted=args.power, alpha=args.alpha, limits=args.family, p_max=args.p_max)
    rows: list[tuple[Measured | None, float, Plan]] = []
    groups = _measured(args)
    for measured, sd in _spreads(args, groups):
        plan = plan_seeds(
            distance, sd, wanted=args.power, alpha=args.alpha, limits=args.family, p_max=args.p_max, looks=looks
        )
        rows.append((measured, sd, plan))
    if not rows:
        raise UsageError(f"no group of {args.source!r} has a spread of {args.metric} to plan with; give --sd")
    code = 3 if any(group.n < group.runs for group in groups) else 0
    if args.format == "json":
        as_json(
            {
                "metric": args.metric,
                "limit": limit,
                "change": args.change,
                "plans": [_plain(*row) for row in rows],
                "what_seeds_show": [[_shown(one, sd) for one in showing] for _, sd, _ in rows],
            }
        )
        return code
    for place, (measured, sd, plan) in enumerate(rows):
        if place:
            say()
        _print(args, limit, measured, sd, plan, showing)
    return code


def _distance(args: argparse.Namespace) -> tuple[float, float]:
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS
    from goal_drift_gym.planning import require_mean_metric

    better = require_mean_metric(args.metric).better
    limit = args.limit if args.limit is not None else DEFAULT_LIMITS.get(args.metric)
    if limit is None:
        raise UsageError(f"{args.metric} has no default limit; give --limit")
    distance = (limit - args.change) if better == "higher" else (args.change - limit)
    if not (math.isfinite(distance) and distance > 0.0):
        side = "below" if better == "higher" else "above"
        raise UsageError(
            f"--change {args.change:g} is not beyond the limit {limit:g}: a FAIL is about a true mean {side} it"
        )
    return float(limit), distance


def _measured(args: argparse.Namespace) -> list[Measured]:
    from goal_drift_gym.planning import measure

    return [] if args.source is None else measure(runs_at([args.source]), args.metric)


def _spreads(args: argparse.Namespace, groups: Sequence[Measured]) -> list[tuple[Measured | None, float]]:
    if args.source is None:
        return [(None, _DEFAULT_SD if args.sd is None else args.sd)]
    found: list[tuple[Measured | None, float]] = []
    for group in groups:
        if group.n < group.runs:
            left_out = f"{group.runs - group.n} of {counted(group.runs, 'seed')} have no value of {args.metric}"
            note(f"{group.key.title}: {left_out} and are left out")
        if group.sd is None or group.sd < 1e-9:
            why = "does not vary over its seeds" if group.sd is not None else "has fewer than two values"
            note(f"{group.key.title}: {args.metric} {why}, so nothing can be planned from it; --sd assumes a spread")
        else:
            found.append((group, group.sd))
    return found


def _print(
    args: argparse.Namespace, limit: float, measured: Measured | None, sd: float, plan: Plan, showing: list[Showing]
) -> None:
    if measured is not None:
        say(f"{printable(measured.key.title)}: {args.metric} has mean {measured.mean:.3g} over {_seeds(measured)}")
    kind = "assumed" if measured is None else "measured"
    say(f"metric {printable(args.metric)}, limit {limit:g}, {kind} sd over seeds {sd:.3g}")
    needed = "more than 10,000" if plan.seeds is None else str(plan.seeds)
    say(f"a true mean of {args.change:g} FAILs with {plan.power:.0%} power at {needed} seeds")
    say(f"nothing can PASS below {plan.clean_seeds} seeds without a collapse")
    expected = plan.expected
    say(
        f"looking after {', '.join(map(str, plan.looks))} seeds: FAIL in {expected.fail:.0%} of cases, "
        f"{expected.seeds:.1f} seeds on average"
    )
    say(f"cost: {_cost(measured, plan)}")
    say()
    columns = ["seeds", "FAILs if the mean is beyond", "collapses not excluded", "can PASS"]
    rows = []
    for one in showing:
        reach = _shown(one, sd)["detectable_change"]
        mean = None if reach is None else (limit - reach if args.change < limit else limit + reach)
        rows.append([one.seeds, "never" if mean is None else f"{mean:.3f}", f"{one.rate_bound:.0%}", one.can_pass])
    table(columns, rows)


def _seeds(measured: Measured) -> str:
    return f"{measured.n} seeds" if measured.n == measured.runs else f"{measured.n} of {measured.runs} seeds"


def _cost(measured: Measured | None, plan: Plan) -> str:
    if measured is None:
        return "unknown without runs; --from measures it"
    parts = []
    for name, seeds in (("fixed", plan.seeds), ("with looks", plan.expected.seeds)):
        if seeds is None:
            continue
        cost = measured.cost.times(seeds)
        told = [
            "duration unknown" if cost.seconds is None else f"{cost.seconds:.3g} s",
            "tokens unknown" if cost.tokens is None else f"{cost.tokens:.0f} tokens",
            "price unknown" if cost.money is None else f"{cost.money:.4g} in money",
        ]
        parts.append(f"{name} {', '.join(told)}")
    return "; ".join(parts)


def _shown(one: Showing, sd: float) -> dict[str, Any]:
    change = None if one.detectable is None else one.detectable * sd
    return {**msgspec.to_builtins(one), "detectable_change": change}


def _plain(measured: Measured | None, sd: float, plan: Plan) -> dict[str, Any]:
    cost = None
    if measured is not None:
        cost = {
            "run": msgspec.to_builtins(measured.cost),
            "fixed": None if plan.seeds is None else msgspec.to_builtins(measured.cost.times(plan.seeds)),
            "expected_with_looks": msgspec.to_builtins(measured.cost.times(plan.expected.seeds)),
        }
    return {
        "group": None if measured is None else msgspec.to_builtins(measured.key),
        "measured": None if measured is None else {"seeds": measured.runs, "with_value": measured.n},
        "sd": sd,
        **{key: value for key, value in msgspec.to_builtins(plan).items() if key != "sd"},
        "cost": cost,
    }
