"""Uncertainty: readings that are noisy, missing, late or revised.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import deque
from typing import Any

from goal_drift_gym.core.condition import Uncertainty
from goal_drift_gym.core.records import Action, ToolResult
from goal_drift_gym.core.shapers.base import Shaper, Step
from goal_drift_gym.core.streams import Stream
from goal_drift_gym.core.tools import ToolSpec


class UncertaintyShaper(Shaper):
    """Blurs panels and the results of check tools; the scenario and the score keep the truth."""

    name = "uncertainty"

    def __init__(self, setting: Uncertainty) -> None:
        self._setting = setting
        self._past: deque[dict[str, Any]] = deque(maxlen=1 + max(setting.delay, setting.revise_after))

    def panels(self, step: Step, panels: dict[str, Any]) -> dict[str, Any]:
        """Return delayed, blurred panels, with true values of earlier steps where they are revised."""
        setting = self._setting
        mine = {name: panel for name, panel in panels.items() if setting.panels is None or name in setting.panels}
        self._past.append(mine)
        shown = self._past[max(0, len(self._past) - 1 - setting.delay)]
        random = step.stream("uncertainty:panels")
        blurred = {name: self._blur(panel, random, step) for name, panel in shown.items()}
        if setting.delay and step.step:
            step.event("panels_delayed", self.name, steps=min(setting.delay, step.step))
        result = {**panels, **blurred}
        if setting.revise_after and step.step >= setting.revise_after:
            result["revisions"] = {"of_step": step.step - setting.revise_after, **self._past[-1 - setting.revise_after]}
            step.event("revision", self.name, of_step=step.step - setting.revise_after)
        return result

    def after_call(self, step: Step, action: Action, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Blur the numbers of a check's result."""
        if not self._setting.checks or not spec.flags.check or not result.ok or spec.name not in step.specs:
            return result
        random = step.stream(f"uncertainty:{spec.name}:{len(step.calls)}")
        return ToolResult(result.tool, result.status, self._blur(result.value, random, step), result.messages)

    def _blur(self, value: Any, random: Stream, step: Step) -> Any:
        if isinstance(value, dict):
            return {key: self._blur(item, random, step) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._blur(item, random, step) for item in value]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        # Both draws happen whatever the settings, so that switching one on does not change the other.
        missing, factor = random.random(), random.normal(1.0, self._setting.noise)
        if missing < self._setting.missing:
            step.event("value_missing", self.name)
            return None
        if not self._setting.noise:
            return value
        return round(value * factor) if isinstance(value, int) else round(value * factor, 4)
