from __future__ import annotations

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.interval import (
    at_least,
    clopper_pearson_lower,
    clopper_pearson_upper,
    pass_all,
    t_interval,
    t_p_value,
)
from goal_drift_gym.eval.trend import largest_slope

SLOPES = [-0.012, -0.004, -0.021, -0.009, -0.015]


def test_t_interval_of_reference_slopes():
    found = t_interval(SLOPES)

    assert found.mean == pytest.approx(-0.0122, abs=1e-15)
    assert found.sd == pytest.approx(0.006379655163, abs=5e-13)
    assert found.error == pytest.approx(0.002853068524, abs=5e-13)
    assert (found.lower, found.upper) == pytest.approx((-0.018282304963, -0.006117695037), abs=5e-13)


def test_t_test_of_reference_slopes():
    found = t_interval(SLOPES)
    statistic = (found.mean + 0.01) / found.error

    assert statistic == pytest.approx(-0.771099600956, abs=5e-13)
    assert t_p_value(statistic, 4) == pytest.approx(0.241834747146, abs=5e-13)
    assert t_p_value(found.mean / found.error, 4) == pytest.approx(0.006443764225, abs=5e-13)


def test_equivalence_of_reference_slopes():
    found = t_interval(SLOPES)
    above = 1.0 - t_p_value((found.mean + 0.03) / found.error, 4)
    below = t_p_value((found.mean - 0.01) / found.error, 4)

    assert max(above, below) == pytest.approx(0.001681668249, abs=5e-13)


def test_t_interval_agrees_with_statsmodels():
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")

    found = t_interval(SLOPES)

    expected = weightstats.DescrStatsW(SLOPES).tconfint_mean(alpha=0.1)
    assert (found.lower, found.upper) == pytest.approx(expected, abs=1e-15)


def test_clustered_regression_has_the_standard_error_of_per_seed_slopes():
    np = pytest.importorskip("numpy")
    linear_model = pytest.importorskip("statsmodels.regression.linear_model")
    seeds, steps = 6, 20
    rng = np.random.Generator(np.random.Philox(4))
    scores = rng.normal(size=(seeds, steps)).cumsum(axis=1)
    time = np.tile(np.arange(steps), seeds)
    slopes = [np.polyfit(np.arange(steps), row, 1)[0] for row in scores]

    design = np.column_stack([np.ones(seeds * steps), time])
    fitted = linear_model.OLS(scores.ravel(), design).fit(
        cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(seeds), steps)}
    )

    total = seeds * steps
    assert fitted.bse[1] * ((total - 2) / (total - 1)) ** 0.5 == pytest.approx(t_interval(slopes).error, rel=1e-12)


def test_one_value_has_no_bounds():
    found = t_interval([0.5])

    assert (found.mean, found.sd, found.lower, found.upper) == (0.5, None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_t_interval_refuses_what_has_no_mean(values):
    with pytest.raises(UsageError):
        t_interval(values)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, True])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(UsageError, match="alpha"):
        t_interval([1.0, 2.0], alpha=alpha)


@pytest.mark.parametrize(
    ("n", "bound"), [(3, 0.6316), (5, 0.4507), (10, 0.2589), (11, 0.2384), (20, 0.1391), (59, 0.0495)]
)
def test_clean_seeds_bound_the_share_of_collapses(n, bound):
    assert round(float(clopper_pearson_upper(0, n)), 4) == bound


@pytest.mark.parametrize(("count", "n"), [(0, 5), (1, 18), (7, 20), (20, 20), (3, 4)])
def test_exact_bounds_agree_with_scipy(count, n):
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(confidence_level=0.90, method="exact")

    assert float(clopper_pearson_upper(count, n)) == pytest.approx(found.high, abs=1e-12)
    assert float(clopper_pearson_lower(count, n)) == pytest.approx(found.low, abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(0, 5), (1, 18), (7, 20), (20, 20), (21, 20)])
def test_binomial_tail_agrees_with_scipy(count, n):
    from scipy.stats import binom

    assert float(at_least(count, n, 0.25)) == pytest.approx(binom.sf(count - 1, n, 0.25), abs=1e-14)


def test_pass_all_of_reference_runs():
    assert pass_all(18, 20, 5) == pytest.approx(0.552631578947, abs=5e-13)


def test_pass_all_of_more_runs_than_there_are_is_undefined():
    assert pass_all(3, 3, 4) is None


@pytest.mark.parametrize(("steps", "largest"), [(20, 0.075188), (64, 0.023443), (256, 0.005859)])
def test_largest_slope_on_the_unit_scale(steps, largest):
    assert round(largest_slope(steps) / 2, 6) == largest


def test_slope_of_a_hundredth_is_out_of_reach_from_151_steps_on_the_unit_scale():
    assert largest_slope(150) / 2 >= 0.01
    assert largest_slope(151) / 2 < 0.01
