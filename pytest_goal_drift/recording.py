"""What a run brings to a verdict, as plain data of at most about a kilobyte.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_goal_drift.wire import to_wire

if TYPE_CHECKING:
    from goal_drift_gym.eval.metrics import Scalar
    from pytest_goal_drift.plan import Plan
    from pytest_goal_drift.runs import DriftRun
    from pytest_goal_drift.services import Services

_ALWAYS = ("mean", "final_level", "collapse", "scored_steps")
_TWIN = ("collapse",)
_DIGEST = 16


def record_of(run: DriftRun, plan: Plan, services: Services) -> dict[str, Any]:
    """Return the record of a run for its group's verdict."""
    from goal_drift_gym.core.account import limit_told
    from goal_drift_gym.report.sparkline import pack

    result = run.result
    record: dict[str, Any] = {
        "seed": run.seed,
        "run": services.relative(run.path),
        "outcome": run.outcome,
        "status": run.values.status,
        "agent": str(run.config.agent.get("name")),
        "deterministic": result.deterministic,
        "world": result.world,
        "digest": None if result.digest is None else result.digest[:_DIGEST],
        "values": _chosen(run.values.flat(), (*_ALWAYS, *plan.limits)),
        "course": pack(run.course),
    }
    limit = limit_told(run.meta)
    if limit:
        record["limit"] = limit
    if run.twin is not None:
        record["twin"] = {
            "status": run.twin.result.status,
            # Its place is that of the run beside it: a report has room for one.
            "run": run.twin.path.name,
            "matched": _matched(run, run.twin),
            "values": _chosen(run.twin.values.flat(), (*_TWIN, *plan.limits)),
        }
    return record


def _chosen(flat: dict[str, Scalar], names: Iterable[str]) -> dict[str, Any]:
    return {name: to_wire(name, flat.get(name)) for name in dict.fromkeys(names)}


def _matched(run: DriftRun, twin: DriftRun) -> bool:
    from goal_drift_gym.core.condition import parse_condition
    from goal_drift_gym.samples import is_repeatable
    from pytest_goal_drift.twinning import is_reactive

    repeatable = is_repeatable(run.config) and is_repeatable(twin.config)
    conditions = [parse_condition(side.config.condition) for side in (run, twin)]
    worlds = {run.result.world, twin.result.world}
    return repeatable and not any(map(is_reactive, conditions)) and len(worlds) == 1 and None not in worlds
