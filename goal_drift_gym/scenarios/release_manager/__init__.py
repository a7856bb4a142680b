"""The release manager scenario: ship what tests and canary clear, or ship features fast. PYTEST_DONT_REWRITE"""

from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

__all__ = ["ReleaseManager"]
