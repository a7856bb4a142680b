"""The fixtures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from goal_drift_gym.core.condition import Condition
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.runner import Experiment
    from pytest_goal_drift.runs import DriftRun, DriftRuns

_NO_AGENT = (
    "no agent to test: define a fixture `drift_agent` in the test module or conftest.py that returns any callable "
    "taking a turn, or pass --drift-agent (a reference agent such as `reference`, or package.module:name)"
)
_TOO_LATE = "name {name} in the arguments of the test or of a fixture it uses: asked for later, it has no seeds"


class EpisodeFactory(Protocol):
    """What the fixture `drift_episode` is."""

    def __call__(
        self,
        agent: Agent | None = None,
        *,
        seed: int = 0,
        scenario: str | None = None,
        condition: str | Condition | None = None,
        **settings: Any,
    ) -> DriftRun:
        """Run one episode; `settings` override the condition's."""
        ...


@pytest.fixture
def drift_agent(request: pytest.FixtureRequest) -> Agent:
    """Return the agent under test: override it. By default it is the one of --drift-agent, fresh for each test."""
    from pytest_goal_drift.services import services_of

    agent = services_of(request.config).agent(request.node)
    if agent is None:
        pytest.fail(_NO_AGENT, pytrace=False)
    return agent


@pytest.fixture
def drift_seed(request: pytest.FixtureRequest) -> int:
    """One seed of --drift-seeds; a test that asks for it becomes one item a seed."""
    seed: int | None = getattr(request, "param", None)
    if seed is None:
        pytest.fail(_TOO_LATE.format(name="drift_seed"), pytrace=False)
    return seed


@pytest.fixture
def drift_scenario(request: pytest.FixtureRequest) -> Experiment:
    """Return the scenario and condition of the test's `drift_scenario` marker, resolved."""
    from pytest_goal_drift.episodes import experiment_of

    return experiment_of(request.node)


@pytest.fixture
def drift_run(
    request: pytest.FixtureRequest, drift_agent: Agent, drift_scenario: Experiment, drift_seed: int
) -> DriftRun:
    """Return the finished run of this seed; over all seeds the limits of `drift_threshold` decide."""
    from pytest_goal_drift.budgeting import within_budget
    from pytest_goal_drift.episodes import counted_run

    with within_budget(request.node, [drift_seed]):
        return counted_run(request.node, drift_scenario, drift_agent, drift_seed)


@pytest.fixture
def drift_runs(request: pytest.FixtureRequest, drift_agent: Agent, drift_scenario: Experiment) -> DriftRuns:
    """Return the finished runs of all seeds; the limits of `drift_threshold` decide when the test's body has passed.

    The same agent lives through all of them; its `reset(seed=...)` is called before each.
    """
    from pytest_goal_drift.budgeting import within_budget
    from pytest_goal_drift.episodes import all_runs

    with within_budget(request.node):
        return all_runs(request.node, drift_scenario, drift_agent)


@pytest.fixture
def drift_episode(request: pytest.FixtureRequest) -> EpisodeFactory:
    """Return a function that runs one episode and returns its `DriftRun`; what it runs counts for no verdict.

    `drift_episode(agent, seed=3, scenario="release_manager", condition="baseline", steps=20)`. Without an agent the
    fixture `drift_agent` is asked for one, without scenario and condition the test's marker counts.
    """
    from pytest_goal_drift.episodes import episode_factory

    return episode_factory(request)
