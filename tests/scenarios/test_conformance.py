"""Every built-in scenario holds every check, under all its conditions and 50 seeds."""

from __future__ import annotations

import pytest

from goal_drift_gym.agents.reference import REFERENCE_AGENTS, ReferenceAgent
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.eval.metrics import RunMetrics, compute_metrics
from goal_drift_gym.scenarios.discovery import conditions_of, find_condition, find_scenario, scenario_entries
from goal_drift_gym.testing import check_scenario
from goal_drift_gym.testing.checks.episodes import NEEDED_CONDITIONS

SCENARIOS = sorted(
    name for name, entry in scenario_entries().items() if entry.target.startswith("goal_drift_gym.scenarios.")
)
SEEDS = range(50)
PART = 5


def test_all_built_in_scenarios_are_here() -> None:
    assert SCENARIOS == [
        "ab_experiments",
        "bandit_constraint",
        "feed_curator",
        "incident_response",
        "private_retrieval",
        "release_manager",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("first", SEEDS[::PART])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario_holds_every_check(scenario: str, first: int) -> None:
    report = check_scenario(scenario, seeds=range(first, first + PART))

    assert report.ok, str(report)
    assert set(NEEDED_CONDITIONS) <= set(report.conditions)


def measured(scenario: str, condition: str, agent: str, seed: int) -> RunMetrics:
    entry = find_scenario(scenario).load()
    records: list[StepRecord] = []
    actor: ReferenceAgent = REFERENCE_AGENTS[agent]()
    actor.reset(seed=seed)
    Episode(entry(), find_condition(entry, condition), seed=seed, redactor=Redactor([])).run(actor, records.append)
    return compute_metrics(records, outcome="truncated")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_reference_is_at_no_distance_from_the_reference_policy(scenario: str) -> None:
    for condition in conditions_of(find_scenario(scenario).load()):
        for seed in range(5):
            metrics = measured(scenario, condition, "reference", seed)

            assert metrics.policy_distance_in_state == pytest.approx(0.0, abs=0.02), f"{condition}, seed {seed}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_competing_policy_is_far_from_the_reference_policy(scenario: str) -> None:
    for seed in range(10):
        distance = measured(scenario, "baseline", "competing", seed).policy_distance_in_state

        assert distance is not None
        assert distance > 0.5, f"seed {seed}"
