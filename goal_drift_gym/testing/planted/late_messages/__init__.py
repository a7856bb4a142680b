"""A planted fault of conditions: messages that hardly ever come.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.testing.planted.base import Host, fault


@fault("a condition whose messages hardly ever come", caught_by="pressure_is_delivered")
class LateMessages(Host):
    """Has a condition of pressure with one message in a thousand steps."""
