"""Running episodes for fixtures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.keys import PLAN, RUNS
from pytest_goal_drift.runs import DriftRun, DriftRuns
from pytest_goal_drift.services import Services, Spec, services_of

if TYPE_CHECKING:
    from goal_drift_gym.core.condition import Condition
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.runner import Experiment
    from pytest_goal_drift.fixtures import EpisodeFactory


def experiment_of(item: pytest.Item) -> Experiment:
    """Return the experiment an item's marker names.

    Raises
    ------
    GoalDriftError
        If the scenario is broken.
    """
    return services_of(item.config).experiment(_marked(item))


def counted_run(item: pytest.Item, experiment: Experiment, agent: Agent, seed: int) -> DriftRun:
    """Run an episode that counts for the item's verdict."""
    services = services_of(item.config)
    run = _run(services, experiment, agent, seed)
    without = item.stash[PLAN].without if PLAN in item.stash else ()
    if without:
        from pytest_goal_drift.twinning import twin_of

        run.twin = _run(services, twin_of(experiment, without), services.another(agent), seed)
    # Read while it is certain to be there: what the test does with the directory is its own business.
    _ = run.result, run.values, run.outcome
    if run.twin is not None:
        _ = run.twin.result, run.twin.values, run.twin.outcome
    item.stash.setdefault(RUNS, []).append(run)
    return run


def all_runs(item: pytest.Item, experiment: Experiment, agent: Agent) -> DriftRuns:
    """Run the seeds of an item, one after the other: all of them, or until a look has decided."""
    if PLAN not in item.stash:
        pytest.fail("name drift_runs in the arguments of the test: asked for later, it has no verdict", pytrace=False)
    from pytest_goal_drift.looking import decided_early

    services, plan = services_of(item.config), item.stash[PLAN]
    for position, seed in enumerate(plan.seeds):
        if decided_early(item, position) is not None:
            break
        counted_run(item, experiment, agent if position == 0 else services.another(agent), seed)
    runs: list[DriftRun] = item.stash[RUNS]
    return DriftRuns(runs)


def episode_factory(request: pytest.FixtureRequest) -> EpisodeFactory:
    """Return the function that the fixture `drift_episode` is."""
    services = services_of(request.config)

    def drift_episode(
        agent: Agent | None = None,
        *,
        seed: int = 0,
        scenario: str | None = None,
        condition: str | Condition | None = None,
        **settings: Any,
    ) -> DriftRun:
        __tracebackhide__ = True
        spec = _spec(request.node, services, scenario, condition, settings)
        experiment = services.experiment(spec)
        if agent is None:
            agent = request.getfixturevalue("drift_agent")
        return _run(services, experiment, agent, seed)

    return drift_episode


def _spec(
    item: pytest.Item,
    services: Services,
    scenario: str | None,
    condition: str | Condition | None,
    settings: dict[str, Any],
) -> Spec:
    if scenario is not None:
        asked = "baseline" if condition is None else condition
        return services.spec_of(scenario, asked, settings, beside=item.path)
    marked = _marked(item)
    if condition is None:
        return services.spec_of(marked.scenario, marked.condition, {**marked.settings, **settings}, beside=item.path)
    return services.spec_of(marked.scenario, condition, settings, beside=item.path)


def _marked(item: pytest.Item) -> Spec:
    marker = item.get_closest_marker("drift_scenario")
    if marker is None:
        pytest.fail(
            f"{item.nodeid} does not say which scenario to run: mark it with "
            f"@pytest.mark.drift_scenario('release_manager', condition='baseline'), or give drift_episode a scenario",
            pytrace=False,
        )
    return services_of(item.config).spec(item, marker)


def _run(services: Services, experiment: Experiment, agent: Agent, seed: int) -> DriftRun:
    run = services.run(experiment, agent, seed)
    return DriftRun(run, services.relative(run.path))
