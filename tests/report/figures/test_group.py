from __future__ import annotations

from pathlib import Path

import pytest

from goal_drift_gym.eval.dose import dose_response
from goal_drift_gym.eval.interval import t_interval
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.survival import kaplan_meier
from goal_drift_gym.eval.verdict import SeedResult
from goal_drift_gym.report.chart import Chart
from goal_drift_gym.report.figures.group import (
    MOST_DRIFTED,
    MOST_LINES,
    comparison_chart,
    curves_chart,
    dose_chart,
    metric_chart,
    survival_chart,
    twin_chart,
)
from goal_drift_gym.report.seeds import SeedView


def view(seed: int, scores: list[float | None], crossed: tuple[str, ...] = (), **metrics: object) -> SeedView:
    steps = [step for step, score in enumerate(scores) if score is not None]
    return SeedView(
        path=Path(f"runs/s/{seed}"),
        place=f"s/{seed}",
        outcome="truncated",
        why=None,
        result=SeedResult(seed=seed, metrics=metrics),  # type: ignore[arg-type]
        length=len(scores),
        steps=steps,
        scores=[score for score in scores if score is not None],
        crossed=list(crossed),
    )


def dead(seed: int) -> SeedView:
    return SeedView(
        path=Path("x"),
        place="x",
        outcome="truncated",
        why="5 of 5 steps are silent",
        result=SeedResult(seed=seed, status="dead"),
        length=5,
        steps=[],
        scores=[],
        crossed=[],
    )


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def lines_of(chart: Chart, role: str) -> list[list[tuple[float, float | None]]]:
    return [line.points for line in chart.lines if line.role == role]


def test_the_mean_of_a_step_and_its_band_are_the_t_interval_over_the_seeds() -> None:
    chart = drawn(curves_chart([view(0, [0.5, 0.2]), view(1, [0.3, 0.0]), view(2, [0.1, -0.5])]))

    (band,) = chart.bands
    at_end = t_interval([0.2, 0.0, -0.5])
    assert lines_of(chart, "mean") == [[(0.0, pytest.approx(0.3)), (1.0, pytest.approx(-0.1))]]
    assert band.points[1] == (1.0, at_end.lower, at_end.upper)


def test_a_step_with_one_seed_has_no_mean() -> None:
    chart = drawn(curves_chart([view(0, [1.0, 0.5, 0.2]), view(1, [0.0, 0.5]), view(2, [None, 0.8])]))

    assert [x for x, _ in lines_of(chart, "mean")[0]] == [0.0, 1.0]


def test_a_band_ends_where_scores_end() -> None:
    chart = drawn(curves_chart([view(0, [1.0]), view(1, [-1.0])]))

    assert t_interval([1.0, -1.0]).lower < -1.0
    assert chart.bands[0].points == [(0.0, -1.0, 1.0)]


def test_seeds_that_are_not_scored_are_in_no_curve() -> None:
    assert curves_chart([dead(0)]) is None
    assert len(drawn(curves_chart([dead(0), view(1, [1.0])])).lines) == 1


def test_seeds_beyond_a_limit_are_told_from_the_others() -> None:
    chart = drawn(curves_chart([view(0, [1.0]), view(1, [-1.0], crossed=("mean",))]))

    assert lines_of(chart, "seed") == [[(0.0, 1.0)]]
    assert lines_of(chart, "drifted") == [[(0.0, -1.0)]]


def test_many_seeds_are_bands_and_the_lowest_of_those_beyond_a_limit() -> None:
    seeds = [view(seed, [seed / MOST_LINES / 2], crossed=("mean",)) for seed in range(MOST_LINES + 1)]
    chart = drawn(curves_chart(seeds))

    assert [band.name for band in chart.bands][:2] == ["90% of the seeds", "50% of the seeds"]
    assert chart.bands[1].points[0] == (0.0, pytest.approx(0.125), pytest.approx(0.375))
    assert sorted(points[0][1] for points in lines_of(chart, "drifted")) == [
        seed.scores[0] for seed in seeds[:MOST_DRIFTED]
    ]
    assert f"the {MOST_DRIFTED} lowest of the {MOST_LINES + 1} beyond a limit" in chart.title


def test_a_long_episode_is_drawn_as_means_over_spans_and_says_so() -> None:
    chart = drawn(curves_chart([view(0, [1.0, 0.0] * 400)]))

    assert lines_of(chart, "seed")[0][:2] == [(0.5, 0.5), (2.5, 0.5)]
    assert "mean over 2 steps" in chart.title


def test_dots_stand_at_their_values_on_their_side_of_the_limit() -> None:
    seeds = [view(seed, [0.0], final_level=value) for seed, value in enumerate((0.6, 0.59, 0.9, 0.9))]
    chart = drawn(metric_chart(seeds, Limit("final_level", 0.6), links=True))

    kept, beyond = chart.dots
    assert [(dot.x, dot.y, dot.link) for dot in kept.points] == [
        (0.6, 1.0, "#seed-0"),
        (0.9, 1.0, "#seed-2"),
        (0.9, 2.0, "#seed-3"),
    ]
    assert [(dot.x, dot.says) for dot in beyond.points] == [(0.59, "seed 1: final_level 0.59")]
    assert (chart.levels[0].y, chart.levels[0].upright) == (0.6, True)


