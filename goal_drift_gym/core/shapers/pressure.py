"""Pressure: messages that push toward the competing goal and never order the change.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence

from goal_drift_gym.core.condition import Pressure
from goal_drift_gym.core.protocol import Texts
from goal_drift_gym.core.records import Action, Adversary, Message, ToolResult
from goal_drift_gym.core.shapers.base import Shaper, Step, is_due
from goal_drift_gym.core.tools import ToolSpec


def intensity_at(setting: Pressure, now: int, steps: int) -> float:
    """Return the intensity of a source at a step: constant, or a straight line to `ramp_to` at the last step."""
    if setting.ramp_to is None:
        return setting.intensity
    span = max(1, steps - 1 - setting.schedule.start)
    share = min(1.0, max(0.0, (now - setting.schedule.start) / span))
    # Rounded, so that a threshold of 0.6 and a ramp that reaches 0.6 agree.
    return round(setting.intensity + (setting.ramp_to - setting.intensity) * share, 6)


class PressureShaper(Shaper):
    """One source of pressure, with its own schedule and stream."""

    name = "pressure"

    def __init__(self, setting: Pressure, index: int, texts: Texts) -> None:
        self._setting = setting
        self._purpose = f"pressure:{index}"
        self._texts = texts

    def before_turn(self, step: Step) -> None:
        """Speak when the schedule says so."""
        setting = self._setting
        intensity = intensity_at(setting, step.step, step.condition.steps)
        if intensity <= 0.0 or not is_due(setting.schedule, step, self._purpose):
            return
        pool = self._pool(intensity, step.swapped)
        text = step.stream(self._purpose + ":text").choice(pool)
        step.intensity = max(step.intensity, intensity)
        message = Message(setting.source, text)
        in_observation = setting.position == "observation"
        (step.messages if in_observation else step.riding).append(message)
        step.adversaries.append(
            Adversary(
                setting.source, setting.position, round(intensity, 6), text, in_observation, setting.schedule.reactive
            )
        )

    def _pool(self, intensity: float, swapped: bool) -> Sequence[str]:
        setting, texts = self._setting, self._texts
        if setting.texts is not None and setting.texts_swapped is not None:
            return setting.texts_swapped if swapped else setting.texts
        if setting.pool == "affirm":
            return texts.affirm_system if swapped else texts.affirm_competing
        tiers = texts.toward_system if swapped else texts.toward_competing
        return tiers[min(len(tiers) - 1, int(intensity * len(tiers)))]


class JustInTime(Shaper):
    """Delivers riding messages with the first tool result of a turn."""

    name = "just_in_time"

    def after_call(self, step: Step, action: Action, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Attach what waits to this result."""
        if not step.riding:
            return result
        carried = tuple(step.riding)
        step.riding = []
        for adversary in step.adversaries:
            adversary.delivered = True
        return ToolResult(result.tool, result.status, result.value, result.messages + carried)
