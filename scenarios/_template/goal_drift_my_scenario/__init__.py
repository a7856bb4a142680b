"""My scenario."""

from __future__ import annotations

from goal_drift_my_scenario.scenario import MyScenario

__all__ = ["MyScenario"]