def test_a_value_that_is_missing_is_counted_and_not_drawn() -> None:
    seeds = [view(0, [0.0], first_pass=3), view(1, [0.0], first_pass=None)]
    levels = [view(0, [0.0], slope=0.1), view(1, [0.0], slope=None)]

    assert drawn(metric_chart(seeds, Limit("first_pass", 5))).title == (
        "first_pass: 1 of 1 seeds beyond the limit, 1 never"
    )
    assert "1 undefined" in drawn(metric_chart(levels, Limit("slope", 0.0))).title
    assert metric_chart([view(0, [0.0], slope=None)], Limit("slope", 0.0)) is None


def test_a_flag_is_yes_or_no() -> None:
    chart = drawn(metric_chart([view(0, [0.0], collapse=True)], Limit("collapse", False)))

    assert [(dots.role, dots.points[0].x) for dots in chart.dots] == [("drifted", 1.0)]
    assert chart.x.ticks == [(0.0, "no"), (1.0, "yes")]


def test_many_values_are_counted_in_bins_that_end_at_the_limit() -> None:
    values = [0.6] * 100 + [0.5999] * 60
    seeds = [view(seed, [0.0], final_level=value) for seed, value in enumerate(values)]
    kept, beyond = drawn(metric_chart(seeds, Limit("final_level", 0.6))).bars

    assert (sum(height for _, height in kept.points), sum(height for _, height in beyond.points)) == (100, 60)


def test_one_value_in_all_seeds_is_one_narrow_bar() -> None:
    seeds = [view(seed, [0.0], final_level=1.0) for seed in range(MOST_LINES + 1)]
    kept, _ = drawn(metric_chart(seeds, Limit("final_level", 0.6))).bars

    assert [height for _, height in kept.points if height] == [MOST_LINES + 1]
    assert len(kept.points) > 30


def test_values_at_a_limit_from_above_are_kept_in_a_histogram_too() -> None:
    values = [2.0] * 100 + [2.001] * 60
    seeds = [view(seed, [0.0], stickiness=value) for seed, value in enumerate(values)]
    kept, beyond = drawn(metric_chart(seeds, Limit("stickiness", 2.0))).bars

    assert (sum(height for _, height in kept.points), sum(height for _, height in beyond.points)) == (100, 60)


def test_survival_falls_where_seeds_pass_and_ends_at_the_longest() -> None:
    seeds = [view(n, [0.0] * 20, first_sustained_pass=at) for n, at in enumerate((4, 7, 7, 12, None, None))]
    (line,) = drawn(survival_chart(seeds)).lines

    curve = kaplan_meier([4, 7, 7, 12], [20, 20])
    assert line.points == [(0.0, 1.0), *zip(curve.times, curve.survival, strict=True), (20.0, curve.survival[-1])]
    assert line.stairs


def test_dose_response_is_drawn_with_the_interval_of_each_intensity() -> None:
    runs = {
        dose: [SeedResult(seed=seed, metrics={"mean": 0.9 - dose + seed / 10}) for seed in range(3)]
        for dose in (0.0, 1.0)
    }
    chart = dose_chart(dose_response(runs, "mean"))

    at_full = t_interval([-0.1, 0.0, 0.1])
    assert chart.bands[0].points[1] == (1.0, pytest.approx(at_full.lower), pytest.approx(at_full.upper))
    assert [dot.x for dot in chart.dots[0].points] == [0.0, 1.0]


def test_twins_are_paired_by_seed_at_steps_at_which_both_have_a_score() -> None:
    seeds = [view(0, [0.5, 0.0, 0.2]), view(1, [0.1, 0.1]), view(2, [1.0])]
    twins = [view(1, [0.3, 0.2]), view(0, [1.0, None, 0.4]), dead(2)]
    chart = drawn(twin_chart(seeds, twins))

    assert lines_of(chart, "seed") == [
        [(0.0, pytest.approx(-0.5)), (2.0, pytest.approx(-0.2))],
        [(0.0, pytest.approx(-0.2)), (1.0, pytest.approx(-0.1))],
    ]
    assert lines_of(chart, "mean") == [[(0.0, pytest.approx(-0.35))]]
    assert twin_chart(seeds, []) is None


def test_a_comparison_draws_both_means_and_says_where_a_side_has_none() -> None:
    before = [view(0, [0.9]), view(1, [0.7])]
    after = [view(0, [0.1]), view(1, [-0.1])]
    chart = drawn(comparison_chart(before, after, names=("old", "new")))

    assert [(line.role, line.name, line.points[0][1]) for line in chart.lines] == [
        ("before", "old", pytest.approx(0.8)),
        ("after", "new", pytest.approx(0.0)),
    ]
    assert [line.name for line in drawn(comparison_chart([], after)).lines] == ["B"]
    assert comparison_chart([], after[:1]) is None
