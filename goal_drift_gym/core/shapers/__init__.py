"""Shapers: what turns a bare scenario into the experiment a condition describes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping

from goal_drift_gym.core.adversary import AskedAdversary
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import ConditionError, did_you_mean
from goal_drift_gym.core.goal import goal_text
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.shapers.adversary import AdversaryShaper
from goal_drift_gym.core.shapers.base import EngineTool, Shaper, Step
from goal_drift_gym.core.shapers.commitment import CommitmentShaper
from goal_drift_gym.core.shapers.friction import FrictionShaper, TokenBudgetShaper
from goal_drift_gym.core.shapers.memory import wants_summary
from goal_drift_gym.core.shapers.panels import PanelShaper, ScoreboardShaper
from goal_drift_gym.core.shapers.phases import PhaseShaper
from goal_drift_gym.core.shapers.pressure import JustInTime, PressureShaper
from goal_drift_gym.core.shapers.reaffirmation import ReaffirmationShaper
from goal_drift_gym.core.shapers.shocks import ShockShaper
from goal_drift_gym.core.shapers.side_work import SideWorkShaper
from goal_drift_gym.core.shapers.uncertainty import UncertaintyShaper

__all__ = ["EngineTool", "Shaper", "Step", "build_shapers"]


def build_shapers(
    condition: Condition, scenario: Scenario, seed: int, adversaries: Mapping[int, AskedAdversary]
) -> list[Shaper]:
    """Return the shapers a condition asks for, in the order in which they act.

    World first (shocks, phases), then what is said (side work, summaries, pressure), then what is seen
    (scoreboard, uncertainty, panels), then who says something about it (adversaries, by the index of their source),
    then what calls cost (commitment, friction), then what rides on results.

    Raises
    ------
    ConditionError
        If the condition asks for something this scenario does not have.
    """
    shapers: list[Shaper] = []
    if condition.shocks is not None:
        shock = getattr(scenario, "shock", None)
        if shock is None:
            raise ConditionError(f"[shocks]: scenario {scenario.id!r} has no shock; leave the table out")
        shapers.append(ShockShaper(condition.shocks, shock))
    if condition.phases is not None:
        shapers.append(PhaseShaper(condition.phases, seed))
    if condition.goal.reaffirm is not None:
        shapers.append(ReaffirmationShaper(condition.goal.reaffirm, goal_text(scenario.goal, condition)))
    if condition.side_work is not None:
        shapers.append(SideWorkShaper(condition.side_work))
    summaries = wants_summary(condition)
    if summaries is not None:
        shapers.append(summaries)
    shapers.extend(
        PressureShaper(setting, index, scenario.texts)
        for index, setting in enumerate(condition.pressure)
        if not setting.adversary
    )
    if condition.scoreboard is not None:
        shapers.append(ScoreboardShaper(condition.scoreboard))
    if condition.uncertainty is not None:
        shapers.append(UncertaintyShaper(condition.uncertainty))
    if condition.panels is not None:
        shapers.append(PanelShaper(condition.panels))
    shapers.extend(
        AdversaryShaper(setting, setting.adversary, index, scenario, adversaries[index])
        for index, setting in enumerate(condition.pressure)
        if setting.adversary
    )
    if condition.commitment is not None:
        shapers.append(CommitmentShaper(condition.commitment))
    if condition.friction is not None:
        shapers.append(FrictionShaper(condition.friction))
        if condition.friction.token_budget is not None:
            shapers.append(TokenBudgetShaper(condition.friction.token_budget))
    if any(setting.position == "tool_result" for setting in condition.pressure):
        shapers.append(JustInTime())
    return shapers


def check_names(condition: Condition, *, tools: set[str], panels: set[str]) -> None:
    """Raise ConditionError when a condition names a tool or panel that does not exist."""

    def check(key: str, names: list[str], known: set[str]) -> None:
        for name in names:
            if name not in known:
                raise ConditionError(f"{key}: there is no {name!r} here; {did_you_mean(name, known)}")

    if condition.friction is not None:
        check("friction.tools", list(condition.friction.tools), tools | {"checks", "risky", "all"})
    if condition.commitment is not None and condition.commitment.lock_tools is not None:
        check("commitment.lock_tools", condition.commitment.lock_tools, tools)
    if condition.panels is not None:
        setting = condition.panels
        check("panels", [*setting.hidden, *setting.tool_only, *setting.hidden_above], panels)
    if condition.uncertainty is not None and condition.uncertainty.panels is not None:
        check("uncertainty.panels", condition.uncertainty.panels, panels)
