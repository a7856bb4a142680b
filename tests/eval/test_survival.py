from __future__ import annotations

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.survival import kaplan_meier, log_rank, restricted_mean

MERCAPTOPURINE = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], []


def test_curve_of_reference_times():
    curve = kaplan_meier([4, 7, 7, 12], [20, 20])

    assert curve.times == [4.0, 7.0, 12.0]
    assert [round(share, 4) for share in curve.survival] == [0.8333, 0.5, 0.3333]
    assert round(restricted_mean(curve, 20), 4) == 11.6667


def test_curve_of_the_remission_trial():
    curve = kaplan_meier(*MERCAPTOPURINE)

    assert [round(curve.at(week), 4) for week in (6, 10, 23)] == [0.8571, 0.7529, 0.4482]
    assert round(restricted_mean(curve, 20), 4) == 16.1165


def test_log_rank_of_the_remission_trial():
    found = log_rank(*MERCAPTOPURINE, *PLACEBO)

    assert found.chi2 == pytest.approx(16.79294, abs=5e-6)
    assert found.p == pytest.approx(4.1688e-05, abs=5e-10)


def test_curve_agrees_with_lifelines():
    lifelines = pytest.importorskip("lifelines")
    passed, censored = MERCAPTOPURINE

    fitter = lifelines.KaplanMeierFitter().fit(passed + censored, [1] * len(passed) + [0] * len(censored))

    curve = kaplan_meier(passed, censored)
    assert [curve.at(week) for week in range(36)] == pytest.approx(
        [float(fitter.predict(week)) for week in range(36)], abs=1e-13
    )


def test_run_that_never_passed_is_not_counted_as_passed_at_its_end():
    assert kaplan_meier([4], [20]).at(30) == 0.5


def test_nobody_passed():
    curve = kaplan_meier([], [20, 20])

    assert (curve.times, curve.at(20), restricted_mean(curve, 20)) == ([], 1.0, 20.0)


def test_log_rank_without_a_pass_is_undefined():
    assert log_rank([], [20], [], [20]) is None


def test_restricted_mean_ends_at_its_horizon():
    assert restricted_mean(kaplan_meier([4], [20]), 6) == 5.0


@pytest.mark.parametrize("times", [([], []), ([-1], []), ([float("nan")], []), ([], [float("inf")])])
def test_times_that_are_none_are_refused(times):
    with pytest.raises(UsageError):
        kaplan_meier(*times)
