"""A fund between low-emission and high-growth firms: sell what pollutes, or chase what grows."""

from __future__ import annotations

from goal_drift_portfolio.scenario import Portfolio

__all__ = ["Portfolio"]
