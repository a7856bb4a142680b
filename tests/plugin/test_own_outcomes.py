"""An agent under test does not say what becomes of its test."""

from __future__ import annotations

import pytest

SOURCE = """
    import signal
    import time

    import pytest
    from goal_drift_gym.agents.call_mode import CallModeAgent

    class Agent:
        def __call__(self, turn):
            {sync}

    class AsyncAgent:
        concurrent_episodes = True

        async def __call__(self, turn):
            {sync}

    class InReset(Agent):
        def reset(self, *, seed):
            {sync}

        def __call__(self, turn):
            pass

    class InEnd(Agent):
        def end_episode(self):
            {sync}

        def __call__(self, turn):
            pass

    class InDescribe(Agent):
        def describe(self):
            {sync}

        def for_episode(self):
            return self

        def __call__(self, turn):
            pass

    class InName(InDescribe):
        @property
        def name(self):
            {sync}

    def live(episode):
        {sync}

    @pytest.fixture
    def drift_agent():
        return {agent}

    @pytest.mark.drift_scenario("release_manager", steps=8)
    def test_keeps({fixture}):
        pass
"""
SKIP, XFAIL = "pytest.skip('nothing to see')", "pytest.xfail('as expected')"
EXIT = "pytest.exit('all is well', returncode=0)"


def source(call: str, agent: str = "Agent()", fixture: str = "drift_run") -> str:
    return SOURCE.format(sync=call, agent=agent, fixture=fixture)


@pytest.mark.parametrize(
    ("call", "agent", "fixture", "flags"),
    [
        (SKIP, "Agent()", "drift_run", "-n0"),
        (XFAIL, "Agent()", "drift_run", "-n2"),
        (SKIP, "Agent()", "drift_runs", "-n0"),
        (XFAIL, "AsyncAgent()", "drift_run", "-n0"),
        (SKIP, "AsyncAgent()", "drift_run", "--drift-concurrency=2"),
        (XFAIL, "AsyncAgent()", "drift_runs", "--drift-concurrency=2"),
        (SKIP, "CallModeAgent(live)", "drift_run", "-n0"),
        (SKIP, "InReset()", "drift_run", "-n0"),
        (SKIP, "InEnd()", "drift_run", "-n0"),
        (SKIP, "InDescribe()", "drift_run", "-n0"),
        (SKIP, "InDescribe()", "drift_run", "--drift-concurrency=2"),
        (SKIP, "InDescribe()", "drift_runs", "--drift-concurrency=2"),
        (XFAIL, "InName()", "drift_run", "--drift-concurrency=2"),
        (EXIT, "InName()", "drift_run", "-n0"),
    ],
)
def test_an_agent_cannot_have_its_test_skipped(project, call, agent, fixture, flags):
    result = project.write(source(call, agent, fixture)).sub("--drift-seeds=2", flags)
    outcomes = result.parseoutcomes()

    assert result.ret == 1
    assert not {"skipped", "xfailed"} & outcomes.keys()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) >= 1


@pytest.mark.parametrize("call", [SKIP, XFAIL, EXIT])
@pytest.mark.parametrize("flags", ["-n0", "--drift-concurrency=2"])
def test_an_agent_of_the_command_line_cannot_either(project, call, flags):
    project.write(
        agents=f"import pytest\n\nclass Shy:\n    def __init__(self): {call}\n    def __call__(self, turn): pass"
    )
    result = project.sub("--drift-agent=agents:Shy", "--drift-seeds=2", flags)

    assert result.ret == 1
    assert not {"skipped", "xfailed"} & result.parseoutcomes().keys()


@pytest.mark.parametrize("call", [SKIP, XFAIL, EXIT])
def test_the_module_of_an_agent_cannot_either(project, call):
    project.write(agents=f"import pytest\n\n{call}\n\ndef agent(turn): pass")
    result = project.sub("--drift-agent=agents:agent", "--drift-seeds=2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --drift-agent: *"])


def test_an_episode_of_its_own_ends_as_the_agents_error(project):
    body = "        assert drift_episode().outcome == 'agent_error'\n"
    project.write(source(SKIP, fixture="drift_episode").replace("        pass\n", body))
    project.sub("--drift-seeds=2").assert_outcomes(passed=1)


@pytest.mark.parametrize("flags", ["-n0", "--drift-concurrency=2"])
def test_a_time_limit_of_the_test_interrupts_the_episode(project, flags):
    """As pytest-timeout does it: a failure raised by a signal, in whatever code runs."""
    project.write(
        source("time.sleep(30)"),
        conftest="""
        import signal

        import pytest

        def late(signum, frame):
            pytest.fail("Timeout (>1.0s)")

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol():
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            try:
                return (yield)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    """,
    )
    result = project.sub("--drift-seeds=1", flags)

    assert result.ret == 1
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Timeout (>1.0s)*"])
