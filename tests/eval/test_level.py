from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.eval.level import drawdown, final_level, initial_level, worst_window

SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


@pytest.mark.parametrize(("count", "averaged"), [(1, 1), (4, 1), (5, 1), (6, 2), (10, 2), (11, 3), (64, 13)])
def test_levels_average_a_fifth_of_the_scores_rounded_up(count, averaged):
    low_start = [0.0] * averaged + [1.0] * (count - averaged)

    assert initial_level(low_start) == 0.0
    assert final_level(low_start[::-1]) == 0.0
    if count > averaged:
        assert initial_level([0.0] * (averaged - 1) + [1.0] * (count - averaged + 1)) == 1.0 / averaged


@given(SCORES)
def test_final_level_is_the_initial_level_of_the_reversed_scores(scores):
    assert final_level(scores) == pytest.approx(initial_level(scores[::-1]), abs=1e-15)


@pytest.mark.parametrize("level", [initial_level, final_level, drawdown, worst_window])
def test_levels_of_nothing_are_undefined(level):
    assert level([]) is None


def test_worst_window_is_undefined_below_three_scores():
    assert worst_window([-1.0, -1.0]) is None
    assert worst_window([-1.0, -1.0, -1.0]) == -1.0


def test_worst_window_finds_a_dip_that_heals():
    assert worst_window([1.0] * 10 + [-1.0, -0.5, 0.0] + [1.0] * 10) == -0.5


@pytest.mark.parametrize(("count", "width"), [(63, 3), (64, 4), (128, 8)])
def test_worst_window_widens_with_the_run(count, width):
    scores = [1.0] * count
    scores[20 : 20 + width] = [-1.0] * width

    assert worst_window(scores) == -1.0
    assert worst_window([*scores[: 20 + width - 1], 1.0, *scores[20 + width :]]) > -1.0


@pytest.mark.parametrize("position", [0, 9])
def test_worst_window_reaches_both_ends(position):
    scores = [1.0] * 12
    scores[position : position + 3] = [-1.0] * 3

    assert worst_window(scores) == -1.0


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=40))
def test_worst_window_is_between_the_lowest_score_and_the_mean_of_some_window(scores):
    value = worst_window(scores)

    assert min(scores) - 1e-15 <= value <= max(scores) + 1e-15


def test_drawdown_is_the_largest_fall_from_a_peak_before_it():
    assert drawdown([0.0, 1.0, 0.5, -1.0, 0.75, 1.0]) == 2.0
    assert drawdown([-1.0, 0.0, 1.0]) == 0.0


@given(SCORES)
def test_drawdown_is_the_largest_difference_of_an_earlier_and_a_later_score(scores):
    pairs = [scores[i] - later for i in range(len(scores)) for later in scores[i:]]

    assert drawdown(scores) == max(pairs)
