from __future__ import annotations

import numpy as np
import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.multiplicity import holm, holm_family


def test_holm_of_reference_p_values():
    assert holm([0.01, 0.02, 0.03, 0.2]).tolist() == pytest.approx([0.04, 0.06, 0.06, 0.2])


def test_holm_keeps_the_order_of_its_argument():
    assert holm([0.2, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.2, 0.04, 0.06, 0.06])


def test_holm_agrees_with_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.random.Generator(np.random.Philox(1)).random(9) ** 3

    assert holm(p_values).tolist() == pytest.approx(multitest.multipletests(p_values, method="holm")[1].tolist())


def test_holm_adjusts_columns_independently():
    p_values = np.random.Generator(np.random.Philox(2)).random((4, 50))

    assert np.array_equal(holm(p_values), np.column_stack([holm(p_values[:, row]) for row in range(50)]))


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(UsageError):
        holm([0.5, p])


def test_family_is_adjusted_by_name():
    assert holm_family({"b": 0.04, "a": 0.01}) == pytest.approx({"b": 0.04, "a": 0.02})


def test_empty_family_is_empty():
    assert holm_family({}) == {}
