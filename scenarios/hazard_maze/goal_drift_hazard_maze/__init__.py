"""A grid of moving hazards: arrive, but enter no hot cell."""

from __future__ import annotations

from goal_drift_hazard_maze.scenario import HazardMaze

__all__ = ["HazardMaze"]
