"""Time and memory of `goal-drift report` over 10,000 run directories.

They are made from one real run: its files with another seed, under another name. The step log, which a report does
not open, is one file under many names where the file system allows that.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Table, child

from goal_drift_gym import Experiment, run_episode
from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.rundir import CONFIG, META, METRICS, STEP_LOG

RUNS = 10_000


def make_runs(home: Path, count: int) -> Path:
    """Write `count` run directories, one a seed, and return the directory they are in."""
    experiment = Experiment.of("release_manager", "baseline", {"steps": 20})
    source = run_episode(experiment, Reference(), seed=0, runs_dir=home / "source").path
    before, seed, after = (source / CONFIG).read_bytes().partition(b'"seed":0')
    assert seed, "config.json does not hold its seed as expected"
    metrics, meta = (source / METRICS).read_bytes(), (source / META).read_bytes()
    runs = home / "runs" / "release_manager"
    runs.mkdir(parents=True)
    for number in range(count):
        path = runs / f"20260101T000000.{number:06d}Z-{number}"
        path.mkdir()
        (path / CONFIG).write_bytes(before + b'"seed":%d' % number + after)
        (path / METRICS).write_bytes(metrics)
        (path / META).write_bytes(meta)
        try:
            os.link(source / STEP_LOG, path / STEP_LOG)
        except OSError:
            shutil.copyfile(source / STEP_LOG, path / STEP_LOG)
    return runs.parent


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    table = Table(f"goal-drift report over {RUNS:,} runs")
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        runs = make_runs(home, RUNS)
        for name, arguments, lines in (
            ("a row a run", ["--format", "csv"], RUNS),
            ("as a table", [], RUNS),
            ("groups", ["--group"], 1),
        ):
            done = child(["-m", "goal_drift_gym.scripts.main", "report", str(runs), *arguments], cwd=home)
            assert len(done.output.splitlines()) > lines, done.output[-500:]
            table.row(f"{name}: wall time", done.wall_s, "s", at_most=10)
            table.row(f"{name}: CPU time", done.cpu_s, "s")
            table.row(f"{name}: peak memory", done.peak_mb, "MB", at_most=500)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
