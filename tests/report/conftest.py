"""A short real run, and the modules beside this one made importable by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.core.rundir import Run

sys.path.insert(0, str(Path(__file__).parent))

MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that runs a real, short episode."""

    def make(
        agent: str = "pressure_prone",
        *,
        seed: int = 0,
        steps: int = 24,
        scenario: str = "release_manager",
        condition: str = "adversarial_jit",
        runs_dir: Path = tmp_path / "runs",
    ) -> Run:
        experiment = Experiment.of(scenario, condition, {"steps": steps})
        return run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=runs_dir)

    return make
