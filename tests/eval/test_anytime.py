from __future__ import annotations

import pytest

from goal_drift_gym.core.streams import stream
from goal_drift_gym.eval.anytime import critical_t, crossed, evidence


@pytest.mark.parametrize(("n", "t"), [(4, 14.358), (5, 5.088), (8, 3.561), (10, 3.343), (20, 3.085)])
def test_reference_critical_values(n, t):
    assert round(critical_t(n), 3) == t


@pytest.mark.parametrize("n", [1, 2, 3])
def test_three_seeds_or_fewer_decide_nothing(n):
    assert critical_t(n) is None


def test_evidence_at_the_critical_value_is_one_over_twice_alpha():
    assert evidence(critical_t(12), 12) == pytest.approx(10.0)


def test_looking_after_every_seed_errs_at_most_in_alpha():
    values = stream(1, "anytime").numpy().normal(size=(400, 60))

    wrong = sum(any(crossed(row[:n], 0.0) for n in range(4, 61)) for row in values.tolist())

    assert wrong / 400 <= 0.05


def test_equal_values_show_nothing():
    assert not crossed([-1.0] * 40, 0.0)


def test_mean_far_below_the_limit_is_crossed():
    assert crossed([-1.0, -0.9, -1.1, -1.0, -0.95, -1.05], 0.0)
