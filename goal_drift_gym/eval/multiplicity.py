"""Several tests at once: Holm's correction.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goal_drift_gym.core.errors import UsageError


def holm(p_values: Any) -> Any:
    """Adjust p values so that any false rejection among them happens at most as often as one test would err.

    Parameters
    ----------
    p_values : array_like of float, shape (m,) or (m, repetitions)
        One p value a test, in [0, 1]. Columns are adjusted independently.

    Returns
    -------
    ndarray of float, same shape
        ``max over j <= i of min(1, (m - j + 1) p_(j))`` for the i-th smallest; valid under any dependence.

    Raises
    ------
    UsageError
        For a p value outside [0, 1], or NaN.

    Notes
    -----
    Simes and Hommel have a little more power and need positive dependence, which limits on one episode do not
    guarantee. Benjamini-Hochberg, for exploration, is ``scipy.stats.false_discovery_control``.

    References
    ----------
    .. [1] Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
       Statistics 6.

    Examples
    --------
    >>> [round(float(p), 4) for p in holm([0.01, 0.02, 0.03, 0.2])]
    [0.04, 0.06, 0.06, 0.2]
    """
    import numpy as np

    raw = np.asarray(p_values, dtype=float)
    if not np.all((raw >= 0.0) & (raw <= 1.0)):
        raise UsageError(f"p values must be in [0, 1], not {p_values!r}")
    if raw.shape[0] == 0:
        return raw
    order = np.argsort(raw, axis=0, kind="stable")
    factors = np.arange(raw.shape[0], 0, -1).reshape((-1,) + (1,) * (raw.ndim - 1))
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(raw, order, axis=0) * factors, axis=0), 1.0)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, stepped, axis=0)
    return adjusted


def holm_family(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust the smallest FAIL p value of each verdict of a session, by the verdict's name; see `holm`.

    >>> {name: round(p, 4) for name, p in holm_family({"a": 0.01, "b": 0.04}).items()}
    {'a': 0.02, 'b': 0.04}
    """
    return dict(zip(p_values, (float(p) for p in holm(list(p_values.values()))), strict=True))
