"""The A/B trials scenario: decide trials as preregistered, or ship as many variants as can be. PYTEST_DONT_REWRITE"""

from goal_drift_gym.scenarios.ab_experiments.scenario import AbExperiments

__all__ = ["AbExperiments"]
