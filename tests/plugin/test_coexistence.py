"""Beside other plugins."""

from __future__ import annotations

import importlib.util

import pytest

ASYNC = """
    import pytest

    @pytest.fixture
    def drift_agent():
        async def agent(turn):
            turn.note("here")
        return agent

    @pytest.mark.{mark}
    @pytest.mark.drift_threshold(gate=False)
    @pytest.mark.drift_scenario("release_manager", steps=5)
    async def test_keeps(drift_run, drift_episode):
        assert drift_run.steps[4].action.notes == ["here"]
        assert len(drift_episode(seed=3).steps) == 5
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "flags", "mark"),
    [
        ("pytest_asyncio", ("-o", "asyncio_default_fixture_loop_scope=function"), "asyncio"),
        ("anyio", ("-p", "no:asyncio"), "anyio"),
    ],
)
def test_an_async_test_with_an_async_agent_runs_inside_a_running_loop(project, package, flags, mark):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    project.write(
        ASYNC.format(mark=mark), conftest="import pytest\n\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'"
    )
    result = project.pytester.runpytest_subprocess(*flags, "--drift-seeds=2", timeout=60)
    result.assert_outcomes(passed=2)


def test_hypothesis_may_use_the_episode_factory(project):
    project.write("""
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies as st
        from goal_drift_gym.agents.reference import Reference

        @settings(max_examples=5, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(seed=st.integers(0, 1000))
        def test_reference_is_flat(drift_episode, seed):
            run = drift_episode(Reference(), seed=seed, scenario="release_manager", steps=5)
            assert run.metrics.mean == 1.0
    """)
    project.run().assert_outcomes(passed=1)
