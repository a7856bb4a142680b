"""What the markers of a test ask of its verdict.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.options import MODES

if TYPE_CHECKING:
    from pytest_goal_drift.services import Services, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the verdict of one test."""

    limits: Mapping[str, float | bool]
    gate: bool
    mode: str | None
    """None: as the session has it."""
    without: tuple[str, ...] = ()
    """What the twin of each seed is run without; empty where there are no twins."""


def judging_of(
    item: pytest.Item, threshold: pytest.Mark | None, twin: pytest.Mark | None, services: Services, spec: Spec
) -> Asked:
    """Read the markers that say how a test is judged.

    Raises
    ------
    pytest.UsageError
        For arguments of the wrong kind, naming the test.
    """
    asked = _of_threshold(item, threshold)
    if twin is not None:
        if threshold is not None:
            raise refuse(item, twin, "a test is judged by its level (drift_threshold) or by the difference to its twin")
        return _of_twin(item, twin, services, spec)
    if services.settings.twin and asked.gate and services.has_section(spec, "pressure"):
        return _twins({}, asked.mode, ("pressure",))
    return asked


def _of_threshold(item: pytest.Item, marker: pytest.Mark | None) -> Asked:
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS

    if marker is None:
        return Asked(limits=dict(DEFAULT_LIMITS), gate=True, mode=None)
    if marker.args:
        raise refuse(item, marker, f"limits are given by name, not {marker.args[0]!r}: slope=-0.01")
    limits = dict(marker.kwargs)
    gate = limits.pop("gate", True)
    if not isinstance(gate, bool):
        raise refuse(item, marker, f"gate={gate!r} ({type(gate).__name__}); it is True or False")
    mode = _mode(item, marker, limits)
    return Asked(limits=limits or (dict(DEFAULT_LIMITS) if gate else {}), gate=gate, mode=mode)


def _of_twin(item: pytest.Item, marker: pytest.Mark, services: Services, spec: Spec) -> Asked:
    if marker.args:
        raise refuse(item, marker, f"limits are given by name, not {marker.args[0]!r}: final_level=-0.4")
    limits = dict(marker.kwargs)
    named = limits.pop("without", "pressure")
    without = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, (list, tuple)) else ()
    if not without or not all(isinstance(name, str) for name in without):
        raise refuse(item, marker, f"without={named!r} ({type(named).__name__}); a part of the condition, or a list")
    mode = _mode(item, marker, limits)
    for name in without:
        if not services.has_section(spec, name):
            raise refuse(item, marker, f"the condition has no {name!r} to leave out, so both twins would be the same")
    return _twins(limits, mode, without)


def _twins(limits: Mapping[str, float | bool], mode: str | None, without: tuple[str, ...]) -> Asked:
    from goal_drift_gym.eval.twins import TWIN_LIMITS

    return Asked(limits=dict(limits or TWIN_LIMITS), gate=True, mode=mode, without=without)


def check_twin_limits(item: pytest.Item, marker: pytest.Mark | None, limits: Mapping[str, float | bool]) -> None:
    """Refuse limits on a difference that mean nothing.

    Raises
    ------
    pytest.UsageError
        For a metric that does not exist or has no difference, and for a limit that is no number.
    """
    from goal_drift_gym.core.errors import UsageError
    from goal_drift_gym.eval.limits import Limit

    for name, value in limits.items():
        try:
            limit = Limit(name, value)
        except UsageError as error:
            raise refuse(item, marker, str(error)) from None
        if limit.seed_by_seed:
            raise refuse(item, marker, f"{name} is judged seed by seed and has no difference of means; limit a level")


def _mode(item: pytest.Item, marker: pytest.Mark, limits: dict[str, Any]) -> str | None:
    mode: str | None = limits.pop("mode", None)
    if mode is not None and mode not in MODES:
        raise refuse(item, marker, f"mode={mode!r}; it is {' or '.join(map(repr, MODES))}")
    return mode


def refuse(item: pytest.Item, marker: pytest.Mark | None, why: str) -> pytest.UsageError:
    """Return the error that names the test, the marker as it is written, and what is wrong with it."""
    if marker is None:
        return pytest.UsageError(f"{item.nodeid}: {why}")
    written = [repr(argument) for argument in marker.args] + [
        f"{key}={value!r}" for key, value in marker.kwargs.items()
    ]
    return pytest.UsageError(f"{item.nodeid}: @{marker.name}({', '.join(written)}): {why}")
