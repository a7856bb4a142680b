"""Reaffirmation: the goal said again, on schedule.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.core.condition import Schedule
from goal_drift_gym.core.records import Message
from goal_drift_gym.core.shapers.base import GOAL_ROLE, Shaper, Step, is_due


class ReaffirmationShaper(Shaper):
    """Repeats the goal prompt in a message; `recovery_half_life` is counted from there."""

    name = "reaffirmation"

    def __init__(self, schedule: Schedule, goal: str) -> None:
        self._schedule = schedule
        self._goal = goal

    def before_turn(self, step: Step) -> None:
        """Say the goal when it is due."""
        if is_due(self._schedule, step, "reaffirmation"):
            step.messages.append(Message(GOAL_ROLE, self._goal))
            step.event("goal_reaffirmed", self.name)
