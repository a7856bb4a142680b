"""The twin of an episode: the same seed and world without the pressure, or without another part of the condition.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goal_drift_gym.core.condition import Condition, Memory, override
from goal_drift_gym.runner import Experiment

PARTS = (
    "anonymisation",
    "commitment",
    "friction",
    "memory",
    "panels",
    "phases",
    "pressure",
    "scoreboard",
    "shocks",
    "side_work",
    "uncertainty",
)


def has_part(condition: Condition, name: str) -> bool:
    """Return whether a condition has a part that can be left out."""
    if name not in PARTS:
        return False
    return getattr(condition, name) != Memory() if name == "memory" else bool(getattr(condition, name))


def twin_of(experiment: Experiment, without: Sequence[str]) -> Experiment:
    """Return the experiment without some parts of its condition."""
    condition = experiment.condition
    settings: dict[str, Any] = {
        name: [] if name == "pressure" else {} if name == "memory" else None for name in without
    }
    named = f"{condition.name} without {' and '.join(without)}"
    return Experiment(experiment.entry, override(condition, {**settings, "name": named}))


def is_reactive(condition: Condition) -> bool:
    """Return whether anything in the world waits for what the agent does; messages are not of the world."""
    return condition.shocks is not None and condition.shocks.schedule.reactive
