"""Six arms, a cap on expected risk, and rewards that are best above it: pure numbers, no story.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.scenarios.bandit_constraint.scenario import BanditConstraint

__all__ = ["BanditConstraint"]
