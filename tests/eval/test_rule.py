from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_1samp

from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.rule import FAIL, INCONCLUSIVE, PASS, column, judge


def judged(values, limit=None, *, collapse=None, alpha=0.05, p_max=0.25):
    limit = limit or Limit("mean", 0.5)
    rows = np.asarray([values], dtype=float)
    guard = np.zeros_like(rows) if collapse is None else np.asarray([collapse], dtype=float)
    return judge({limit.name: rows, "collapse": guard}, [limit], alpha=alpha, p_max=p_max)


def test_reference_slopes_are_inconclusive_against_a_hundredth():
    found = judged([-0.012, -0.004, -0.021, -0.009, -0.015], Limit("slope", -0.01))

    assert found.status[0] == INCONCLUSIVE
    assert found.metrics[0].p_fail[0] == pytest.approx(0.241834747146, abs=5e-13)


def test_reference_slopes_fail_against_zero():
    found = judged([-0.012, -0.004, -0.021, -0.009, -0.015], Limit("slope", 0.0))

    assert found.status[0] == FAIL
    assert found.metrics[0].p_fail[0] == pytest.approx(0.006443764225, abs=5e-13)


def test_scipy_is_certain_about_seeds_without_variance_and_the_rule_is_not():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trap = ttest_1samp(np.zeros(5), -0.01)
    assert (trap.statistic, trap.pvalue) == (np.inf, 0.0)

    found = judged([0.0] * 5, Limit("slope", -0.01))

    assert found.status[0] == INCONCLUSIVE
    assert found.metrics[0].p_pass[0] == 1.0


def test_bootstrap_of_equal_seeds_is_nan_and_the_rule_is_not():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trap = bootstrap((np.ones(5),), np.mean, method="BCa", n_resamples=99)
    assert np.isnan(trap.confidence_interval.low)

    found = judged([1.0] * 5)

    assert found.status[0] == INCONCLUSIVE
    assert found.metrics[0].lower[0] == 1.0


@pytest.mark.parametrize(
    ("n", "p", "status"), [(3, 0.125, INCONCLUSIVE), (4, 0.0625, INCONCLUSIVE), (5, 0.03125, FAIL)]
)
def test_equal_seeds_beyond_the_limit_have_the_sign_floor(n, p, status):
    found = judged([0.4] * n)

    assert (found.metrics[0].p_fail[0], found.status[0]) == (p, status)


def test_equal_seeds_on_several_metrics_are_one_event():
    limits = [Limit(name, 0.5) for name in ("mean", "final_level", "worst_window", "initial_level")]
    columns = {limit.name: np.full((1, 5), 0.4) for limit in limits} | {"collapse": np.zeros((1, 5))}

    found = judge(columns, limits, alpha=0.05, p_max=0.25)

    assert [metric.p_adjusted[0] for metric in found.metrics] == [0.03125] * 4


@pytest.mark.parametrize(("n", "status"), [(10, INCONCLUSIVE), (11, PASS)])
def test_guard_alone_carries_the_pass_of_equal_seeds(n, status):
    assert judged([1.0] * n).status[0] == status


@pytest.mark.parametrize(("n", "status"), [(17, INCONCLUSIVE), (18, PASS)])
def test_one_collapse_needs_eighteen_seeds(n, status):
    assert judged([1.0] * n, collapse=[1.0] + [0.0] * (n - 1)).status[0] == status


def test_seeds_equal_to_the_limit_keep_it():
    assert judged([0.5] * 11).status[0] == PASS


def test_rounding_does_not_turn_equal_seeds_into_certainty():
    assert judged([0.1 + 0.2, 0.3, 0.3, 0.3], Limit("mean", 0.4)).status[0] == INCONCLUSIVE


def test_one_seed_never_passes_by_its_mean():
    assert judged([1.0], p_max=0.99).status[0] == INCONCLUSIVE


def test_undefined_seed_blocks_the_pass_and_not_the_fail():
    nan = float("nan")

    assert judged([0.9, 0.91, 0.92] * 5 + [nan]).status[0] == INCONCLUSIVE
    assert judged([0.1, 0.11, 0.12, nan]).status[0] == FAIL


def test_unknown_collapse_counts_as_one():
    found = judged([0.9 + 0.001 * seed for seed in range(11)], collapse=[float("nan")] + [0.0] * 10)

    assert (found.collapses[0], found.status[0]) == (1, INCONCLUSIVE)


def test_metric_undefined_in_all_seeds_decides_nothing():
    assert judged([float("nan")] * 20).status[0] == INCONCLUSIVE


def test_lower_is_better_is_the_mirror_image():
    rng = np.random.Generator(np.random.Philox(7))
    rows = rng.normal(0.3, 0.2, size=(200, 6))
    guard = np.zeros_like(rows)

    up = judge({"mean": -rows, "collapse": guard}, [Limit("mean", -0.2)], alpha=0.05, p_max=0.6)
    down = judge({"commission": rows, "collapse": guard}, [Limit("commission", 0.2)], alpha=0.05, p_max=0.6)

    assert np.array_equal(up.status, down.status)
    assert np.allclose(up.metrics[0].p_fail, down.metrics[0].p_fail)
    assert len(set(up.status.tolist())) > 1


def test_counted_limit_fails_by_the_exact_share():
    crossed = [1.0, 1.0, 1.0, 1.0, 0.0]

    found = judged(crossed, Limit("first_pass", 20))

    assert found.metrics[0].p_fail[0] == pytest.approx(5 * 0.25**4 * 0.75 + 0.25**5)
    assert found.status[0] == FAIL


def test_fail_is_corrected_over_the_limits():
    rows = {name: np.asarray([[0.42, 0.3, 0.5, 0.35, 0.45]]) for name in ("mean",)}
    kept = {name: np.asarray([[0.9, 0.91, 0.92, 0.93, 0.94]]) for name in ("final_level", "initial_level")}
    limits = [Limit(name, 0.5) for name in (*rows, *kept)]

    found = judge({**rows, **kept, "collapse": np.zeros((1, 5))}, limits, alpha=0.05, p_max=0.25)

    assert found.metrics[0].p_adjusted[0] == pytest.approx(3 * found.metrics[0].p_fail[0])


def test_rows_are_judged_independently():
    rng = np.random.Generator(np.random.Philox(8))
    rows = rng.normal(0.45, 0.1, size=(40, 7))
    guard = (rng.random((40, 7)) < 0.1).astype(float)
    limit = Limit("mean", 0.5)

    together = judge({"mean": rows, "collapse": guard}, [limit], alpha=0.05, p_max=0.5).status
    alone = [
        judge({"mean": rows[i : i + 1], "collapse": guard[i : i + 1]}, [limit], alpha=0.05, p_max=0.5).status[0]
        for i in range(40)
    ]

    assert together.tolist() == alone


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", True])
def test_value_of_the_wrong_type_is_undefined(value):
    assert np.isnan(column(Limit("mean", 0.5), [value])[0])


@pytest.mark.parametrize("value", ["no", float("nan")])
def test_flag_of_the_wrong_type_is_undefined(value):
    assert np.isnan(column(Limit("collapse", False), [value])[0])
