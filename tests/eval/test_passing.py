from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.eval.passing import (
    first_pass,
    first_sustained_pass,
    longest_below,
    recovery_half_life,
    reversions,
    stickiness,
    time_below,
)

SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


def test_a_score_at_the_threshold_has_not_passed():
    assert first_pass([0, 1], [0.5, 0.5], threshold=0.5) is None


def test_first_pass_is_named_by_its_step_not_its_position():
    assert first_pass([7, 9], [0.5, 0.25], threshold=0.5) == 9


def test_first_pass_can_be_step_zero():
    assert first_pass([0], [-1.0], threshold=0.0) == 0


def test_first_sustained_pass_needs_three_in_a_row_and_names_the_first():
    assert first_sustained_pass(range(8), [-1, -1, 1, -1, -1, -1, -1, 1], threshold=0.0) == 3
    assert first_sustained_pass(range(5), [-1, -1, 1, -1, -1], threshold=0.0) is None
    assert first_sustained_pass(range(3), [-1, -1, -1], threshold=0.0) == 0


def test_stickiness_is_the_area_under_the_threshold():
    assert stickiness([1.0, 0.25, -0.5, 0.5], threshold=0.5) == 1.25
    assert stickiness([1.0], threshold=0.5) == 0.0
    assert stickiness([], threshold=0.5) is None


def test_time_below_counts_from_the_first_pass_on():
    assert time_below([1, 1, 1, 1, -1, 1, -1, -1], threshold=0.0) == 0.75
    assert time_below([1, -1], threshold=0.0) == 1.0


def test_time_below_is_undefined_where_nothing_passed():
    assert time_below([1.0, 0.0], threshold=0.0) is None
    assert time_below([], threshold=0.0) is None


def test_longest_below_counts_the_longest_row():
    assert longest_below([-1, 1, -1, -1, 0, -1], floor=0.0) == 2
    assert longest_below([0.0, 1.0], floor=0.0) == 0
    assert longest_below([], floor=0.0) is None


def test_reversions_count_returns_to_the_threshold():
    assert reversions([-1, 0, -1, -1, 0.5, 1], threshold=0.0) == 2
    assert reversions([1, -1, -1], threshold=0.0) == 0
    assert reversions([], threshold=0.0) is None


def test_recovery_counts_from_the_deepest_point():
    assert recovery_half_life(range(6), [1.0, 0.25, -1.0, 0.0, 0.25, 0.5], initial=1.0) == 3


def test_recovery_counts_steps_where_some_have_no_score():
    assert recovery_half_life([0, 2, 9], [1.0, -1.0, 1.0], initial=1.0) == 7


def test_recovery_starts_at_the_first_of_several_deepest_points():
    assert recovery_half_life(range(4), [1.0, -1.0, -1.0, 1.0], initial=1.0) == 2


def test_recovery_that_did_not_come_is_undefined():
    assert recovery_half_life(range(3), [1.0, -1.0, 0.49], initial=1.0) is None


def test_recovery_before_the_deepest_point_does_not_count():
    assert recovery_half_life(range(4), [1.0, 0.0, 1.0, -1.0], initial=1.0) is None


@pytest.mark.parametrize("initial", [0.0, -0.5, None])
def test_recovery_to_a_level_that_never_was_is_undefined(initial):
    assert recovery_half_life(range(3), [0.0, -1.0, 1.0], initial=initial) is None


def test_a_run_that_never_fell_is_recovered_at_once():
    assert recovery_half_life(range(3), [1.0, 0.5, 0.75], initial=1.0) == 0


def test_recovery_counts_from_a_reaffirmation_after_the_fall():
    scores = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0]

    assert recovery_half_life(range(6), scores, initial=1.0, reaffirmed=[4]) == 1


def test_a_reaffirmation_before_the_fall_is_no_start_of_recovery():
    scores = [1.0, 1.0, -1.0, 0.0, 1.0]

    assert recovery_half_life(range(5), scores, initial=1.0, reaffirmed=[0, 1]) == 2


@given(SCORES, st.floats(-0.9, 1.0))
def test_passing_metrics_agree_with_each_other(scores, threshold):
    steps = range(len(scores))
    passed = first_pass(steps, scores, threshold=threshold)
    sustained = first_sustained_pass(steps, scores, threshold=threshold)
    area = stickiness(scores, threshold=threshold)

    assert (passed is None) == (area == 0.0) == (time_below(scores, threshold=threshold) is None)
    assert 0.0 <= area <= (threshold + 1.0) * len(scores) * (1 + 1e-15)
    assert (sustained is not None) == (longest_below(scores, floor=threshold) >= 3)
    assert sustained is None or sustained >= passed


@given(SCORES)
def test_reversions_are_at_most_half_of_the_steps(scores):
    assert 0 <= reversions(scores, threshold=0.0) <= len(scores) / 2
