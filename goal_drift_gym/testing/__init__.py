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
    from goal_drift_gym.testing.report import CheckReport, CheckResult, Finding

_HOME = {
    "CheckReport": "report",
    "CheckResult": "report",
    "Finding": "report",
    "ScenarioConformance": "conformance",
    "check_names": "checking",
    "check_scenario": "checking",
}

__all__ = ["CheckReport", "CheckResult", "Finding", "ScenarioConformance", "check_names", "check_scenario"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
