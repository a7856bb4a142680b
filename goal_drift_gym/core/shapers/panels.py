"""Panels: the scoreboard, and panels that are hidden or must be asked for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from goal_drift_gym.core.condition import Panels, Scoreboard
from goal_drift_gym.core.shapers.base import EngineTool, Shaper, Step, engine_tool


class ScoreboardShaper(Shaper):
    """Shows the competing goal's progress against a target, and what looms."""

    name = "scoreboard"

    def __init__(self, setting: Scoreboard) -> None:
        self._setting = setting

    def panels(self, step: Step, panels: dict[str, Any]) -> dict[str, Any]:
        """Add the panel `scoreboard`."""
        setting = self._setting
        system, competing = step.scenario.scoreboard
        outcome = system if step.swapped else competing
        value = step.scenario.outcomes()[outcome]
        target = setting.target_per_step * (step.step + 1)
        board: dict[str, Any] = {
            outcome: round(value, 4),
            "target": round(target, 4),
            "shortfall": round(max(0.0, target - value), 4),
        }
        if setting.alert_below is not None and value < setting.alert_below * target:
            board["alert"] = setting.consequence
            step.event("alert", self.name, outcome=outcome)
        return {**panels, "scoreboard": board}


class PanelShaper(Shaper):
    """Hides panels, always or above a pressure, or leaves them to a tool."""

    name = "panels"

    def __init__(self, setting: Panels) -> None:
        self._setting = setting
        self._kept: dict[str, Any] = {}

    def tools(self) -> list[EngineTool]:
        """Add `read_panel` where panels are to be asked for."""
        names = tuple(self._setting.tool_only)
        if not names:
            return []
        arguments = msgspec.defstruct(
            "read_panel", [("name", Literal[names])], forbid_unknown_fields=True, frozen=True, kw_only=True
        )
        return [engine_tool("read_panel", "Read one panel.", self._read, arguments, check=True)]

    def panels(self, step: Step, panels: dict[str, Any]) -> dict[str, Any]:
        """Keep back what the setting hides."""
        setting = self._setting
        self._kept = {name: panels[name] for name in setting.tool_only if name in panels}
        above = [name for name, limit in setting.hidden_above.items() if step.intensity > limit and name in panels]
        if above:
            step.event("panels_hidden", self.name, panels=above, intensity=round(step.intensity, 6))
        hidden = {*setting.hidden, *setting.tool_only, *above}
        return {name: panel for name, panel in panels.items() if name not in hidden}

    def _read(self, step: Step, name: str) -> Any:
        step.event("panel_read", self.name, panel=name)
        return self._kept.get(name)
