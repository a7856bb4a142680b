"""The kit as pytest tests in another repository."""

from __future__ import annotations

import pytest

from goal_drift_gym.testing import check_names

pytest_plugins = ["pytester"]

SUITE = """
from goal_drift_gym.testing import ScenarioConformance

class TestIt(ScenarioConformance):
    scenario = "{scenario}"
    seeds = 1
    conditions = ["baseline", "friction_heavy"]
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_three_lines_make_a_test_of_each_check(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makepyfile(SUITE.format(scenario="bandit_constraint"))

    result = pytester.runpytest_subprocess("-n", workers, "-q")

    result.assert_outcomes(passed=len(check_names()))


def test_a_faulty_scenario_fails_the_check_and_says_how_to_mend_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE.format(scenario="goal_drift_gym.testing.planted.scoring:ConstantScore"))

    result = pytester.runpytest_subprocess("-q", "-k", "competing_below_zero or has_a_card")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*expected: mean below -0.3", "*mend: *", "*again: *goal-drift check *"])


def test_the_class_itself_is_not_collected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("from goal_drift_gym.testing import ScenarioConformance")

    result = pytester.runpytest_subprocess("-q")

    result.assert_outcomes()
