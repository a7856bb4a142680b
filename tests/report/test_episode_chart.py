"""What the chart of one run draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_runs import plain_step, pressed_run, real_run, written

from goal_drift_gym.core.records import Adversary, Call, Event, Score, Violation
from goal_drift_gym.report.chart import Chart
from goal_drift_gym.report.figures.episode import episode_chart, steps_chart


def line(chart: Chart, role: str) -> list[tuple[float, float | None]]:
    (found,) = [one for one in chart.lines if one.role == role]
    return found.points


def marks(chart: Chart) -> list[tuple[str, float]]:
    return [(mark.kind, mark.x) for mark in chart.marks]


def test_the_line_is_the_score_and_is_broken_where_there_is_none(tmp_path: Path) -> None:
    run = pressed_run(tmp_path, steps=20)

    assert line(episode_chart(run), "agent") == [(step.step, step.score.alignment) for step in run.steps()]
    assert None in [y for _, y in line(episode_chart(run), "agent")]


def test_commission_and_omission_are_piled_downwards_within_the_axis() -> None:
    steps = [plain_step(0), plain_step(1, score=-1.0)]
    steps[1].score = Score(-1.0, commission=1.25, omission=0.5)

    chart = steps_chart(steps)

    assert [(bars.role, bars.points) for bars in chart.bars] == [
        ("commission", [(0, 0.0), (1, -1.25)]),
        ("omission", [(0, 0.0), (1, -0.5)]),
    ]
    assert chart.y.low == -2.0


def test_unknown_commission_is_no_bar_of_height_zero() -> None:
    steps = [plain_step(0), plain_step(1)]
    steps[0].score = Score(0.5, commission=None, omission=None)
    steps[1].score = Score(0.5, commission=0.5, omission=None)

    assert [(bars.role, bars.points) for bars in steps_chart(steps).bars] == [("commission", [(1, -0.5)])]


def test_what_happened_is_marked_at_its_step() -> None:
    said = Adversary("boss", "observation", 0.5, "Faster.")
    failed = plain_step(4)
    failed.action.calls = [Call("ship", {}, "failed")]
    steps = [
        plain_step(0, adversaries=[said, Adversary("boss", "observation", 0.5, "Kept.", delivered=False)]),
        plain_step(1, violations=[Violation("cap"), Violation("cap")]),
        plain_step(2, score=None, outcome="silent"),
        plain_step(3, events=[Event("shock", "shocks"), Event("truncation", "memory"), Event("unheard_of", "x")]),
        failed,
        plain_step(5, phase="evaluation"),
    ]

    assert marks(steps_chart(steps)) == [
        ("pressure", 0),
        ("violation", 1),
        ("silent", 2),
        ("phase_change", 5),
        ("shock", 3),
        ("tool_failure", 4),
        ("truncation", 3),
    ]
    assert steps_chart(steps).marks[0].says == 'step 0: boss, intensity 0.5: "Faster."'


def test_a_message_that_was_not_delivered_is_no_mark() -> None:
    kept = Adversary("boss", "observation", 0.5, "Kept.", delivered=False)

    assert steps_chart([plain_step(0, adversaries=[kept])]).marks == []


def test_marks_lead_to_their_step_where_asked(tmp_path: Path) -> None:
    run = written(tmp_path, [plain_step(0), plain_step(1, violations=[Violation("cap")])])

    assert [mark.link for mark in episode_chart(run, links=True).marks] == ["#step-1"]
    assert [mark.link for mark in episode_chart(run).marks] == [None]


def test_scores_outside_the_evaluation_are_drawn_apart() -> None:
    steps = [plain_step(0, 0.5, phase="practice"), plain_step(1, 0.25, phase="evaluation")]

    chart = steps_chart(steps)

    assert line(chart, "agent") == [(0, None), (1, 0.25)]
    assert line(chart, "seed") == [(0, 0.5), (1, None)]


def test_the_twin_is_drawn_over_the_run(tmp_path: Path) -> None:
    run, twin = pressed_run(tmp_path, steps=20), real_run(tmp_path, agent="reference", condition="baseline", steps=20)

    chart = episode_chart(run, twin=twin)

    assert line(chart, "twin") == [(step.step, step.score.alignment) for step in twin.steps()]


def test_a_long_run_is_drawn_as_means_and_says_so() -> None:
    scores = [1.0, 0.5, None, 0.0]
    steps = [plain_step(number, scores[number % 4], violations=[Violation("cap")]) for number in range(2000)]

    chart = steps_chart(steps)

    assert len(line(chart, "agent")) == 1000
    assert line(chart, "agent")[:2] == [(0.5, 0.75), (2.5, 0.0)]
    assert "Each point is a mean over 2 steps." in chart.says
    assert [mark.says for mark in chart.marks[:2]] == [
        "step 0: violation: cap, and 1 more",
        "step 2: violation: cap, and 1 more",
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_run_of_a_few_steps_has_an_axis(count: int) -> None:
    chart = steps_chart([plain_step(number) for number in range(count)])

    assert chart.x.high > chart.x.low
    assert [tick for tick, _ in chart.x.ticks] == list(range(max(count, 1)))
