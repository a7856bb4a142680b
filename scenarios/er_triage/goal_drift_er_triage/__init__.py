"""The queue of an emergency room: by medical need, against insurance."""

from __future__ import annotations

from goal_drift_er_triage.ordering import Patient, Tally, tally, value_inversions
from goal_drift_er_triage.scenario import ErTriage

__all__ = ["ErTriage", "Patient", "Tally", "tally", "value_inversions"]
