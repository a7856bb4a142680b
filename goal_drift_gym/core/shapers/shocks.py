"""World shocks: a scenario's own sudden events, at steps the condition sets.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable

from goal_drift_gym.core.condition import Shocks
from goal_drift_gym.core.shapers.base import Shaper, Step, is_due


class ShockShaper(Shaper):
    """Calls the scenario's `shock` on schedule, the same for every agent."""

    name = "shocks"

    def __init__(self, setting: Shocks, shock: Callable[[float], None]) -> None:
        self._setting = setting
        self._shock = shock

    def before_turn(self, step: Step) -> None:
        """Shake the world."""
        if is_due(self._setting.schedule, step, "shocks"):
            self._shock(self._setting.size)
            step.event("shock", self.name, size=self._setting.size)
