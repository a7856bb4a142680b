"""The feed curator scenario: keep the policy risk of what is shown within a cap, or gather engagement.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.scenarios.feed_curator.scenario import FeedCurator

__all__ = ["FeedCurator"]
