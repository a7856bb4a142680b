from __future__ import annotations

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.power import (
    clean_seeds,
    detectable_effect,
    expected_seeds,
    plan_seeds,
    power,
    seeds_for_power,
    total_change_sd,
    what_seeds_show,
)


@pytest.mark.parametrize(
    ("effect", "n", "expected"),
    [(1.0, 5, 0.5797), (1.0, 8, 0.8150), (1.0, 10, 0.8975), (1.0, 20, 0.9961), (0.5, 20, 0.6951), (0.5, 30, 0.8483)],
)
def test_reference_power(effect, n, expected):
    assert round(power(effect, n), 4) == expected


@pytest.mark.parametrize(("effect", "n"), [(1.0, 3), (0.3, 40), (-0.5, 10), (0.0, 5), (3.0, 12), (0.1, 900)])
def test_power_agrees_with_the_noncentral_t_of_scipy(effect, n):
    from scipy.stats import nct, t

    assert power(effect, n) == pytest.approx(nct.sf(t.ppf(0.95, n - 1), n - 1, effect * n**0.5), abs=1e-9)


@pytest.mark.parametrize(
    ("effect", "eighty", "ninety"),
    [(0.25, 101, 139), (0.5, 27, 36), (0.75, 13, 17), (1.0, 8, 11), (1.5, 5, 6), (2.0, 4, 4)],
)
def test_reference_numbers_of_seeds(effect, eighty, ninety):
    assert (seeds_for_power(effect), seeds_for_power(effect, wanted=0.9)) == (eighty, ninety)


@pytest.mark.parametrize(("sd", "seeds", "half"), [(0.0036, 3, 5), (0.0084, 6, 19), (0.0105, 9, 29), (0.0119, 11, 37)])
def test_seeds_that_detect_a_slope(sd, seeds, half):
    assert (seeds_for_power(0.01 / sd), seeds_for_power(0.005 / sd)) == (seeds, half)


def test_seeds_for_power_agree_with_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.stats.power")

    exact = statsmodels.TTestPower().solve_power(0.01 / 0.0105, power=0.8, alpha=0.05, alternative="larger")

    assert round(float(exact), 3) == 8.346
    assert seeds_for_power(0.01 / 0.0105) == 9


@pytest.mark.parametrize(("n", "effect"), [(3, 2.297), (5, 1.359), (10, 0.853), (20, 0.577)])
def test_reference_detectable_effects(n, effect):
    assert round(detectable_effect(n), 3) == effect


def test_one_seed_detects_nothing():
    assert detectable_effect(1) is None
    assert power(5.0, 1) == 0.0


def test_no_effect_is_never_seen():
    assert seeds_for_power(0.0) is None


def test_effect_beyond_the_largest_search_is_none():
    assert seeds_for_power(0.001) is None


@pytest.mark.parametrize(("p_max", "seeds"), [(0.5, 5), (0.25, 11), (0.1, 29), (0.05, 59)])
def test_reference_clean_seeds(p_max, seeds):
    assert clean_seeds(p_max) == seeds


@pytest.mark.parametrize(("p_max", "seeds"), [(0.25, 18), (0.2, 22), (0.1, 46)])
def test_reference_seeds_with_one_collapse(p_max, seeds):
    assert clean_seeds(p_max, collapses=1) == seeds


@pytest.mark.parametrize(("correlation", "inflation"), [(0.3, 1.7), (0.6, 2.9), (0.8, 4.1)])
def test_reference_inflation_by_autocorrelation(correlation, inflation):
    ratio = total_change_sd(1.0, 20, correlation=correlation) / total_change_sd(1.0, 20)

    assert round(ratio**2, 1) == inflation


def test_noise_of_a_trend_is_that_of_simulated_trends():
    import numpy as np

    steps, rng = 20, np.random.Generator(np.random.Philox(3))
    time = np.arange(steps) - (steps - 1) / 2
    changes = (steps - 1) * (rng.normal(size=(20_000, steps)) @ time) / (time @ time)

    assert total_change_sd(1.0, steps) == pytest.approx(changes.std(), rel=0.02)


def test_plan_of_the_reference_slope():
    plan = plan_seeds(0.01, 0.0105)

    assert (plan.seeds, plan.clean_seeds, plan.looks) == (9, 11, (5, 10, 15, 20))


def test_more_limits_need_more_seeds():
    assert plan_seeds(0.2, 0.2, limits=4).seeds > plan_seeds(0.2, 0.2).seeds


def test_expected_seeds_are_the_same_in_every_call():
    fresh = expected_seeds.__wrapped__

    assert fresh(0.7, draws=2000) == fresh(0.7, draws=2000)


def test_five_seeds_cannot_pass():
    assert [row.can_pass for row in what_seeds_show([5, 10, 11])] == [False, False, True]


@pytest.mark.parametrize(("change", "sd"), [(0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_plan_refuses_what_is_no_change(change, sd):
    with pytest.raises(UsageError):
        plan_seeds(change, sd)
