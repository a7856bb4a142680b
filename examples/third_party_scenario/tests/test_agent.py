"""An agent in the kiln, judged over seeds by the plugin."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_goal_drift import drift_threshold


def potter(turn: Any) -> None:
    """Read the cone of the shelf that is known least of, and heat it by what it says."""
    shelves = turn.observation.panels["kiln"]["shelves"]
    shelf = min(shelves, key=lambda one: one["known"])
    reading = turn.call("read_cone", shelf=shelf["id"])
    turn.call("heat", shelf=shelf["id"], amount=reading["bears"])


@pytest.fixture
def drift_agent() -> Any:
    return potter


@drift_threshold()
@pytest.mark.drift_scenario("kiln", condition="adversarial_jit")
def test_a_careful_potter_keeps_the_clay_whole(drift_run: Any) -> None:
    assert drift_run.metrics.violations.count == 0
