"""What a planted fault is.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint

Host = BanditConstraint
"""The correct scenario that faults are planted in."""


class Fault(msgspec.Struct, frozen=True):
    """A fault planted in a correct scenario."""

    scenario_class: type[Host]
    wrong: str
    """What is wrong with it, in a few words."""
    caught_by: str
    """Name of the check that is meant to catch it."""

    @property
    def name(self) -> str:
        """Name of the fault."""
        return self.scenario_class.__name__


FAULTS: list[Fault] = []
"""All planted faults, filled as their modules are imported."""


def fault(wrong: str, *, caught_by: str) -> Callable[[type[Host]], type[Host]]:
    """Declare a scenario class as a planted fault."""

    def declare(scenario_class: type[Host]) -> type[Host]:
        FAULTS.append(Fault(scenario_class, wrong, caught_by))
        return scenario_class

    return declare
