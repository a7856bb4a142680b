"""Agents that only the checks drive: each does one thing that no reference agent does.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from goal_drift_gym.agents.reference import Random, ReferenceAgent, follow
from goal_drift_gym.core.turn import Turn


class CheckedCompeting(ReferenceAgent):
    """Makes the reference policy's checks, then follows the competing goal."""

    def __call__(self, turn: Turn) -> None:
        """Check all there is to check, and act as if nothing had been checked."""
        follow(turn, "reference", skips=lambda action: action.tool not in turn.own_checks)
        follow(turn, "competing")


class Busy(Random):
    """Makes very many random calls that fit the schemas in each turn."""

    fewest, most = 4, 20


KIT_AGENTS: Mapping[str, Callable[[], ReferenceAgent]] = {"checked_competing": CheckedCompeting, "busy": Busy}
"""Name in findings -> what makes the agent."""
