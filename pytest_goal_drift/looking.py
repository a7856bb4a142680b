"""Looks: leaving out the seeds that nobody needs, because the seeds of an earlier look have decided.

A decision at a look rests on exactly the first seeds of the plan, so it is the same in every process and in whatever
order the seeds finish. Where one of them is not known yet, nothing is known and the seed at hand is run: too much may
be run, too little never. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.keys import DECIDED, PLAN, RUNS
from pytest_goal_drift.recording import record_of
from pytest_goal_drift.services import services_of

if TYPE_CHECKING:
    from goal_drift_gym.eval.verdict import Verdict
    from pytest_goal_drift.plan import Plan
    from pytest_goal_drift.services import Services


def skip_if_decided(item: pytest.Item) -> None:
    """Skip a seed that an earlier look made superfluous."""
    plan = item.stash[PLAN]
    if plan.seed is None:
        return
    verdict = decided_early(item, plan.seeds.index(plan.seed))
    if verdict is None:
        return
    item.stash[DECIDED] = f"decided at look {verdict.look}: {verdict.status.lower()}"
    pytest.skip(item.stash[DECIDED])


def decided_early(item: pytest.Item, position: int) -> Verdict | None:
    """Return the verdict that needs no seed at this position of the plan or later; None where there is none yet."""
    plan = item.stash[PLAN]
    if plan.looks is None or not plan.gate:
        return None
    services = services_of(item.config)
    for look in plan.looks:
        if look > position:
            break
        verdict = _at(item, plan, services, look)
        if verdict is None:
            break
        if verdict.final and verdict.look is not None and verdict.look <= look:
            return verdict
    return None


def _at(item: pytest.Item, plan: Plan, services: Services, look: int) -> Verdict | None:
    """Return the verdict on the first seeds; None while one of them is not known."""
    key = plan.group, look
    known = services.decisions.get(key)
    if known is None:
        records = _records(item, plan, services, look)
        if records is None:
            return None
        known = _verdict(plan, records)
        if plan.seed is not None:
            services.decisions[key] = known
    return known


def _records(item: pytest.Item, plan: Plan, services: Services, look: int) -> list[dict[str, Any]] | None:
    first = plan.seeds[:look]
    if plan.seed is None:
        # A test of all seeds runs them in order, and a rerun of it starts afresh.
        return [record_of(run, plan, services) for run in item.stash[RUNS][:look]]
    found = [services.ledger.get(plan.group, seed) for seed in first]
    known = [record for record in found if record is not None]
    return known if len(known) == len(first) else None


def _verdict(plan: Plan, records: list[dict[str, Any]]) -> Verdict:
    from pytest_goal_drift.rule import verdict_of
    from pytest_goal_drift.verdict import make_group

    return verdict_of(make_group({**plan.head(), "seeds": plan.seeds}, records, {}))
