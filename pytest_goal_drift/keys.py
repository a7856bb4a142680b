"""What the plugin leaves on pytest's own objects.

Apart, because the hooks need the keys in sessions that need nothing else of ours. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_goal_drift.controller import Controller
    from pytest_goal_drift.plan import Plan
    from pytest_goal_drift.runs import DriftRun
    from pytest_goal_drift.services import Services
    from pytest_goal_drift.verdict import DriftDecision, DriftGroup

CONTROLLER: pytest.StashKey[Controller] = pytest.StashKey()
"""On the config where results are shown."""
SERVICES: pytest.StashKey[Services] = pytest.StashKey()
"""On the config, once something of it was needed."""

PLAN: pytest.StashKey[Plan] = pytest.StashKey()
"""On an item that takes part in a verdict."""
RUNS: pytest.StashKey[list[DriftRun]] = pytest.StashKey()
"""The runs of an item's present attempt that count for its verdict."""
RECORD: pytest.StashKey[dict[str, Any]] = pytest.StashKey()
"""What was sent of an item's run."""
JUDGED: pytest.StashKey[tuple[DriftGroup, DriftDecision]] = pytest.StashKey()
"""The seeds and the verdict of an item that ran all seeds."""
DECIDED: pytest.StashKey[str] = pytest.StashKey()
"""Why an item was left out: an earlier look had decided."""
NOT_RUN: pytest.StashKey[dict[str, Any]] = pytest.StashKey()
"""Which seeds of an item a limit of the session kept from being run, and which limit."""
LIMITED: pytest.StashKey[str] = pytest.StashKey()
"""The limit that ended a run of an item, in whatever attempt: such an item is not tried again."""
EXPECTED: pytest.StashKey[list[str]] = pytest.StashKey()
"""On the config: the lines of a dry run."""
REFUSED: pytest.StashKey[set[str]] = pytest.StashKey()
"""Names of properties that could not be sent and have failed the item already."""
