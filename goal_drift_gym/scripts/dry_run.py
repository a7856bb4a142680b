"""`goal-drift run --dry-run`: what would be run and spent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.printable import counted
from goal_drift_gym.scripts.output import as_json, note, say, table

if TYPE_CHECKING:
    from goal_drift_gym.core.budget import Budget
    from goal_drift_gym.rehearsal import Estimate
    from goal_drift_gym.sweep import Job

_COLUMNS = ("scenario", "condition", "agent", "episodes", "steps", "calls", "tokens in", "tokens out", "cost")


def say_expected(jobs: Sequence[Job], budget: Budget | None, args: argparse.Namespace) -> int:
    """Print what is expected; nothing is run."""
    from goal_drift_gym.rehearsal import HOW, compared

    estimates = _estimates(jobs, budget)
    against = [] if budget is None else compared(estimates, budget)
    if args.format == "json":
        as_json({"expected": [_as_json(one) for one in estimates], "how": HOW, "budget": against})
        return 0
    table(_COLUMNS, [_row(one) for one in estimates])
    say()
    most = "at most " if ":" in args.seeds else ""
    say(f"dry run: {most}{counted(len(jobs), 'episode')}, nothing was run")
    note(HOW)
    unknown = dict.fromkeys(one.model or f"the model of {one.agent}" for one in estimates if one.cost is None)
    if unknown:
        note(f"the price is not known of {', '.join(unknown)}; --prices FILE tells it")
    for line in against:
        note(f"budget {line}")
    return 0


def _estimates(jobs: Sequence[Job], budget: Budget | None) -> list[Estimate]:
    from goal_drift_gym.core.condition import parse_condition
    from goal_drift_gym.rehearsal import Expected, Payer, estimate, rehearse
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.scenarios.discovery import find_scenario
    from goal_drift_gym.sweep import make_agent

    groups: dict[bytes, list[Job]] = {}
    for job in jobs:
        groups.setdefault(canonical_json([job.scenario, job.condition, job.agent]), []).append(job)
    rehearsed: dict[bytes, Expected] = {}
    found: list[Estimate] = []
    for group in groups.values():
        first = group[0]
        experiment = Experiment(find_scenario(first.scenario), parse_condition(first.condition))
        key = canonical_json([first.scenario, first.condition])
        if key not in rehearsed:
            rehearsed[key] = rehearse(experiment, first.seed)
        payer = Payer.of(first.agent, make_agent(first.agent))
        prices = {} if budget is None else budget.prices
        found.append(estimate(experiment, rehearsed[key], payer, len(group), prices))
    return found


def _row(one: Estimate) -> list[Any]:
    times = one.episodes
    cost = "unknown" if one.cost is None else f"{one.cost:.4g}"
    each = one.each
    read, wrote = times * each.input_tokens, times * each.output_tokens
    return [one.scenario, one.condition, one.agent, times, times * each.steps, times * each.calls, read, wrote, cost]


def _as_json(one: Estimate) -> dict[str, Any]:
    return dict(zip((name.replace(" ", "_") for name in _COLUMNS), [*_row(one)[:-1], one.cost], strict=True))
