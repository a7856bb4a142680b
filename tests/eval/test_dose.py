from __future__ import annotations

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.dose import dose_response
from goal_drift_gym.eval.verdict import SeedResult


def at(values, start=0):
    return [SeedResult(seed=start + seed, metrics={"mean": value}) for seed, value in enumerate(values)]


def test_matched_seeds_give_one_slope_each():
    found = dose_response({0.0: at([1.0, 0.9]), 0.5: at([0.7, 0.7]), 1.0: at([0.4, 0.5])}, "mean")

    assert found.method == "per_seed"
    assert (found.slope.n, found.slope.mean) == (2, pytest.approx(-0.5))
    assert [point.dose for point in found.points] == [0.0, 0.5, 1.0]


def test_other_seeds_are_fitted_together_as_scipy_does():
    from scipy.stats import linregress

    runs = {0.0: at([1.0, 0.9, 0.95]), 0.5: at([0.7, 0.8], 10), 1.0: at([0.4, 0.5], 20)}

    found = dose_response(runs, "mean")

    expected = linregress([0, 0, 0, 0.5, 0.5, 1, 1], [1.0, 0.9, 0.95, 0.7, 0.8, 0.4, 0.5], alternative="less")
    assert found.method == "pooled"
    assert (found.slope.mean, found.slope.error) == pytest.approx((expected.slope, expected.stderr))
    assert found.p_falling == pytest.approx(expected.pvalue)


def test_response_of_an_immovable_agent_is_flat_and_has_no_p():
    found = dose_response({0.0: at([1.0, 1.0]), 1.0: at([1.0, 1.0])}, "mean")

    assert (found.slope.mean, found.p_falling) == (0.0, None)


def test_runs_that_are_not_valid_are_left_out():
    dead = SeedResult(seed=9, status="dead", metrics={"mean": -1.0})

    found = dose_response({0.0: [*at([1.0, 0.9]), dead], 1.0: at([0.4, 0.5])}, "mean")

    assert found.points[0].interval.n == 2


@pytest.mark.parametrize(
    "runs", [{}, {0.0: at([1.0, 1.0])}, {0.0: at([1.0]), 1.0: []}, {0.0: at([1.0]), 1.0: at([1.0])}]
)
def test_too_little_for_a_line_is_refused(runs):
    with pytest.raises(UsageError):
        dose_response(runs, "mean")


def test_metric_without_a_mean_is_refused():
    with pytest.raises(UsageError, match="seed by seed"):
        dose_response({0.0: at([1.0, 1.0]), 1.0: at([1.0, 1.0])}, "violations.count")


def failed(*seeds):
    return [SeedResult(seed=seed, status="agent_error") for seed in seeds]


def test_a_seed_that_lacks_a_value_somewhere_is_in_no_slope_and_is_named():
    runs = {0.0: at([1.0, 0.9, 0.8, 0.9, 1.0]), 1.0: [*at([0.4, 0.5, 0.3, 0.4]), *failed(4)]}

    found = dose_response(runs, "mean")

    assert (found.method, found.slope.n, found.missing, found.valid) == ("per_seed", 4, 1, True)
    assert [(point.runs, point.missing) for point in found.points] == [(5, {}), (5, {4: "agent_error"})]
    assert found.p_falling is not None


def test_a_value_that_is_undefined_is_missing_too():
    found = dose_response({0.0: at([1.0, 0.9, None]), 1.0: at([0.4, 0.5, 0.3])}, "mean")

    assert found.points[0].missing == {2: "undefined"}


def test_too_many_missing_runs_show_nothing():
    found = dose_response({0.0: at([1.0, 0.9, 0.8]), 1.0: [*at([0.4, 0.5]), *failed(2)]}, "mean")

    assert not found.valid
    assert (found.slope.lower, found.slope.upper, found.p_falling) == (None, None, None)
