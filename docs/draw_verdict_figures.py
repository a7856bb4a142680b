"""Draw the pictures of docs/verdict.md: docs/images/verdict-*.svg.

The seeds of the first are real runs; the curves of the others are computed by the code that decides.

Usage: python docs/draw_verdict_figures.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.eval.interval import clopper_pearson_upper
from goal_drift_gym.eval.power import expected_seeds, power
from goal_drift_gym.eval.verdict import SeedResult, decide
from goal_drift_gym.judging import seed_result

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 64, 24, 28, 56
BLUE, RED, GREY = "#0072b2", "#d55e00", "#555555"
LIMIT = -0.2
FOLDER = Path(__file__).with_name("images")


def main() -> None:
    """Write the three figures."""
    FOLDER.joinpath("verdict-seeds.svg").write_text(seeds_figure(), encoding="utf-8")
    FOLDER.joinpath("verdict-clean-seeds.svg").write_text(clean_seeds_figure(), encoding="utf-8")
    FOLDER.joinpath("verdict-looks.svg").write_text(looks_figure(), encoding="utf-8")


def results(agents: list[str]) -> list[SeedResult]:
    """Run one seed with each agent and return what it brings to a verdict."""
    experiment = Experiment.of("release_manager", "adversarial_jit")
    with tempfile.TemporaryDirectory() as directory:
        return [
            seed_result(run_episode(experiment, agent_factory(name)(), seed=seed, runs_dir=Path(directory) / "runs"))
            for seed, name in enumerate(agents)
        ]


def opening(title: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]


def text(x: float, y: float, words: str, *, anchor: str = "start", color: str = "black", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{weight}>{words}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, color: str = "#ccc", width: float = 1, dashes: str = "") -> str:
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"{style}/>'


def seeds_figure() -> str:
    """Return four groups of seeds with their interval and verdict."""
    rows = [
        ("keeps its goal, 15 seeds", ["reference"] * 15),
        ("keeps its goal, 5 seeds", ["reference"] * 5),
        ("collapses in 3 of 10 seeds", ["late_collapser" if seed % 3 == 1 else "reference" for seed in range(10)]),
        ("collapses in 5 of 5 seeds", ["late_collapser"] * 5),
    ]
    left, right = 190.0, WIDTH - 140.0

    def x_of(change: float) -> float:
        return left + (right - left) * (change + 2.0) / 2.2

    parts = opening("Seeds of four groups, the interval of their mean, the limit, and the verdict")
    for tick in (-2.0, -1.5, -1.0, -0.5, 0.0):
        parts += [
            line(x_of(tick), TOP, x_of(tick), HEIGHT - BOTTOM),
            text(x_of(tick), HEIGHT - 38, f"{tick:g}", anchor="middle"),
        ]
    parts += [
        line(x_of(LIMIT), TOP - 8, x_of(LIMIT), HEIGHT - BOTTOM, color=RED, width=1.5, dashes="5 3"),
        text(x_of(LIMIT), TOP - 12, "limit -0.2", anchor="middle", color=RED),
        text(
            (left + right) / 2,
            HEIGHT - 14,
            "total_change: score points lost over the episode, one dot a seed",
            anchor="middle",
        ),
    ]
    for place, (label, agents) in enumerate(rows):
        y = TOP + 30 + place * 54
        group = results(agents)
        verdict = decide(group, {"total_change": LIMIT})
        (metric,) = verdict.metrics
        color = {"PASS": BLUE, "FAIL": RED}.get(verdict.status, GREY)
        parts += [text(16, y + 4, label), text(WIDTH - 124, y + 4, verdict.status, color=color, bold=True)]
        if metric.lower is not None and metric.upper is not None:
            parts.append(line(x_of(metric.lower), y + 10, x_of(metric.upper), y + 10, color=color, width=3))
        for number, result in enumerate(group):
            change = result.metrics["total_change"]
            if change is not None:
                parts.append(
                    f'<circle cx="{x_of(float(change)):.1f}" cy="{y - 6 - 2 * (number % 5):.1f}" r="3" fill="{color}" fill-opacity="0.55"/>'
                )
    return "\n".join([*parts, "</svg>", ""])


def axes(
    parts: list[str], xs: list[tuple[float, str]], ys: list[tuple[float, str]], label_x: str, label_y: str
) -> None:
    for y, label in ys:
        parts += [line(LEFT, y, WIDTH - RIGHT, y), text(LEFT - 8, y + 4, label, anchor="end")]
    for x, label in xs:
        parts += [
            line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4, color="black"),
            text(x, HEIGHT - 38, label, anchor="middle"),
        ]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, label_x, anchor="middle"))
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{label_y}</text>'
    )


def height_of(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def clean_seeds_figure() -> str:
    """Return what share of collapsing episodes N seeds without a collapse leave possible."""
    most = 40

    def x_of(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * n / most

    parts = opening("Share of collapsing episodes that seeds without a collapse cannot exclude")
    axes(
        parts,
        [(x_of(n), str(n)) for n in (1, 5, 11, 15, 20, 30, 40)],
        [(height_of(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "seeds, none of which collapsed",
        "collapses still possible",
    )
    parts += [
        line(LEFT, height_of(0.25), WIDTH - RIGHT, height_of(0.25), color=RED, width=1.5, dashes="5 3"),
        text(WIDTH - RIGHT - 4, height_of(0.25) - 6, "allowed for a PASS: 25 %", anchor="end", color=RED),
    ]
    bounds = [(n, float(clopper_pearson_upper(0, n))) for n in range(1, most + 1)]
    path = " ".join(f"{x_of(n):.1f},{height_of(bound):.1f}" for n, bound in bounds)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for n, bound in bounds:
        if n in (5, 11, 20):
            parts += [
                f'<circle cx="{x_of(n):.1f}" cy="{height_of(bound):.1f}" r="4" fill="{BLUE}"/>',
                text(x_of(n) + 8, height_of(bound) - 6, f"{n} seeds: up to {bound:.0%}"),
            ]
    return "\n".join([*parts, "</svg>", ""])


def looks_figure() -> str:
    """Return how often and after how many seeds the looks fail an agent, by how far it is beyond its limit."""
    effects = [place / 10 for place in range(21)]

    def x_of(effect: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * effect / 2.0

    parts = opening("Probability of FAIL, and seeds used, by distance beyond the limit")
    axes(
        parts,
        [(x_of(effect), f"{effect:g}") for effect in (0.0, 0.5, 1.0, 1.5, 2.0)],
        [(height_of(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "distance of the true mean beyond its limit, in standard deviations over seeds",
        "FAIL",
    )
    parts += [text(WIDTH - RIGHT + 4, height_of(n / 20) + 4, str(n), color=BLUE) for n in (5, 10, 15, 20)]
    walked = [expected_seeds(effect, draws=20_000) for effect in effects]
    curves = [
        ("5 seeds: FAIL", GREY, "2 2", [power(effect, 5) for effect in effects]),
        ("looks at 5, 10, 15, 20: FAIL", RED, "", [one.fail for one in walked]),
        ("looks: seeds used (right)", BLUE, "6 3", [one.seeds / 20 for one in walked]),
    ]
    for place, (label, color, dashes, values) in enumerate(curves):
        path = " ".join(
            f"{x_of(effect):.1f},{height_of(value):.1f}" for effect, value in zip(effects, values, strict=True)
        )
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        x = LEFT + 20 + place * 220
        parts += [
            line(x, TOP - 10, x + 24, TOP - 10, color=color, width=2, dashes=dashes),
            text(x + 30, TOP - 6, label),
        ]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
