"""What `goal-drift run` may spend, has spent, and did not run because of it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.printable import counted
from goal_drift_gym.scripts.output import note

if TYPE_CHECKING:
    from goal_drift_gym.core.budget import Budget
    from goal_drift_gym.core.session_spending import Spent
    from goal_drift_gym.sweep import Job, Sweep


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add --budget, --prices and --dry-run."""
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="the last amount that may be spent: call, step, episode or session, and seconds, tokens, calls or money, "
        "such as session.tokens=200000; repeatable",
    )
    parser.add_argument(
        "--prices", metavar="FILE", help="price table in TOML or JSON: money for a million tokens, by model"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show episodes and the calls, tokens and cost to expect; run nothing"
    )


def asked_budget(args: argparse.Namespace) -> Budget | None:
    """Return what --budget and --prices say; None where neither is given.

    Raises
    ------
    UsageError
        If a limit or the price table is wrong.
    """
    from goal_drift_gym.core.budget import Budget, parse_budget
    from goal_drift_gym.core.prices import read_prices

    if not args.budget and args.prices is None:
        return None
    return Budget.of(parse_budget(args.budget), {} if args.prices is None else read_prices(args.prices))


@contextmanager
def session(jobs: Sequence[Job], budget: Budget | None) -> Iterator[list[Job]]:
    """Give jobs a budget that all of them count against, in whatever process they run."""
    if budget is None:
        yield list(jobs)
        return
    from goal_drift_gym.core.session_spending import close_spending

    with tempfile.TemporaryDirectory(prefix="goal-drift-spent-", ignore_cleanup_errors=True) as directory:
        shared = budget.shared(directory, time.monotonic())
        try:
            yield [msgspec.structs.replace(job, budget=shared) for job in jobs]
        finally:
            close_spending(directory)


def say_spending(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Say what was spent, what was not run, and by which limit."""
    for role, amount in _spent(jobs).items():
        note(f"spent by {role}: {amount}")
    if not sweep.not_run:
        return
    whole = [one for one in sweep.not_run if one.run is None]
    cut = len(sweep.not_run) - len(whole)
    parts = [f"{counted(len(whole), 'run')} not begun"] if whole else []
    parts += [f"{counted(cut, 'run')} cut off"] if cut else []
    note(f"goal-drift run: {' and '.join(parts)}, because a limit of the session was reached:")
    for told in not_run_as_json(sweep):
        what = "not begun" if told["cut_off"] is None else f"cut off, {told['cut_off']}"
        note(
            f"  {told['scenario']} {told['condition']} {told['agent']} seeds {_ranges(told['seeds'])}: "
            f"{what}: {told['why']}"
        )


def not_run_as_json(sweep: Sweep) -> list[dict[str, Any]]:
    """Return what was not run to its end: seeds that were not begun together, and each run that was cut off."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in sweep.not_run:
        job = one.job
        key = (job.scenario, str(job.condition["name"]), job.agent, one.why, one.run or "")
        told = dict(zip(("scenario", "condition", "agent", "why"), key, strict=False))
        found.setdefault(key, {**told, "cut_off": one.run, "seeds": []})["seeds"].append(job.seed)
    return list(found.values())


def spent(jobs: Sequence[Job]) -> dict[str, Any] | None:
    """Return what each role has spent, as plain data; None where nobody counted."""
    if not jobs or jobs[0].budget is None:
        return None
    return {
        role: {**msgspec.structs.asdict(amount), "money": amount.money if amount.priced else None}
        for role, amount in _spent(jobs).items()
    }


def _spent(jobs: Sequence[Job]) -> dict[str, Spent]:
    budget = jobs[0].budget if jobs else None
    if budget is None or budget.directory is None:
        return {}
    from goal_drift_gym.core.session_spending import spending_in

    return spending_in(budget.directory).by_role()


def _ranges(seeds: Sequence[int]) -> str:
    """Write seeds in ranges.

    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
