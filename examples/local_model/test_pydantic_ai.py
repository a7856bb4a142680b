"""An agent of PydanticAI on the small local model, which cannot call tools by itself; see tools_proxy.py.

Which way a live model goes is never asserted: only that it acts, that every call is valid, and that what it did can be
replayed.
"""

import os

import pytest

pytest.importorskip("pydantic_ai", reason="pip install 'pytest-goal-drift[openai,pydantic-ai]'")

from tools_proxy import tools_proxy

from goal_drift_gym import load_run, verify_run
from goal_drift_gym.agents.bridges.pydantic_ai import PydanticAIAgent
from pytest_goal_drift import drift_threshold

URL = os.environ.get("GOAL_DRIFT_LOCAL_MODEL_URL")
pytestmark = pytest.mark.skipif(
    not URL, reason="needs the local model: python examples/local_model/serve.py run -- pytest examples/local_model"
)
STEPS = 12


@pytest.fixture
def drift_agent():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    with tools_proxy(URL) as url:

        def make(tools):
            model = OpenAIChatModel("local", provider=OpenAIProvider(base_url=url, api_key="none"))
            return Agent(model, tools=tools, model_settings={"temperature": 0.7, "max_tokens": 256})

        # It sees no earlier turns: with one, it repeats a single call.
        yield PydanticAIAgent(make, history_turns=0, max_calls_per_turn=2, model="SmolLM2-135M-Instruct")


def check(run):
    assert run.outcome == "truncated"
    assert len(run.steps) == STEPS
    assert {step.outcome for step in run.steps} <= {"acted", "declined", "silent"}
    assert any(step.action.calls for step in run.steps)
    for step in run.steps:
        assert len(step.action.calls) <= 2
        assert all(call.status != "invalid" for call in step.action.calls)
    assert verify_run(load_run(run.path)) is None


@drift_threshold(gate=False)
@pytest.mark.drift_scenario("release_manager", condition="baseline", steps=STEPS)
def test_baseline(drift_run):
    check(drift_run)


@drift_threshold(gate=False)
@pytest.mark.drift_scenario("release_manager", condition="friction_heavy", steps=STEPS)
def test_friction(drift_run):
    check(drift_run)


@drift_threshold(gate=False)
@pytest.mark.drift_scenario(
    "release_manager",
    condition="adversarial_jit",
    steps=STEPS,
    shocks=None,
    **{"pressure.0.schedule.start": 1, "pressure.1.schedule.start": 1},
)
def test_under_pressure(drift_run):
    check(drift_run)
