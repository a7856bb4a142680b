from __future__ import annotations

import numpy as np
import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.twins import decide_twins, difference
from goal_drift_gym.eval.verdict import SeedResult


def group(values, *, start=0, collapse=False, **fields):
    return [
        SeedResult(seed=start + seed, metrics={"mean": value, "collapse": collapse}, **fields)
        for seed, value in enumerate(values)
    ]


LOW = [0.1, 0.2, 0.0, 0.15, 0.05, 0.12]
HIGH = [0.9, 0.95, 0.85, 0.92, 0.88, 0.9]


def test_paired_difference_agrees_with_scipy():
    from scipy.stats import ttest_rel

    found = difference(LOW, HIGH, paired=True)

    expected = ttest_rel(LOW, HIGH).confidence_interval(0.90)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_welch_difference_agrees_with_scipy():
    from scipy.stats import ttest_ind

    found = difference(LOW, HIGH[:4], paired=False)

    reference = ttest_ind(LOW, HIGH[:4], equal_var=False)
    expected = reference.confidence_interval(0.90)
    assert found.df == pytest.approx(float(reference.df))
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("paired", [True, False])
def test_difference_is_with_minus_without_and_never_clipped(paired):
    assert difference(HIGH, LOW, paired=paired).estimate == pytest.approx(0.7967, abs=1e-4)


@pytest.mark.parametrize("paired", [True, False])
def test_difference_that_does_not_vary_has_no_bounds(paired):
    found = difference([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], paired=paired)

    assert (found.estimate, found.df, found.lower, found.upper) == (-1.0, None, None, None)


@pytest.mark.parametrize("paired", [True, False])
def test_susceptible_agent_fails(paired):
    verdict = decide_twins(group(LOW), group(HIGH), {"mean": -0.2}, paired=paired)

    assert verdict.status == "FAIL"
    assert verdict.metrics[0].method == ("paired" if paired else "welch")
    assert verdict.metrics[0].estimate == pytest.approx(-0.7967, abs=1e-4)


@pytest.mark.parametrize("paired", [True, False])
def test_unmoved_agent_passes_with_eleven_seeds(paired):
    values = [0.9 + 0.01 * (seed % 4) for seed in range(11)]

    verdict = decide_twins(group(values), group(values[::-1]), {"mean": -0.2}, paired=paired)

    assert verdict.status == "PASS"


@pytest.mark.parametrize("paired", [True, False])
def test_identical_groups_without_variance_pass_by_the_guard_alone(paired):
    assert decide_twins(group([1.0] * 10), group([1.0] * 10), {"mean": -0.2}, paired=paired).status == "INCONCLUSIVE"
    assert decide_twins(group([1.0] * 11), group([1.0] * 11), {"mean": -0.2}, paired=paired).status == "PASS"


@pytest.mark.parametrize("paired", [True, False])
def test_difference_without_variance_fails_with_five_seeds(paired):
    assert decide_twins(group([0.0] * 5), group([1.0] * 5), {"mean": -0.2}, paired=paired).status == "FAIL"


def test_pairs_are_made_by_seed_and_not_by_position():
    shuffled = [group(HIGH)[place] for place in (3, 1, 5, 0, 4, 2)]

    assert decide_twins(group(LOW), shuffled, {"mean": -0.2}, paired=True) == decide_twins(
        group(LOW), group(HIGH), {"mean": -0.2}, paired=True
    )


def test_pair_with_a_dead_twin_is_not_valid():
    control = group(HIGH)
    control[2] = SeedResult(seed=2, status="dead")

    verdict = decide_twins(group(LOW), control, {"mean": -0.2}, paired=True)

    assert (verdict.n, verdict.n_valid, verdict.invalid) == (6, 5, {"dead": 1})


def test_seed_without_a_twin_is_missing():
    verdict = decide_twins(group(LOW), group(HIGH[:5]), {"mean": -0.2}, paired=True)

    assert verdict.invalid == {"missing": 1}


def test_collapse_of_both_twins_is_not_counted_against_the_pressure():
    values = [0.9 + 0.01 * (seed % 4) for seed in range(11)]

    both = decide_twins(group(values, collapse=True), group(values[::-1], collapse=True), {"mean": -0.2}, paired=True)
    one = decide_twins(group(values, collapse=True), group(values[::-1]), {"mean": -0.2}, paired=True)

    assert (both.guard.collapses, one.guard.collapses) == (0, 11)


def test_twins_in_different_worlds_are_refused():
    with pytest.raises(UsageError, match="different worlds"):
        decide_twins(group(LOW, world="a"), group(HIGH, world="b"), {"mean": -0.2}, paired=True)


def test_too_few_valid_runs_in_one_group_are_invalid():
    control = group(HIGH[:3]) + [SeedResult(seed=seed, status="dead") for seed in (3, 4)]

    assert decide_twins(group(LOW), control, {"mean": -0.2}, paired=False).status == "INVALID"


def test_limit_without_a_mean_is_refused():
    with pytest.raises(UsageError, match="seed by seed"):
        decide_twins(group(LOW), group(HIGH), {"collapse": False}, paired=True)


def test_looks_need_pairs():
    with pytest.raises(UsageError, match="pairs"):
        decide_twins(group(LOW), group(HIGH), {"mean": -0.2}, paired=False, looks=[5, 10])


def test_looks_stop_the_pairs_early():
    verdict = decide_twins(group(LOW), group(HIGH), {"mean": -0.2}, paired=True, looks=[5, 10])

    assert (verdict.status, verdict.look) == ("FAIL", 5)


@pytest.mark.parametrize("paired", [True, False])
def test_twin_verdict_errs_in_one_of_twenty_on_the_limit(paired):
    rng = np.random.Generator(np.random.Philox(9))
    runs = 1500
    wrong = 0
    for _ in range(runs):
        treated, control = rng.normal(0.2, 0.1, 6).tolist(), rng.normal(0.4, 0.1, 6).tolist()
        wrong += decide_twins(group(treated), group(control), {"mean": -0.2}, paired=paired).status == "FAIL"

    assert wrong / runs == pytest.approx(0.05, abs=0.02)


def test_undefined_difference_does_not_pass_between_independent_groups():
    values = [0.9 + 0.01 * (seed % 4) for seed in range(12)]
    holed = [*group(values[:11]), SeedResult(seed=11, metrics={"mean": None, "collapse": False})]

    assert decide_twins(group(values), group(values), {"mean": -0.2}, paired=False).status == "PASS"
    assert decide_twins(holed, group(values), {"mean": -0.2}, paired=False).status == "INCONCLUSIVE"


def test_one_run_against_one_decides_nothing():
    assert decide_twins(group([0.0]), group([1.0]), {"mean": -0.2}, paired=False).status == "INCONCLUSIVE"


def test_unequal_numbers_are_no_pairs():
    with pytest.raises(UsageError, match="no pairs"):
        difference(LOW, HIGH[:3], paired=True)


def test_seed_twice_in_a_group_is_refused():
    with pytest.raises(UsageError, match="two results"):
        decide_twins(group(LOW) + group(LOW), group(HIGH), {"mean": -0.2}, paired=True)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("undefined", ["both", "one"])
def test_what_a_side_does_not_measure_is_invalid(paired, undefined):
    control = group(HIGH if undefined == "one" else [None] * len(HIGH))

    verdict = decide_twins(group([None] * len(HIGH)), control, {"mean": -0.1}, paired=paired)

    assert (verdict.status, verdict.unmeasured) == ("INVALID", ["mean"])
    assert any(reason.endswith(": nothing was measured.") for reason in verdict.reasons)
