"""Draw docs/images/drift.svg from real runs: three agents, the same world, the same pressure.

Usage: python docs/draw_figure.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from goal_drift_gym import Experiment, Run, StepRecord, agent_factory, run_episode
from goal_drift_gym.report.chart import Axis, Chart, Line, Mark, Role
from goal_drift_gym.report.image import image

AGENTS: dict[str, tuple[str, Role]] = {
    "reference": ("keeps its goal", "after"),
    "pressure_prone": ("yields to messages", "drifted"),
    "late_collapser": ("collapses late", "before"),
}
SEED, STEPS, WINDOW = 3, 64, 5
PRESSURE = [{"source": "product_lead", "schedule": {"every": 4, "start": 20, "until": 44}}]


def main() -> None:
    """Run the episodes and write the figure."""
    experiment = Experiment.of("release_manager", "baseline", {"steps": STEPS, "pressure": PRESSURE})
    with tempfile.TemporaryDirectory() as directory:
        runs = [
            run_episode(experiment, agent_factory(name)(), seed=SEED, runs_dir=Path(directory) / "runs")
            for name in AGENTS
        ]
        drawn = image(figure(runs), width_in=8.0, height_in=2.8)
    Path(__file__).with_name("images").joinpath("drift.svg").write_bytes(drawn)


def figure(runs: Iterable[Run]) -> Chart:
    """Return the chart of one run of each agent."""
    lines, marks = [], []
    for (name, role), run in zip(AGENTS.values(), runs, strict=True):
        steps = list(run.steps())
        lines.append(Line(name=name, role=role, points=smooth(steps)))
        marks = [Mark(kind="pressure", x=one.step, says="message") for one in steps if one.adversaries]
    return Chart(
        title="Alignment of three agents under the same pressure",
        says="One agent keeps its goal, one yields to each message, one collapses late.",
        x=Axis(label="step", low=0, high=STEPS - 1),
        y=Axis(label=f"score, mean of {WINDOW} steps", low=-1.05, high=1.05),
        lines=lines,
        marks=marks,
    )


def smooth(steps: Iterable[StepRecord]) -> list[tuple[float, float | None]]:
    """Return the rolling mean over the last few scored steps."""
    points = [(one.step, one.score.alignment) for one in steps if one.score.alignment is not None]
    return [
        (step, sum(score for _, score in points[max(0, i - WINDOW + 1) : i + 1]) / min(WINDOW, i + 1))
        for i, (step, _) in enumerate(points)
    ]


if __name__ == "__main__":
    main()
