from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.eval.trend import largest_slope, mean, quick_metrics, slope, total_change

SCORES = st.lists(st.floats(-1, 1), min_size=2, max_size=40)


def test_slope_of_a_straight_line_is_its_rise_a_step():
    assert slope([0, 1, 2, 3], [1.0, 0.75, 0.5, 0.25]) == -0.25


def test_slope_uses_step_indices_where_steps_are_missing():
    assert slope([0, 4], [1.0, 0.0]) == -0.25


def test_slope_by_hand_with_a_gap():
    # steps 0, 1, 5: mean 2, deviations -2, -1, 3, their squares sum to 14; -2*1 - 1*0 + 3*0 = -2
    assert slope([0, 1, 5], [1.0, 0.0, 0.0]) == -2 / 14


@pytest.mark.parametrize(
    ("steps", "expected"), [((0, 1, 3), -2 / 7), ((0, 2, 5), -7 / 38), ((0, 1, 4), -5 / 26), ((0, 2, 3), -5 / 14)]
)
def test_slope_by_hand_with_gaps_in_other_places(steps, expected):
    assert slope(steps, [1.0, 0.0, 0.0]) == pytest.approx(expected, rel=1e-15)


def test_slope_does_not_depend_on_where_steps_start():
    assert slope([100, 101, 103], [1.0, 0.5, 0.25]) == slope([0, 1, 3], [1.0, 0.5, 0.25])


@pytest.mark.parametrize("scores", [[], [0.5]])
def test_slope_and_total_change_are_undefined_below_two_scores(scores):
    steps = list(range(len(scores)))

    assert slope(steps, scores) is None
    assert total_change(steps, scores) is None


def test_total_change_is_slope_times_the_span_of_scored_steps():
    assert total_change([0, 1, 2, 3], [1.0, 0.5, 0.0, -0.5]) == -1.5
    assert total_change([30, 32], [1.0, -1.0]) == -2.0


@pytest.mark.parametrize(("steps", "expected"), [(20, 0.075188), (64, 0.023443), (256, 0.005859)])
def test_largest_slope_on_the_unit_range_matches_the_published_values(steps, expected):
    assert round(largest_slope(steps) / 2, 6) == expected


@pytest.mark.parametrize("steps", [2, 3, 7, 20])
def test_largest_slope_is_reached_by_a_step_in_the_middle(steps):
    scores = [1.0] * (steps // 2) + [0.0] * (steps % 2) + [-1.0] * (steps // 2)

    assert slope(range(steps), scores) == pytest.approx(-largest_slope(steps), rel=1e-14)


@given(SCORES)
def test_no_slope_is_larger_than_the_largest(scores):
    assert abs(slope(range(len(scores)), scores)) <= largest_slope(len(scores)) * (1 + 1e-12)


@given(SCORES)
def test_slope_agrees_with_numpys_least_squares(scores):
    expected = np.polyfit(np.arange(len(scores)), np.array(scores), 1)[0]

    assert slope(range(len(scores)), scores) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(-1, 1)), min_size=2, max_size=20))
def test_slope_is_the_exact_least_squares_slope_to_fifteen_digits(pairs):
    steps = [sum(gap for gap, _ in pairs[: i + 1]) for i in range(len(pairs))]
    scores = [score for _, score in pairs]
    centre = Fraction(sum(steps), len(steps))
    exact = sum((step - centre) * Fraction(score) for step, score in zip(steps, scores, strict=True)) / sum(
        (step - centre) ** 2 for step in steps
    )

    assert slope(steps, scores) == pytest.approx(float(exact), abs=1e-14)


@given(SCORES)
def test_reversing_scores_negates_the_slope(scores):
    assert slope(range(len(scores)), scores[::-1]) == pytest.approx(-slope(range(len(scores)), scores), abs=1e-15)


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40), st.floats(-0.5, 0.5))
def test_slope_and_total_change_do_not_move_when_all_scores_shift(scores, shift):
    steps = range(len(scores))
    shifted = [score + shift for score in scores]

    assert slope(steps, shifted) == pytest.approx(slope(steps, scores), abs=1e-14)
    assert total_change(steps, shifted) == pytest.approx(total_change(steps, scores), abs=1e-13)


@given(st.floats(-1, 1), st.lists(st.integers(1, 5), min_size=2, max_size=20))
def test_constant_scores_have_exactly_no_slope_even_with_gaps(score, gaps):
    steps = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    value = slope(steps, [score] * len(steps))

    assert value == 0.0
    assert math.copysign(1.0, value) == 1.0


def test_mean_is_exactly_rounded():
    assert mean([0.1] * 10) == 0.1
    assert mean([]) is None


def test_quick_metrics_of_nothing_are_undefined():
    quick = quick_metrics([])

    assert (quick.mean, quick.slope, quick.first_pass, quick.stickiness) == (None, None, None, None)


def test_quick_metrics_of_one_score_have_no_slope():
    quick = quick_metrics([-0.5], threshold=0.25)

    assert (quick.mean, quick.slope, quick.first_pass, quick.stickiness) == (-0.5, None, 0, 0.75)


def test_quick_metrics_of_a_run_that_never_passes_have_no_first_pass():
    quick = quick_metrics([0.5, 0.0])

    assert (quick.first_pass, quick.stickiness) == (None, 0.0)
