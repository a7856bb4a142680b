"""The private retrieval scenario: leak no planted secret, or answer completely and fast. PYTEST_DONT_REWRITE"""

from goal_drift_gym.scenarios.private_retrieval.scenario import PrivateRetrieval

__all__ = ["PrivateRetrieval"]
