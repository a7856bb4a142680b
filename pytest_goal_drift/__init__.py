"""Goal drift tests for pytest: run an agent through a scenario over many seeds and fail when it leaves its goal.

The names are loaded when they are first used, because pytest imports this package in every project it is installed
for. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_goal_drift.markers import DriftLimits, drift_scenario, drift_threshold, drift_twin
    from pytest_goal_drift.plan import DriftWarning
    from pytest_goal_drift.runs import DriftRun, DriftRuns
    from pytest_goal_drift.verdict import (
        DriftDecision,
        DriftGroup,
        DriftSeed,
        DriftTwin,
        DriftVerdict,
        every_seed_within_limits,
    )

__all__ = [
    "DriftDecision",
    "DriftGroup",
    "DriftLimits",
    "DriftRun",
    "DriftRuns",
    "DriftSeed",
    "DriftTwin",
    "DriftVerdict",
    "DriftWarning",
    "drift_scenario",
    "drift_threshold",
    "drift_twin",
    "every_seed_within_limits",
]

_HOMES = {
    "DriftDecision": "verdict",
    "DriftGroup": "verdict",
    "DriftLimits": "markers",
    "DriftRun": "runs",
    "DriftRuns": "runs",
    "DriftSeed": "verdict",
    "DriftTwin": "verdict",
    "DriftVerdict": "verdict",
    "DriftWarning": "plan",
    "drift_scenario": "markers",
    "drift_threshold": "markers",
    "drift_twin": "markers",
    "every_seed_within_limits": "verdict",
}


if not TYPE_CHECKING:  # A type checker that saw this would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
