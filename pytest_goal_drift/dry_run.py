"""`--drift-dry-run`: which episodes a session would run, and what they are expected to spend.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from goal_drift_gym.core.printable import printable
from pytest_goal_drift.keys import PLAN
from pytest_goal_drift.services import services_of

if TYPE_CHECKING:
    from goal_drift_gym.rehearsal import Estimate, Expected, Payer
    from goal_drift_gym.runner import Experiment
    from pytest_goal_drift.plan import Plan
    from pytest_goal_drift.services import Services

_HEAD = ("test", "condition", "agent", "episodes", "steps", "calls", "tokens in", "tokens out", "cost")
_LEFT = frozenset({"test", "condition", "agent"})
_OWN = "(drift_agent)"
"""What stands for an agent that a fixture of the project makes: it is not made before the test runs."""


def in_this_process(config: pytest.Config) -> None:
    """Keep pytest-xdist from starting workers, which would have nothing to do."""
    config.option.dist = "no"


def report(items: Sequence[pytest.Item], config: pytest.Config) -> list[str]:
    """Return the lines of the report on the collected items."""
    from goal_drift_gym.rehearsal import HOW, compared

    services = services_of(config)
    planned = [item for item in items if PLAN in item.stash]
    by_group: dict[str, list[pytest.Item]] = {}
    for item in planned:
        by_group.setdefault(item.stash[PLAN].group, []).append(item)
    rehearsed: dict[str, Expected] = {}
    rows: list[tuple[str, Estimate]] = []
    for name, group in by_group.items():
        rows += [(name.replace("[all_seeds]", ""), one) for one in _estimates(group, services, rehearsed)]
    lines = _table([_HEAD, *(_cells(test, one) for test, one in rows), _totals([one for _, one in rows])])
    unknown = dict.fromkeys(one.model or f"the model of {one.agent}" for _, one in rows if one.cost is None)
    lines += [f"the price is not known of {', '.join(unknown)}; --drift-prices tells it"] if unknown else []
    others = [item.nodeid for item in items if item not in planned and "drift_episode" in _fixtures(item)]
    lines += [f"{name} uses drift_episode: its episodes are not known before" for name in others]
    if services.settings.looks is not None:
        lines.append("at most: a look may decide before all seeds are run")
    budget = services.settings.budget
    lines += [] if budget is None else [f"budget {line}" for line in compared([one for _, one in rows], budget)]
    return [*map(printable, lines), HOW, "nothing was run"]


def _estimates(group: Sequence[pytest.Item], services: Services, rehearsed: dict[str, Expected]) -> list[Estimate]:
    from goal_drift_gym.rehearsal import estimate, rehearse
    from pytest_goal_drift.twinning import twin_of

    first = group[0]
    plan: Plan = first.stash[PLAN]
    marker = first.get_closest_marker("drift_scenario")
    assert marker is not None
    experiment = services.experiment(services.spec(first, marker))
    sides: list[Experiment] = [experiment, *([twin_of(experiment, plan.without)] if plan.without else [])]
    seeds = [seed for item in group for seed in _seeds(item)]
    prices = {} if services.settings.budget is None else services.settings.budget.prices
    found: list[Estimate] = []
    for side in sides:
        key = repr((side.entry.reference, side.condition))
        if key not in rehearsed:
            rehearsed[key] = rehearse(side, seeds[0])
        found.append(estimate(side, rehearsed[key], _payer(first, services), len(seeds), prices))
    return found


def _seeds(item: pytest.Item) -> tuple[int, ...]:
    plan = item.stash[PLAN]
    return plan.seeds if plan.seed is None else (plan.seed,)


def _payer(item: pytest.Item, services: Services) -> Payer:
    from goal_drift_gym.rehearsal import Payer

    factory = services.agent_factory()
    if factory is None or _has_own_agent(item):
        return Payer(name=_OWN)
    return Payer.of(str(services.settings.agent), factory())


def _has_own_agent(item: pytest.Item) -> bool:
    # There is no public way to ask; where this one is gone, the agent counts as unknown.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get("drift_agent")
    return not known or len(known) > 1


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _cells(test: str, one: Estimate) -> tuple[str, ...]:
    times, each = one.episodes, one.each
    numbers = (times, times * each.steps, times * each.calls, times * each.input_tokens, times * each.output_tokens)
    cost = "unknown" if one.cost is None else f"{one.cost:.4g}"
    names = map(printable, (test, f"{one.scenario}/{one.condition}", one.agent))
    return (*names, *(f"{number:,}" for number in numbers), cost)


def _totals(estimates: Sequence[Estimate]) -> tuple[str, ...]:
    columns: list[Any] = [
        [one.episodes for one in estimates],
        *([one.episodes * getattr(one.each, name) for one in estimates] for name in _MEASURED),
    ]
    costs = [one.cost for one in estimates]
    cost = "unknown" if None in costs else f"{sum(filter(None, costs)):.4g}"
    return ("in all", "", "", *(f"{sum(column):,}" for column in columns), cost)


_MEASURED = ("steps", "calls", "input_tokens", "output_tokens")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if name in _LEFT else cell.rjust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
