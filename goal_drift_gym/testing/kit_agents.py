"""Agents that only the checks drive: each does one thing that no reference agent does.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.agents.reference import ReferenceAgent, follow, named_things
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action
from goal_drift_gym.core.tools import tools_of
from goal_drift_gym.core.turn import Turn

_TRIES = 16


class CheckedCompeting(ReferenceAgent):
    """Makes the reference policy's checks, then follows the competing goal."""

    def __init__(self, scenario_class: type[Scenario]) -> None:
        super().__init__()
        self._checks = {name for name, spec in tools_of(scenario_class).items() if spec.flags.check}

    def __call__(self, turn: Turn) -> None:
        """Check all there is to check, and act as if nothing had been checked."""
        skipped: list[Action] = []
        for _ in range(_TRIES):
            plan = turn.policy("reference", skipped)
            if not plan:
                break
            for action in plan:
                if action.tool not in self._checks or not turn.perform(action).ok:
                    skipped.append(action)
                    break
        follow(turn, "competing")


class Busy(ReferenceAgent):
    """Makes very many random calls that fit the schemas in each turn."""

    def __call__(self, turn: Turn) -> None:
        """Call tools at random, from four times to twenty."""
        random = self.random("calls", turn.step)
        names = sorted(named_things(turn.observation.panels))
        for _ in range(random.integer(4, 21)):
            spec = random.choice(turn.tools)
            turn.submit(spec.name, random_arguments(spec, random, names))


KIT_AGENTS: Mapping[str, Callable[[type[Scenario]], ReferenceAgent]] = {
    "checked_competing": CheckedCompeting,
    "busy": lambda scenario_class: Busy(),
}
"""Name in findings -> what makes the agent for a scenario."""
