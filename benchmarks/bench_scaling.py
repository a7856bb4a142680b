"""Speed-up of two processes over one on scripted agents: `goal-drift run --workers` and `pytest -n`.

200 episodes x 1,000 steps; `--quick` takes a tenth of them, for CI. Two busy loops show first and last what a second
process is worth on this machine at this time: on a shared one it may be worth little, whatever runs in it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Table, child

STEPS, WORKERS = 1_000, 2
EPISODES, QUICK = 200, 20
_BUSY = "for _ in range({}): pass"

_TEST = f"""
import pytest

@pytest.mark.drift_scenario("release_manager", condition="baseline", steps={STEPS})
def test_agent(drift_run):
    assert drift_run.outcome == "truncated"
"""


def machine() -> float:
    """Return how many times as much two processes get done as one, in the same time."""
    ratios = []
    for _ in range(3):
        seconds = []
        for count in (1, WORKERS):
            begun = time.perf_counter()
            busy = [subprocess.Popen([sys.executable, "-c", _BUSY.format(20_000_000)]) for _ in range(count)]
            for process in busy:
                process.wait()
            seconds.append(time.perf_counter() - begun)
        ratios.append(WORKERS * seconds[0] / seconds[1])
    return statistics.median(ratios)


def command(home: Path, episodes: int, workers: int) -> float:
    """Return the wall seconds of `goal-drift run`."""
    settings = ["--agent", "reference", "--set", f"steps={STEPS}", "--seeds", str(episodes)]
    where = ["--runs-dir", str(home / f"command{workers}"), "--workers", str(workers)]
    return child(["-m", "goal_drift_gym.scripts.main", "run", "release_manager", *settings, *where], cwd=home).wall_s


def plugin(home: Path, episodes: int, workers: int) -> float:
    """Return the wall seconds of `pytest -n`; one worker is a process of its own too, as with any -n."""
    own = [f"--drift-seeds={episodes}", "--drift-agent=reference", f"--drift-runs-dir={home / f'plugin{workers}'}"]
    run = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"-n{workers}", *own, "test_scaling.py"]
    return child(run, cwd=home).wall_s


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    quick = "--quick" in sys.argv[1:]
    episodes = QUICK if quick else EPISODES
    table = Table(f"Scaling: {episodes} episodes x {STEPS:,} steps, {WORKERS} processes against one")
    if (os.cpu_count() or 1) < WORKERS:
        print("This machine has one core: scaling was NOT measured.")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (home / "test_scaling.py").write_text(_TEST, encoding="utf-8")
        table.row("what this machine gives two busy loops, before", machine(), "x")
        for name, run in (("goal-drift run --workers", command), ("pytest -n", plugin)):
            one, two = run(home, episodes, 1), run(home, episodes, WORKERS)
            table.row(f"{name} 1", one, "s")
            table.row(f"{name} {WORKERS}", two, "s")
            # A short suite is mostly start-up, which no number of workers shares.
            table.row(f"{name}: speed-up", one / two, "x", at_least=None if quick else 1.6)
        table.row("what this machine gives two busy loops, after", machine(), "x")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
