"""A planted fault of conditions: one is missing.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.testing.planted.base import Host, fault


@fault("a condition is missing", caught_by="has_four_conditions")
class NoSwitch(Host):
    """Has no goal switching."""
