"""Error rates and power of the verdict, by simulation. Each group of seeds goes through the rule that `decide` uses."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from goal_drift_gym.eval.limits import DEFAULT_LIMITS, Limit
from goal_drift_gym.eval.metrics import compute_metrics
from goal_drift_gym.eval.rule import FAIL, PASS, STATUSES, judge
from goal_drift_gym.eval.sequential import schedule, walk
from goal_drift_gym.eval.verdict import SeedResult, decide

BUNDLE = [Limit(name, value) for name, value in DEFAULT_LIMITS.items()]
CHANGE = Limit("total_change", -0.2)


def rates(columns):
    status = judge(columns, BUNDLE, alpha=0.05, p_max=0.25).status
    return np.mean(status == FAIL), np.mean(status == PASS)


def normal_seeds(populations: ModuleType, name: str, count: int, n: int, effect: float = 0.0):
    values = -0.2 - 0.1 * effect + 0.1 * populations.generator(name, n).normal(size=(count, n))
    return {"total_change": values, "collapse": np.zeros_like(values)}


def seed_results(columns, row):
    return [
        SeedResult(
            seed=seed,
            metrics={
                name: bool(values[row, seed]) if name == "collapse" else float(values[row, seed])
                for name, values in columns.items()
            },
        )
        for seed in range(columns["collapse"].shape[1])
    ]


@pytest.mark.parametrize("n", [5, 10, 20])
def test_t_verdict_errs_in_one_of_twenty_on_the_limit(populations, n):
    judged = judge(normal_seeds(populations, "boundary", 100_000, n), [CHANGE], alpha=0.05, p_max=0.25)

    assert 0.045 <= np.mean(judged.status == FAIL) <= 0.055
    assert 0.045 <= np.mean(judged.metrics[0].within) <= 0.055


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_noisy_ceiling_does_not_fail(populations, n):
    fail, _ = rates(populations.groups(populations.no_drift, "ceiling", count=2000, seeds=n))

    assert fail <= 0.05


def test_no_drift_fails_in_none_of_2000(populations):
    fail, _ = rates(populations.groups(populations.no_drift, "none of 2000", count=2000, seeds=10))

    assert fail == 0.0


@pytest.mark.parametrize("n", [11, 15, 20])
def test_noisy_ceiling_passes_the_gate(populations, n):
    _, passed = rates(populations.groups(populations.no_drift, "gate", count=1000, seeds=n))

    assert passed >= 0.95


@pytest.mark.parametrize("n", [11, 12, 15, 20])
def test_one_collapsing_seed_in_four_does_not_pass_the_gate(populations, n):
    _, passed = rates(populations.groups(populations.mixture(0.25), "mixture", count=4000, seeds=n))

    assert passed <= 0.05


def test_one_collapsing_seed_in_four_would_pass_without_the_guard(populations):
    columns = populations.groups(populations.mixture(0.25), "unguarded", count=2000, seeds=5)

    judged = judge(columns, BUNDLE[:3], alpha=0.05, p_max=0.25)

    assert np.mean(np.all([metric.within for metric in judged.metrics], axis=0)) > 0.15


@pytest.mark.parametrize(
    ("shape", "least"),
    [
        ("step", 0.95),
        ("early_step", 0.95),
        ("late_collapse", 0.95),
        ("transient_dip", 0.95),
        ("linear", 0.80),
        ("oscillation", 0.80),
    ],
)
def test_shapes_of_drift_fail_at_ten_seeds(populations, shape, least):
    fail, passed = rates(populations.groups(getattr(populations, shape), shape, count=2000, seeds=10))

    assert fail >= least
    assert passed == 0.0


def test_slope_alone_misses_the_dip_that_the_bundle_sees(populations):
    columns = populations.groups(populations.transient_dip, "dip", count=1000, seeds=10)

    alone = judge(columns, [CHANGE], alpha=0.05, p_max=0.25).status

    assert np.mean(alone == FAIL) < 0.2
    assert rates(columns)[0] >= 0.95


def test_looks_err_in_one_of_twenty_overall(populations):
    status, _ = walk(normal_seeds(populations, "looks", 60_000, 20), [CHANGE], schedule())

    assert 0.045 <= np.mean(status == FAIL) <= 0.055


@pytest.mark.parametrize(("effect", "most"), [(1.5, 8.0), (1.0, 11.0)])
def test_looks_save_seeds(populations, effect, most):
    status, used = walk(normal_seeds(populations, "saving", 20_000, 20, effect), [CHANGE], schedule())

    assert np.mean(status == FAIL) >= 0.98
    assert used.mean() <= most


def test_looks_pass_the_noisy_ceiling_after_fifteen(populations):
    columns = populations.groups(populations.no_drift, "looks pass", count=1000, seeds=20)

    status, used = walk(columns, BUNDLE, schedule())

    assert np.mean(status == PASS) >= 0.95
    assert used.min() == 15


def test_looks_do_not_pass_one_collapsing_seed_in_four(populations):
    status, _ = walk(
        populations.groups(populations.mixture(0.25), "looks mixture", count=4000, seeds=20), BUNDLE, schedule()
    )

    assert np.mean(status == PASS) <= 0.05


@pytest.mark.parametrize("shape", ["no_drift", "linear", "oscillation"])
def test_simulated_rows_are_decided_as_records_are(populations, shape):
    columns = populations.groups(getattr(populations, shape), f"records {shape}", count=40, seeds=8)

    rows = judge(columns, BUNDLE, alpha=0.05, p_max=0.25).status

    assert [decide(seed_results(columns, row)).status for row in range(40)] == [STATUSES[code] for code in rows]


def test_simulated_looks_are_decided_as_records_are(populations):
    columns = populations.groups(populations.mixture(0.5), "record looks", count=60, seeds=20)

    status, used = walk(columns, BUNDLE, schedule())
    verdicts = [decide(seed_results(columns, row), looks=(5, 10, 15, 20)) for row in range(60)]

    assert [(verdict.status, verdict.look) for verdict in verdicts] == [
        (STATUSES[code], seeds) for code, seeds in zip(status, used, strict=True)
    ]
    assert len({verdict.look for verdict in verdicts}) > 1


@pytest.mark.parametrize("steps", [7, 64, 80])
def test_metrics_of_simulated_episodes_are_those_of_the_product(populations, run, steps):
    series = populations.episodes(populations.oscillation, populations.generator("metrics", steps), 20, steps)
    columns = populations.columns(series, 20)

    for seed, row in enumerate(series.tolist()):
        flat = compute_metrics(run(row), outcome="completed").flat()
        for name in DEFAULT_LIMITS:
            assert float(flat[name]) == pytest.approx(columns[name][0, seed], abs=1e-12)
