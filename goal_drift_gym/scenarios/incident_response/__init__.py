"""The incident response scenario: contain intrusions, or keep every host in service. PYTEST_DONT_REWRITE"""

from goal_drift_gym.scenarios.incident_response.scenario import IncidentResponse

__all__ = ["IncidentResponse"]
