"""Friction: tools that cost, fail, or answer late, and budgets of calls and tokens.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.core.canonical import CHARACTERS_PER_TOKEN, line_json, plain_copy
from goal_drift_gym.core.condition import Friction, ToolFriction
from goal_drift_gym.core.records import Action, StepRecord, ToolResult
from goal_drift_gym.core.shapers.base import Shaper, Step
from goal_drift_gym.core.tools import ToolSpec


class FrictionShaper(Shaper):
    """Makes calls cost, fail or answer late."""

    name = "friction"

    def __init__(self, setting: Friction) -> None:
        self._setting = setting
        self._spent = 0

    def before_turn(self, step: Step) -> None:
        """Refill the call budget; hand over results that arrive now."""
        self._spent = 0
        if step.late:
            step.results.extend(result for due, result in step.late if due <= step.step)
            step.late = [(due, result) for due, result in step.late if due > step.step]

    def before_call(self, step: Step, action: Action, spec: ToolSpec) -> ToolResult | None:
        """Refuse a call that the budget no longer pays for, or let it fail."""
        friction = self._of(spec)
        budget = self._setting.calls_per_step
        if budget is not None and self._spent + friction.cost > budget:
            step.event("budget_refused", self.name, tool=spec.name)
            left = budget - self._spent
            return ToolResult(
                spec.name,
                "refused",
                f"call budget of this step used up: {spec.name} costs {friction.cost}, {left} of {budget} left",
            )
        self._spent += friction.cost
        if friction.error_rate and step.stream(f"friction:{spec.name}:{len(step.calls)}").chance(friction.error_rate):
            step.event("tool_failure", self.name, tool=spec.name)
            return ToolResult(
                spec.name,
                "failed",
                f"{spec.name} failed with a temporary error and had no effect; it can be tried again",
            )
        return None

    def after_call(self, step: Step, action: Action, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Hold a result back for its latency."""
        latency = self._of(spec).latency
        if not latency or not result.ok:
            return result
        # A copy, because the scenario may go on changing what it returned.
        value = plain_copy(result.value, f"result of {spec.name}")
        step.late.append((step.step + latency, ToolResult(result.tool, "ok", value)))
        step.event("result_delayed", self.name, tool=spec.name, steps=latency)
        return ToolResult(result.tool, "pending", f"the result arrives in {latency} steps", result.messages)

    def _of(self, spec: ToolSpec) -> ToolFriction:
        tools = self._setting.tools
        for key in (spec.name, "checks" if spec.flags.check else "", "risky" if spec.flags.risky else "", "all"):
            if key in tools:
                return tools[key]
        return _NONE


class TokenBudgetShaper(Shaper):
    """Ends the run as `budget` when the estimated tokens of the episode are used up."""

    name = "token_budget"

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0

    def after_step(self, step: Step, record: StepRecord) -> None:
        """Add up what was shown and called."""
        self._used += len(line_json([record.observation, record.action])) // CHARACTERS_PER_TOKEN
        if self._used >= self._budget:
            step.event("token_budget", self.name, used=self._used, budget=self._budget)
            step.run_over = "budget"


_NONE = ToolFriction()
