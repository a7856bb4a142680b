"""What the tests of `core` share: short episodes, and agents that do one thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy_scenario import Toy

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.canonical import line_json
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.engine import Episode, RunEnd
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.runner import Experiment
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.release_manager import ReleaseManager

TOY_FILE = str(Path(__file__).parent / "toy_scenario.py")
SCENARIOS = {"toy": Toy, "release_manager": ReleaseManager, "bandit_constraint": BanditConstraint}
BUILT_IN = ["release_manager", "bandit_constraint"]
CONDITIONS = ["baseline", "adversarial_jit", "friction_heavy", "goal_switching"]
ENDING = sorted(set(REFERENCE_AGENTS) - {"hanger"})
"""Reference agents that never hang."""


def agent(name: str, seed: int = 0) -> Any:
    """Return a reference agent, ready for an episode."""
    made = REFERENCE_AGENTS[name]()
    made.reset(seed=seed)
    return made


def live(
    who: Any,
    settings: dict[str, Any] | None = None,
    *,
    scenario: Any = Toy,
    seed: int = 0,
    steps: int = 6,
    sink: Callable[[StepRecord], None] | None = None,
    **options: Any,
) -> tuple[list[StepRecord], RunEnd]:
    """Run an episode of a scenario class and return its records and its end."""
    made = agent(who, seed) if isinstance(who, str) else who
    condition = parse_condition({"steps": steps, **(settings or {})})
    records: list[StepRecord] = []

    def keep(record: StepRecord) -> None:
        line_json(record)
        records.append(record)

    made_of = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
    episode = Episode(made_of(), condition, seed=seed, **options)
    end = episode.run(made, sink or keep)
    return records, end


def lines(records: list[StepRecord]) -> list[bytes]:
    """Return the records as they would be written."""
    return [line_json(record) for record in records]


def experiment(scenario: str, condition: str = "baseline", **settings: Any) -> Experiment:
    """Return an experiment of a built-in scenario; `goal__polarity` stands for `goal.polarity`."""
    return Experiment.of(scenario, condition, {key.replace("__", "."): value for key, value in settings.items()})


def kinds(records: list[StepRecord]) -> list[str]:
    """Return the kinds of all events, in order."""
    return [event.kind for record in records for event in record.events]
