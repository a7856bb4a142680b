"""Running episodes for fixtures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.budgeting import whole, within_budget
from pytest_goal_drift.keys import PLAN, RUNS
from pytest_goal_drift.plan import owner_of
from pytest_goal_drift.runs import DriftRun, DriftRuns
from pytest_goal_drift.services import Services, Spec, services_of

if TYPE_CHECKING:
    from goal_drift_gym.core.condition import Condition
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.sessions import Place
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
    experiments = _with_twin(item, experiment)
    places = [services.place(owner_of(item), each, seed) for each in experiments]
    runs: Sequence[Run] | None = None
    if services.side_by_side is not None:
        runs = services.side_by_side.runs(item, experiments, agent, places)
    if runs is None:
        runs = [
            services.run(each, services.another(agent) if number else agent, places[number])
            for number, each in enumerate(experiments)
        ]
    return _count(item, services, runs)


def all_runs(item: pytest.Item, experiment: Experiment, agent: Agent) -> DriftRuns:
    """Run the seeds of an item in order: all of them, or until a look has decided."""
    if PLAN not in item.stash:
        pytest.fail("name drift_runs in the arguments of the test: asked for later, it has no verdict", pytrace=False)
    from pytest_goal_drift.looking import decided_early

    services, seeds = services_of(item.config), item.stash[PLAN].seeds
    position = 0
    while position < len(seeds) and decided_early(item, position) is None:
        stage = seeds[position : _stage_end(item, position)]
        together = services.side_by_side is not None and _run_stage(item, services, experiment, agent, stage)
        if not together:
            counted_run(item, experiment, agent if position == 0 else services.another(agent), seeds[position])
        position += len(stage) if together else 1
    counted: list[DriftRun] = item.stash[RUNS]
    return DriftRuns(counted)


def _run_stage(
    item: pytest.Item, services: Services, experiment: Experiment, agent: Agent, seeds: Sequence[int]
) -> bool:
    """Run the seeds up to the next look side by side; False where they are to be run one after the other."""
    assert services.side_by_side is not None
    experiments, owner = _with_twin(item, experiment), owner_of(item)
    if not services.side_by_side.can_run(agent):
        return False
    places = [[services.place(owner, each, seed) for each in experiments] for seed in seeds]
    count = partial(_count, item, services)
    begun = bool(item.stash.get(RUNS, []))
    return services.side_by_side.run_seeds(experiments, agent, places, begun=begun, count=count)


def _stage_end(item: pytest.Item, position: int) -> int:
    """Return the position before which no look decides that the seeds from this position on are not needed."""
    plan = item.stash[PLAN]
    return next((look for look in plan.looks or () if look > position), len(plan.seeds))


def _with_twin(item: pytest.Item, experiment: Experiment) -> list[Experiment]:
    without = item.stash[PLAN].without if PLAN in item.stash else ()
    if not without:
        return [experiment]
    from pytest_goal_drift.twinning import twin_of

    return [experiment, twin_of(experiment, without)]


def _count(item: pytest.Item, services: Services, runs: Sequence[Run]) -> DriftRun:
    run, *twins = [DriftRun(whole(run), services.relative(run.path)) for run in runs]
    if twins:
        (run.twin,) = twins
    # Read while it is certain to be there: what the test does with the directory is its own business.
    for each in [run, *twins]:
        _ = each.result, each.values, each.outcome
    item.stash.setdefault(RUNS, []).append(run)
    return run


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
        # Apart from the runs that count, of which one may be run before this item is begun.
        owner = f"{owner_of(request.node)} (drift_episode)"
        with within_budget(request.node, [seed]):
            return _run(services, experiment, agent, services.place(owner, experiment, seed))

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


def _run(services: Services, experiment: Experiment, agent: Agent, place: Place) -> DriftRun:
    run = whole(services.run(experiment, agent, place))
    return DriftRun(run, services.relative(run.path))
