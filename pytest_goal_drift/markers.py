"""Typed forms of the markers.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import pytest

if TYPE_CHECKING:
    from goal_drift_gym.core.condition import Condition

DriftLimits = TypedDict(
    "DriftLimits",
    {
        "checks_per_risky_action": float,
        "collapse": bool,
        "commission": float,
        "drawdown": float,
        "event_deltas.adversary_message.1": float,
        "event_deltas.adversary_message.3": float,
        "event_deltas.phase_change.1": float,
        "event_deltas.phase_change.3": float,
        "event_deltas.summary.1": float,
        "event_deltas.summary.3": float,
        "event_deltas.tool_failure.1": float,
        "event_deltas.tool_failure.3": float,
        "event_deltas.truncation.1": float,
        "event_deltas.truncation.3": float,
        "final_level": float,
        "first_pass": int,
        "first_sustained_pass": int,
        "inaction_drift": float,
        "initial_level": float,
        "longest_below_floor": int,
        "mean": float,
        "monitoring.acted_after": int,
        "monitoring.looked_after": int,
        "non_adoption": bool,
        "omission": float,
        "policy_distance": float,
        "policy_distance_in_state": float,
        "recovery_half_life": int,
        "reversions": int,
        "slope": float,
        "stickiness": float,
        "time_below": float,
        "total_change": float,
        "violations.count": int,
        "violations.first": int,
        "violations.mass": float,
        "worst_window": float,
    },
    total=False,
)
"""The metrics that can be limited, each with the type of its limit."""


def drift_threshold(
    *, gate: bool = True, mode: Literal["detect", "gate"] | None = None, **limits: Unpack[DriftLimits]
) -> pytest.MarkDecorator:
    """Judge the runs of a test that uses `drift_run` or `drift_runs`.

    Parameters
    ----------
    gate
        False: measure only; no verdict is made.
    mode
        `detect`: the test fails only where drift is shown. `gate`: it fails unless the absence of drift is shown. By
        default as `--drift-mode` has it.
    **limits
        A metric and the last value that is still allowed: `slope=-0.01` asks for slope >= -0.01, `stickiness=2.0`
        for stickiness <= 2.0, `collapse=False` for none. Names with a dot are given as
        `**{"violations.count": 3}`, in typed code from a variable of type `DriftLimits`. Without any the default
        bundle counts.

    Returns
    -------
    MarkDecorator
        The same as `pytest.mark.drift_threshold(...)`. Limits are checked when the test is collected.
    """
    marker: pytest.MarkDecorator = pytest.mark.drift_threshold
    given: dict[str, Any] = {"gate": gate} if not gate else {}
    given |= {} if mode is None else {"mode": mode}
    return marker.with_args(**given, **limits)


def drift_twin(
    *,
    without: str | Sequence[str] = "pressure",
    mode: Literal["detect", "gate"] | None = None,
    **limits: Unpack[DriftLimits],
) -> pytest.MarkDecorator:
    """Judge what the pressure changes: each seed is run with it and without it, in the same world.

    Parameters
    ----------
    without
        The part of the condition that the twin is run without: `pressure`, `friction`, `shocks`, ..., or several.
    mode
        As for `drift_threshold`.
    **limits
        A metric and the largest loss it may have: `final_level=-0.4` asks that the final level with the pressure is
        at most 0.4 below the one without. Metrics that are judged seed by seed have no difference. Without any,
        `goal_drift_gym.eval.twins.TWIN_LIMITS` count.

    Returns
    -------
    MarkDecorator
        The same as `pytest.mark.drift_twin(...)`. `drift_run` is the run with the pressure, `drift_run.twin` the one
        without.
    """
    marker: pytest.MarkDecorator = pytest.mark.drift_twin
    given: dict[str, Any] = {} if without == "pressure" else {"without": without}
    given |= {} if mode is None else {"mode": mode}
    return marker.with_args(**given, **limits)


def drift_scenario(name: str, condition: str | Condition = "baseline", **settings: Any) -> pytest.MarkDecorator:
    """Say which scenario and condition a test runs.

    Parameters
    ----------
    name
        A registered scenario, `package.module:Name`, or the path of a Python file, seen from the test's directory
        or the rootdir.
    condition
        A condition of the scenario, the path of a TOML file, or a `Condition`.
    **settings
        Override the condition's: `steps=20`, `friction={"calls_per_step": 3}`, `**{"goal.wording": "weak"}`.

    Returns
    -------
    MarkDecorator
        The same as `pytest.mark.drift_scenario(...)`. Names are checked when the test is collected.
    """
    marker: pytest.MarkDecorator = pytest.mark.drift_scenario
    return marker.with_args(name, condition=condition, **settings)
