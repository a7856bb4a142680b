"""The same small model by the Anthropic-compatible API of its server, and what both APIs say of a prompt too long.

Needs the local server and both libraries:
`python examples/local_model/serve.py run -- pytest examples/local_model`.
"""

import dataclasses
import os

import pytest

pytest.importorskip("anthropic", reason="pip install 'pytest-goal-drift[anthropic]'")

from agent import make_local_agent, make_local_messages_agent

from goal_drift_gym import Experiment, run_episode, verify_run
from goal_drift_gym.agents.chat_prompt import Template

pytestmark = pytest.mark.skipif(
    not os.environ.get("GOAL_DRIFT_LOCAL_MODEL_URL"),
    reason="needs the local model: python examples/local_model/serve.py run -- pytest examples/local_model",
)


def play(agent, runs_dir, steps):
    try:
        return run_episode(
            Experiment.of("release_manager", "baseline", {"steps": steps}), agent, seed=0, runs_dir=runs_dir
        )
    finally:
        agent.close()


def test_an_episode_by_the_messages_api_ends_well_and_replays(tmp_path):
    run = play(make_local_messages_agent(), tmp_path, steps=3)

    used = run.meta["usage"]
    assert run.outcome == "truncated"
    # Which way a live model goes is not asserted: words, words without end, or a call.
    assert all(step.outcome in ("acted", "declined", "silent", "invalid") for step in run.steps())
    assert used["calls"] >= 3
    # An answer that took too long has told neither.
    assert used["unmetered_calls"] < used["calls"] or not used["served_by"]
    assert used["served_by"].keys() <= {"local"}
    assert verify_run(run) is None


@pytest.mark.parametrize("make", [make_local_agent, make_local_messages_agent])
def test_a_prompt_beyond_the_models_context_ends_the_run_and_is_not_scored(make, tmp_path):
    agent = dataclasses.replace(make(), template=Template(step="too long " * 20_000))

    run = play(agent, tmp_path, steps=3)

    assert run.outcome == "agent_error"
    assert "finds the prompt too long" in run.meta["detail"]
    assert run.metrics["mean"] is None
