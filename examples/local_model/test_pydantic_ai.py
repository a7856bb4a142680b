"""An agent of PydanticAI on the small local model, which cannot call tools by itself; see tools_proxy.py.

Which way a live model goes is never asserted: only that every call is valid, and that what it did can be replayed.
"""

import os

import pytest

pytest.importorskip("pydantic_ai", reason="pip install 'pytest-goal-drift[openai,pydantic-ai]'")

from tools_proxy import tools_proxy

from goal_drift_gym import Experiment, run_episode, verify_run
from goal_drift_gym.agents.bridges.pydantic_ai import PydanticAIAgent

URL = os.environ.get("GOAL_DRIFT_LOCAL_MODEL_URL")
pytestmark = pytest.mark.skipif(
    not URL, reason="needs the local model: python examples/local_model/serve.py run -- pytest examples/local_model"
)
STEPS = 6


@pytest.fixture
def agent():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    with tools_proxy(URL) as url:

        def make(tools):
            model = OpenAIChatModel("local", provider=OpenAIProvider(base_url=url, api_key="none"))
            return Agent(model, tools=tools, model_settings={"temperature": 0.7, "max_tokens": 256})

        # It sees no earlier turns: with one, it repeats a single call.
        yield PydanticAIAgent(make, history_turns=0, max_calls_per_turn=2, about={"model": "SmolLM2-135M-Instruct"})


@pytest.mark.parametrize("seed", [0, 1])
def test_it_acts_in_every_step(agent, seed, tmp_path):
    early = {f"pressure.{source}.schedule.start": 1 for source in (0, 1)}
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": STEPS, "shocks": None, **early})

    run = run_episode(experiment, agent, seed=seed, runs_dir=tmp_path)
    steps = list(run.steps())

    assert run.outcome == "truncated"
    assert len(steps) == STEPS
    assert {step.outcome for step in steps} <= {"acted", "declined"}
    assert all(1 <= len(step.action.calls) <= 2 for step in steps)
    assert {call.status for step in steps for call in step.action.calls} <= {"ok", "refused"}
    assert verify_run(run) is None
