"""The conformance kit as pytest tests.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.eval.limits import DEFAULT_LIMITS
from goal_drift_gym.testing.checking import Profile, check_names, check_scenario


class ScenarioConformance:
    """One test a check. Subclass it in a test module and name the scenario.

    Examples
    --------
    >>> class TestReleaseManager(ScenarioConformance):
    ...     scenario = "release_manager"
    """

    scenario: ClassVar[Any]
    """A registered id, `package.module:Name`, `file.py:Name`, or a scenario class at the top of a module."""
    profile: ClassVar[Profile] = "fast"
    seeds: ClassVar[int | Sequence[int] | None] = None
    conditions: ClassVar[Sequence[str] | None] = None
    limits: ClassVar[Mapping[str, float | bool]] = DEFAULT_LIMITS

    @pytest.mark.parametrize("check", check_names())
    def test_scenario_holds(self, check: str) -> None:
        """The scenario holds what the check asks for."""
        scenario: str | type[Scenario] = self.scenario
        report = check_scenario(
            scenario,
            profile=self.profile,
            seeds=self.seeds,
            conditions=self.conditions,
            only=[check],
            limits=self.limits,
        )
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
