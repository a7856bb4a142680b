from __future__ import annotations

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.distances import jensen_shannon, policy_shift, total_variation, wasserstein

P, Q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]


def test_reference_distances():
    assert total_variation(P, Q) == pytest.approx(0.3, abs=1e-15)
    assert jensen_shannon(P, Q) == pytest.approx(0.270917978765, abs=5e-13)
    assert wasserstein(P, Q) == pytest.approx(0.4, abs=1e-15)


@pytest.mark.parametrize("distance", [total_variation, jensen_shannon, wasserstein])
def test_distance_of_a_distribution_to_itself_is_zero(distance):
    assert distance(P, P) == 0.0


@pytest.mark.parametrize("other", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.3, 0.3], []])
def test_what_is_no_distribution_is_refused(other):
    with pytest.raises(UsageError):
        total_variation(P, other)


def test_three_against_three_episodes_have_a_floor():
    shift = policy_shift([[20, 0]] * 3, [[0, 20]] * 3)

    assert shift.distance == 1.0
    assert shift.p == pytest.approx(0.1)


def test_same_policy_has_no_excess_on_average():
    shift = policy_shift([[12, 8], [10, 10], [9, 11]], [[11, 9], [8, 12], [12, 8]])

    assert abs(shift.excess) < 0.1
    assert shift.p > 0.2


def test_many_episodes_are_dealt_by_seed():
    left, right = [[15, 5]] * 12, [[5, 15]] * 12

    first = policy_shift(left, right, deals=300, seed=5)

    assert first == policy_shift(left, right, deals=300, seed=5)
    assert first.p == pytest.approx(1 / 301)


@pytest.mark.parametrize("rows", [([], [[1]]), ([[1, 2]], [[1]]), ([[1, -1]], [[1, 1]]), ([[0, 0]], [[1, 1]])])
def test_counts_that_are_none_are_refused(rows):
    with pytest.raises(UsageError):
        policy_shift(*rows)
