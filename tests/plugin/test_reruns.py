"""Reruns do not launder drift."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pytest_rerunfailures") is None, reason="pytest-rerunfailures is not installed"
)


def run(project, *arguments):
    return project.pytester.runpytest_subprocess("-p", "no:asyncio", "--reruns=2", *arguments, timeout=120)


def strict_rule(project):
    project.pytester.makeconftest("""
        from pytest_goal_drift import every_seed_within_limits

        def pytest_drift_verdict(group):
            return every_seed_within_limits(group)
    """)


FIRST_BAD = """
    import pytest
    from goal_drift_gym.agents.reference import Competing, Reference

    attempts = []

    @pytest.fixture
    def drift_agent():
        attempts.append(1)
        return Competing() if len(attempts) == 1 else Reference()
"""


@pytest.mark.slow
def test_the_first_attempt_of_a_seed_counts_and_it_is_said(project):
    project.write(
        FIRST_BAD
        + """
    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_run):
        assert drift_run.metrics.final_level > 0
    """
    )
    strict_rule(project)
    result = run(project, "--drift-seeds=2")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*verdict fail: 1 of 2 seeds crossed*", "*1 later attempts are ignored*"])
    assert result.ret == 1


@pytest.mark.slow
def test_the_first_attempt_of_a_test_of_all_seeds_counts(project):
    project.write(
        FIRST_BAD
        + """
    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_runs):
        pass
    """
    )
    strict_rule(project)
    result = run(project, "--drift-seeds=2")
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_keeps[[]first_attempt] - *the first attempt counts*"])
    assert result.ret == 1


@pytest.mark.slow
def test_properties_do_not_pile_up_over_attempts(project):
    project.write(
        FIRST_BAD
        + """
    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_run):
        assert drift_run.metrics.final_level > 0
    """
    )
    run(project, "--drift-seeds=1", "--junitxml=junit.xml")
    text = (project.path / "junit.xml").read_text(encoding="utf-8")
    seed = text.partition('name="test_keeps[seed000]"')[2].partition("</testcase>")[0]
    assert seed.count('name="drift.final_level"') == 1
