"""Forty slow episodes in one process, on threads: how close to the time of one."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import Table

from goal_drift_gym import Experiment, run_episode

EPISODES, STEPS, WAIT_S = 40, 20, 0.2


def slow_agent(turn: object) -> None:
    """Wait as for a model's answer, then do nothing."""
    time.sleep(WAIT_S)


def main() -> int:
    """Print the figure; exit 1 when the target is missed."""
    table = Table(f"Waiting agents: {EPISODES} episodes x {STEPS} steps x {1e3 * WAIT_S:.0f} ms, one process")
    experiment = Experiment.of("release_manager", "baseline", {"steps": STEPS})
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(EPISODES) as pool:
        begun = time.perf_counter()
        runs = list(
            pool.map(
                lambda seed: run_episode(experiment, slow_agent, seed=seed, runs_dir=Path(directory) / "runs"),
                range(EPISODES),
            )
        )
        seconds = time.perf_counter() - begun
        assert [run.outcome for run in runs] == ["truncated"] * EPISODES
    table.row("wall time over the ideal", seconds / (STEPS * WAIT_S), "x", at_most=1.25)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
