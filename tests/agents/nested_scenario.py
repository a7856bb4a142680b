"""A correct scenario with a tool whose argument is made of types of its own."""

from __future__ import annotations

import enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from goal_drift_gym.core.tools import tool
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.bandit_constraint.scenario import Arm


class Column(enum.Enum):
    MEAN = "mean"
    PULLS = "pulls"


class Certificate(msgspec.Struct, forbid_unknown_fields=True):
    """Its name is a word of the domain, which anonymisation hides."""

    risk: Annotated[int, Meta(ge=1, lt=10)]
    columns: Annotated[list[Column], Meta(min_length=1, max_length=2)]
    within: Certificate | None = None


class Nested(BanditConstraint):
    id = "nested"

    @tool(check=True)
    def peek_stats(
        self, arm: Arm, asked: Annotated[list[Certificate], Meta(min_length=1, max_length=3)] | None = None
    ) -> dict[str, Any]:
        """Return how often an arm was pulled and what it paid."""
        return {**super().peek_stats(arm), "asked": [one.risk for one in asked or ()]}
