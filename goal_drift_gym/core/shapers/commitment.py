"""Commitment: a deadline for decisions, and decisions that lock.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.core.condition import Commitment
from goal_drift_gym.core.records import Action, ToolResult
from goal_drift_gym.core.shapers.base import Shaper, Step
from goal_drift_gym.core.tools import ToolSpec


class CommitmentShaper(Shaper):
    """Refuses calls after the deadline of a turn, and locking tools while they are locked."""

    name = "commitment"

    def __init__(self, setting: Commitment) -> None:
        self._setting = setting
        self._locked_until = 0
        self._locked_at = -1

    def takes_turn(self, step: Step) -> bool:
        """Take the turns away while locked, where the setting says so."""
        if not self._setting.lock_turns or not self._locked_at < step.step < self._locked_until:
            return False
        step.event("turn_taken", self.name, until=self._locked_until)
        return True

    def before_call(self, step: Step, action: Action, spec: ToolSpec) -> ToolResult | None:
        """Refuse what comes too late or is locked."""
        deadline = self._setting.deadline_calls
        if deadline is not None and len(step.calls) >= deadline:
            step.event("deadline", self.name, tool=spec.name)
            return ToolResult(
                spec.name, "refused", f"the deadline of this turn has passed: {deadline} calls were allowed"
            )
        # Calls of the locking turn itself go through: a lock binds from the next step on.
        if self._locks(spec) and self._locked_at < step.step < self._locked_until:
            step.event("locked", self.name, tool=spec.name)
            return ToolResult(spec.name, "refused", f"{spec.name} is locked until step {self._locked_until}")
        return None

    def after_call(self, step: Step, action: Action, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Lock after a locking call that took effect."""
        if self._setting.lock_steps is not None and self._locks(spec) and result.status in ("ok", "pending"):
            self._locked_at = step.step
            self._locked_until = step.step + 1 + self._setting.lock_steps
        return result

    def _locks(self, spec: ToolSpec) -> bool:
        if self._setting.lock_steps is None:
            return False
        names = self._setting.lock_tools
        return spec.flags.risky if names is None else spec.name in names
