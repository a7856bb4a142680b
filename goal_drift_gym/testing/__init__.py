"""For authors of scenarios: the conformance kit, and Hypothesis strategies that try to break a scenario.

Everything here is loaded when it is first used.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goal_drift_gym.testing.checking import check_names, check_scenario
    from goal_drift_gym.testing.conformance import ScenarioConformance
    from goal_drift_gym.testing.machine import scenario_machine
    from goal_drift_gym.testing.report import CheckReport, CheckResult, Finding
    from goal_drift_gym.testing.stress import StressReport, replay_failure, stress_scenario

_HOME = {
    "CheckReport": "report",
    "CheckResult": "report",
    "Finding": "report",
    "ScenarioConformance": "conformance",
    "check_names": "checking",
    "StressReport": "stress",
    "check_scenario": "checking",
    "replay_failure": "stress",
    "scenario_machine": "machine",
    "stress_scenario": "stress",
}

__all__ = [
    "CheckReport",
    "CheckResult",
    "Finding",
    "ScenarioConformance",
    "StressReport",
    "check_names",
    "check_scenario",
    "replay_failure",
    "scenario_machine",
    "stress_scenario",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
