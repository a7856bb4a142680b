"""CPU a step of engine, scoring and step log, against the same scenario's own dynamics in a bare loop.

Bare loop: the scenario's world step, the reference policy and its tool calls, in plain Python, with no observation,
score, record or file.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import tracemalloc
from pathlib import Path

from measure import Table, interleaved, median_ratio

from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.canonical import line_json
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import RunWriter
from goal_drift_gym.core.streams import scenario_streams
from goal_drift_gym.eval.metrics import compute_metrics, quick_metrics
from goal_drift_gym.runner import Experiment, run_episode

STEPS, SEEDS = 64, 8


def bare_loop(experiment: Experiment, seed: int, steps: int = STEPS) -> None:
    """Live through the scenario's own dynamics without an engine."""
    scenario = experiment.entry.load()()
    scenario.reset(scenario_streams(seed))
    for step in range(steps):
        scenario.advance(step)
        while plan := scenario.reference_action():
            for action in plan:
                getattr(scenario, action.tool)(**action.args)


def with_engine(experiment: Experiment, seed: int, log: Path) -> int:
    """Run the episode with its full step log, each line written and flushed; return the bytes of it."""
    redactor = Redactor([])
    episode = experiment.episode(seed, limits=Limits(), redactor=redactor)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    episode.run(Reference(), lambda record: _write(descriptor, redactor.line(line_json(record))))
    size = os.fstat(descriptor).st_size
    os.close(descriptor)
    return size


def _write(descriptor: int, line: bytes) -> None:
    os.write(descriptor, line)


def directory_only(experiment: Experiment, runs_dir: Path) -> None:
    """Make a run directory with its config and an empty step log."""
    redactor = Redactor([])
    episode = experiment.episode(0, redactor=redactor)
    RunWriter.create(runs_dir, experiment.config(episode, Reference()), redactor).close()


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    table = Table(f"Engine, {STEPS} steps, reference agent, full step log")
    with tempfile.TemporaryDirectory() as directory:
        runs, log = Path(directory) / "runs", Path(directory) / "step_log.jsonl"
        for scenario in ("release_manager", "bandit_constraint"):
            baseline = Experiment.of(scenario, "baseline", {"steps": STEPS})
            shaped = [Experiment.of(scenario, name, {"steps": STEPS}) for name in ("adversarial_jit", "friction_heavy")]
            seconds = interleaved(
                [
                    lambda e=baseline: [bare_loop(e, seed) for seed in range(SEEDS)],
                    *(lambda e=e: [with_engine(e, seed, log) for seed in range(SEEDS)] for e in (baseline, *shaped)),
                ]
            )
            per_step = [1e6 * statistics.median(kept) / (SEEDS * STEPS) for kept in seconds]
            table.row(f"{scenario}: bare loop", per_step[0], "us/step")
            table.row(f"{scenario}: engine", per_step[1], "us/step")
            table.row(f"{scenario}: engine / bare loop", median_ratio(seconds[1], seconds[0]), "x", at_most=8.0)
            for index, experiment in enumerate(shaped, start=2):
                name = experiment.condition.name
                table.row(f"{scenario}: {name} / baseline", median_ratio(seconds[index], seconds[1]), "x", at_most=2.0)
            table.row(f"{scenario}: bytes a step", with_engine(baseline, 0, log) / STEPS, "B", at_most=1200)
        baseline = Experiment.of("release_manager", "baseline")
        (made,) = interleaved([lambda: [directory_only(baseline, runs) for _ in range(50)]])
        table.row("a run directory with its config, an episode", 1e3 * statistics.median(made) / 50, "ms")
        growth(table, runs, log)
        metrics(table, runs)
    return 1 if table.missed else 0


def growth(table: Table, runs: Path, log: Path) -> None:
    """Cost a step and memory at long horizons."""
    short, long, longer = (Experiment.of("release_manager", "baseline", {"steps": n}) for n in (64, 1_000, 10_000))
    seconds = interleaved(
        [
            lambda: [with_engine(short, seed, log) for seed in range(16)],
            lambda: with_engine(long, 0, log),
            lambda: with_engine(longer, 0, log),
        ],
        rounds=5,
    )
    per_step = [
        [value / steps for value in kept] for kept, steps in zip(seconds, (16 * 64, 1_000, 10_000), strict=True)
    ]
    table.row("cost a step at 1,000 steps / at 64", median_ratio(per_step[1], per_step[0]), "x", at_most=1.1)
    table.row("cost a step at 10,000 steps / at 64", median_ratio(per_step[2], per_step[0]), "x", at_most=1.1)
    for name, run in (
        ("streaming", lambda: with_engine(longer, 0, log)),
        ("with metrics", lambda: _whole(longer, runs)),
    ):
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        # Metrics look at the whole episode, so they keep its records; the target is for the stream of steps.
        table.row(f"peak memory of 10,000 steps, {name}", peak, "MB", at_most=5.0 if name == "streaming" else None)


def _whole(experiment: Experiment, runs: Path) -> None:
    run_episode(experiment, Reference(), seed=0, runs_dir=runs)


def metrics(table: Table, runs: Path) -> None:
    """Cost of the metrics of a 64-step run."""
    run = run_episode(Experiment.of("release_manager", "adversarial_jit"), Reference(), seed=1, runs_dir=runs)
    records = list(run.steps())
    scores = [record.score.alignment for record in records if record.score.alignment is not None]
    whole, quick = interleaved(
        [
            lambda: [compute_metrics(records, outcome="truncated") for _ in range(20)],
            lambda: [quick_metrics(scores) for _ in range(2_000)],
        ]
    )
    table.row("all metrics of a 64-step run", 1e3 * statistics.median(whole) / 20, "ms", at_most=1.0)
    table.row("slope, mean, first pass, stickiness", 1e6 * statistics.median(quick) / 2_000, "us", at_most=10.0)


if __name__ == "__main__":
    sys.exit(main())
