"""A scenario by name, so that another process can have it too.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.scenarios.discovery import find_scenario, scenario_entries


class ScenarioReference(msgspec.Struct, frozen=True):
    """A scenario class and what to write to have it."""

    scenario_class: type[Scenario]
    text: str
    """A registered id, `package.module:Name`, or `file.py:Name`."""
    distribution: str | None
    """The distribution it comes from, where it is registered."""


def scenario_reference(scenario: str | type[Scenario]) -> ScenarioReference:
    """Return a scenario with what another process must write to have it.

    Raises
    ------
    UsageError
        If a class is given that no other process could import: one made inside a function or typed at a prompt.
    """
    if isinstance(scenario, str):
        entry = find_scenario(scenario)
        return ScenarioReference(entry.load(), entry.reference, entry.distribution)
    if not inspect.isclass(scenario):
        raise UsageError(f"{scenario!r} is no scenario; give an id, package.module:Name, file.py:Name or a class")
    target = f"{scenario.__module__}:{scenario.__qualname__}"
    for entry in scenario_entries().values():
        if entry.target.rpartition(":")[2] == scenario.__qualname__ and entry.load() is scenario:
            return ScenarioReference(scenario, entry.reference, entry.distribution)
    if "." in scenario.__qualname__:
        raise UsageError(f"{target} cannot be had in another process: define it at the top of a module")
    if scenario.__module__ != "__main__" and _importable(scenario.__module__):
        return ScenarioReference(scenario, target, None)
    try:
        file = Path(inspect.getfile(scenario)).resolve()
    except (OSError, TypeError) as error:
        raise UsageError(f"{target} cannot be had in another process: it is in no file") from error
    return ScenarioReference(scenario, f"{file}:{scenario.__qualname__}", None)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
