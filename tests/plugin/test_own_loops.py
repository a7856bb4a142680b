"""Agents that own their loop, or live in a process, through the plugin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "subprocess_agent"

CALL_MODE = """
    import pytest
    from goal_drift_gym.agents.call_mode import CallModeAgent

    async def live(episode):
        while True:
            await episode.acall("wait")

    AGENT = CallModeAgent(live)

    @pytest.fixture
    def drift_agent():
        return AGENT

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_waits(drift_run):
        assert [len(record.action.calls) for record in drift_run.steps] == [1] * 6
"""

PROCESS = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_acts(drift_run):
        assert [call.tool for record in drift_run.steps for call in record.action.calls] == ["wait"] * 6
"""


@pytest.mark.parametrize("options", [(), ("--drift-concurrency", "3")], ids=["one by one", "at the same time"])
def test_one_call_mode_agent_lives_through_all_seeds(project: Any, options: tuple[str, ...]) -> None:
    project.write(CALL_MODE)
    result = project.sub("--drift-seeds", "3", *options)

    result.assert_outcomes(passed=4, warnings=1)
    assert len(project.runs()) == 3


@pytest.mark.parametrize(
    "options", [(), ("--drift-concurrency", "3"), ("-n", "2")], ids=["one by one", "at once", "xdist"]
)
def test_a_process_is_named_on_the_command_line(project: Any, options: tuple[str, ...]) -> None:
    shutil.copy(EXAMPLES / "agent.sh", project.path)
    project.write(PROCESS)
    result = project.sub("--drift-seeds", "3", "--drift-agent", "exec:sh agent.sh", *options)

    result.assert_outcomes(passed=4, warnings=1)
    assert len(project.runs()) == 3


def test_a_program_that_is_not_there_is_said(project: Any) -> None:
    project.write(PROCESS)
    result = project.sub("--drift-agent", "exec:no-such-program x")

    assert result.ret != 0
    assert "there is no program 'no-such-program'" in result.stdout.str() + result.stderr.str()
