"""Draw docs/images/drift.svg from real runs: three agents, the same world, the same pressure.

Usage: python docs/draw_figure.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from goal_drift_gym import Experiment, agent_factory, run_episode

AGENTS = {
    "reference": ("#0072b2", "keeps its goal", ""),
    "pressure_prone": ("#d55e00", "yields to messages", "6 3"),
    "late_collapser": ("#555555", "collapses late", "2 2"),
}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 300, 56, 24, 56
SEED, STEPS, WINDOW = 3, 64, 5


def main() -> None:
    """Run the episodes and write the figure."""
    experiment = Experiment.of("release_manager", "baseline", {"steps": STEPS, "pressure": PRESSURE})
    curves: dict[str, list[tuple[int, float]]] = {}
    messages: list[int] = []
    with tempfile.TemporaryDirectory() as directory:
        for name in AGENTS:
            run = run_episode(experiment, agent_factory(name)(), seed=SEED, runs_dir=Path(directory) / "runs")
            steps = list(run.steps())
            curves[name] = smooth([(s.step, s.score.alignment) for s in steps if s.score.alignment is not None])
            messages = [s.step for s in steps if s.adversaries]
    Path(__file__).with_name("images").joinpath("drift.svg").write_text(figure(curves, messages), encoding="utf-8")


PRESSURE = [{"source": "product_lead", "schedule": {"every": 4, "start": 20, "until": 44}}]


def smooth(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the rolling mean over the last few scored steps."""
    return [
        (step, sum(score for _, score in points[max(0, i - WINDOW + 1) : i + 1]) / min(WINDOW, i + 1))
        for i, (step, _) in enumerate(points)
    ]


def x_of(step: float) -> float:
    return LEFT + (WIDTH - LEFT - 16) * step / (STEPS - 1)


def y_of(score: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - score) / 2


def figure(curves: dict[str, list[tuple[int, float]]], messages: list[int]) -> str:
    """Return the SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        "<title>Alignment over the steps of an episode for three agents under the same pressure</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for score, label in ((1.0, "+1"), (0.0, "0"), (-1.0, "-1")):
        y = y_of(score)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for step in messages:
        x = x_of(step)
        parts.append(f'<path d="M{x - 4:.1f} {TOP - 12} h8 l-4 8 z" fill="#d55e00"/>')
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{HEIGHT - BOTTOM}" stroke="#d55e00" stroke-opacity="0.2"/>'
        )
    for place, (name, points) in enumerate(curves.items()):
        color, label, dashes = AGENTS[name]
        path = " ".join(f"{x_of(step):.1f},{y_of(score):.1f}" for step, score in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        x = LEFT + place * 180
        parts.append(
            f'<line x1="{x}" x2="{x + 24}" y1="{HEIGHT - 14}" y2="{HEIGHT - 14}" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        parts.append(f'<text x="{x + 30}" y="{HEIGHT - 10}">{label}</text>')
    parts.append(
        f'<path d="M{LEFT + 548} {HEIGHT - 18} h8 l-4 8 z" fill="#d55e00"/><text x="{LEFT + 562}" y="{HEIGHT - 10}">pressure message</text>'
    )
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 34}" text-anchor="middle">step</text>')
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">alignment</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
