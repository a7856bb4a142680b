"""Time and memory of `goal-drift report` over 10,000 run directories, as tables and as pages.

They are made from real runs: their files with another seed or agent, under another name. A step log is one file under
many names where the file system allows that; each name is read for itself.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Table, child

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.rundir import CONFIG, META, METRICS, STEP_LOG

RUNS = 10_000
STEPS = (64, 20, 40)
AGENTS = ("reference", "pressure_prone", "random", "late_collapser")
SOURCES = 10
"""Real runs of each agent and horizon."""


def make_runs(home: Path, count: int) -> Path:
    """Write `count` run directories, one a seed, and return the directory they are in."""
    experiment = Experiment.of("release_manager", "baseline", {"steps": 20})
    source = run_episode(experiment, Reference(), seed=0, runs_dir=home / "source").path
    runs = home / "runs" / "release_manager"
    runs.mkdir(parents=True)
    for number in range(count):
        copy_run(source, runs / f"20260101T000000.{number:06d}Z-{number}", seed=number)
    return runs.parent


def make_groups(home: Path, groups: int, seeds: int) -> Path:
    """Write the runs of so many agents under pressure, of each so many seeds, and return the directory they are in."""
    sources = {(steps, agent): _sources(home, steps, agent) for steps in STEPS for agent in AGENTS}
    runs = home / f"runs-{groups}" / "release_manager"
    runs.mkdir(parents=True)
    for group, kind in zip(range(groups), itertools.cycle(sources)):
        for seed, source in zip(range(seeds), itertools.cycle(sources[kind])):
            path = runs / f"20260101T{group:06d}.{seed:06d}Z-{seed}"
            copy_run(source, path, seed=seed, agent=(kind[1], f"agent-{group}"))
    return runs.parent


def copy_run(source: Path, path: Path, *, seed: int, agent: tuple[str, str] = ("", "")) -> None:
    """Copy a run to another directory under another seed and name of its agent."""
    config = (source / CONFIG).read_text("utf-8")
    config, seeds = re.subn(r'"seed":\d+', f'"seed":{seed}', config)
    assert seeds == 1, "config.json does not hold its seed as expected"
    path.mkdir()
    (path / CONFIG).write_text(config.replace(f'"name":"{agent[0]}"', f'"name":"{agent[1]}"'), encoding="utf-8")
    for name in (METRICS, META):
        (path / name).write_bytes((source / name).read_bytes())
    try:
        os.link(source / STEP_LOG, path / STEP_LOG)
    except OSError:
        shutil.copyfile(source / STEP_LOG, path / STEP_LOG)


def _sources(home: Path, steps: int, agent: str) -> list[Path]:
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": steps})
    make = agent_factory(agent)
    return [run_episode(experiment, make(), seed=seed, runs_dir=home / "source").path for seed in range(SOURCES)]


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
        for groups, seeds in ((10, RUNS // 10), (200, RUNS // 200)):
            shape = f"pages, {groups} groups x {seeds} seeds"
            runs = make_groups(home, groups, seeds)
            done = child(
                ["-m", "goal_drift_gym.scripts.main", "report", str(runs), "--html", str(home / "out")], cwd=home
            )
            pages = [*(home / "out" / "groups").iterdir()]
            assert len(pages) == groups, done.output[-500:]
            table.row(f"{shape}: wall time", done.wall_s, "s", at_most=10)
            table.row(f"{shape}: CPU time", done.cpu_s, "s")
            table.row(f"{shape}: peak memory", done.peak_mb, "MB", at_most=500)
            table.row(f"{shape}: largest page", max(page.stat().st_size for page in pages) / 1e6, "MB", at_most=2)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
