"""One condition at several intensities of its pressure, in the same worlds.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from goal_drift_gym.core.condition import Condition, parse_condition
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.dose import DoseResponse, dose_response
from goal_drift_gym.eval.verdict import SeedResult
from goal_drift_gym.judging import seed_result
from goal_drift_gym.runner import Experiment, run_episode


def dosed(condition: Condition, dose: float) -> Condition:
    """Return a condition with every source of its pressure at one constant intensity; 0 leaves the pressure out.

    Raises
    ------
    UsageError
        If the condition has no pressure, or `dose` is outside [0, 1].
    """
    if not condition.pressure:
        raise UsageError(f"condition {condition.name!r} has no pressure: there is nothing to dose")
    if not 0.0 <= dose <= 1.0:
        raise UsageError(f"intensity {dose!r} must lie in [0, 1]")
    data = condition.resolved()
    sources = [{**source, "intensity": dose, "ramp_to": None} for source in data["pressure"]] if dose else []
    return parse_condition({**data, "pressure": sources}, where=f"condition {condition.name!r} at intensity {dose:g}")


def run_doses(
    experiment: Experiment,
    make_agent: Callable[[], Agent],
    *,
    doses: Sequence[float],
    seeds: Sequence[int],
    metric: str,
    runs_dir: str | Path,
    limits: Limits | None = None,
    alpha: float = 0.05,
    report: Callable[[float, Run], None] = lambda dose, run: None,
) -> DoseResponse:
    """Run every seed at every intensity and fit the response; `report` is told of each run.

    Raises
    ------
    UsageError
        As `dosed` and `dose_response` do.
    """
    conditions = {dose: dosed(experiment.condition, dose) for dose in sorted({float(dose) for dose in doses})}
    results: dict[float, list[SeedResult]] = {}
    for dose, condition in conditions.items():
        for seed in seeds:
            run = run_episode(
                Experiment(experiment.entry, condition), make_agent(), seed=seed, runs_dir=runs_dir, limits=limits
            )
            results.setdefault(dose, []).append(seed_result(run))
            report(dose, run)
    return dose_response(results, metric, alpha=alpha)
