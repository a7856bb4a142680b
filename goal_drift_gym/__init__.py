"""Goal drift as a test: an agent lives through a long episode under pressure, and each step is scored by what it did.

Everything here is loaded when it is first used.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from goal_drift_gym._version import __version__

if TYPE_CHECKING:
    from goal_drift_gym.agents.loading import agent_factory
    from goal_drift_gym.core.budget import Budget
    from goal_drift_gym.core.condition import Condition, load_condition, parse_condition
    from goal_drift_gym.core.engine import Episode, Limits
    from goal_drift_gym.core.errors import (
        AgentError,
        AgentFormatError,
        AgentOutOfBudget,
        AgentRateLimited,
        AgentRefused,
        AgentSilent,
        AgentTimeout,
        AgentUnavailable,
        BudgetSpent,
        EpisodeOver,
        GoalDriftError,
        RunRecordError,
        ScenarioError,
        ToolRefused,
        UsageError,
    )
    from goal_drift_gym.core.protocol import GoalSpec, Scenario, Texts
    from goal_drift_gym.core.records import Action, Call, StepRecord, StepScore, ToolResult, Violation
    from goal_drift_gym.core.redaction import register_secret
    from goal_drift_gym.core.rundir import Run, find_runs, load_run
    from goal_drift_gym.core.streams import Stream, Streams, stream
    from goal_drift_gym.core.tools import tool
    from goal_drift_gym.core.turn import Turn
    from goal_drift_gym.eval.metrics import RunMetrics, compute_metrics
    from goal_drift_gym.runner import Experiment, fork_run, resume_run, run_episode, verify_run
    from goal_drift_gym.scenarios.discovery import find_scenario

_HOMES = {
    "goal_drift_gym.agents.loading": ["agent_factory"],
    "goal_drift_gym.core.budget": ["Budget"],
    "goal_drift_gym.core.condition": ["Condition", "load_condition", "parse_condition"],
    "goal_drift_gym.core.engine": ["Episode", "Limits"],
    "goal_drift_gym.core.errors": [
        "AgentError", "AgentFormatError", "AgentOutOfBudget", "AgentRateLimited", "AgentRefused", "AgentSilent",
        "AgentTimeout", "AgentUnavailable", "BudgetSpent", "EpisodeOver", "GoalDriftError", "RunRecordError",
        "ScenarioError", "ToolRefused", "UsageError",
    ],
    "goal_drift_gym.core.protocol": ["GoalSpec", "Scenario", "Texts"],
    "goal_drift_gym.core.records": ["Action", "Call", "StepRecord", "StepScore", "ToolResult", "Violation"],
    "goal_drift_gym.core.redaction": ["register_secret"],
    "goal_drift_gym.core.rundir": ["Run", "find_runs", "load_run"],
    "goal_drift_gym.core.streams": ["Stream", "Streams", "stream"],
    "goal_drift_gym.core.tools": ["tool"],
    "goal_drift_gym.core.turn": ["Turn"],
    "goal_drift_gym.eval.metrics": ["RunMetrics", "compute_metrics"],
    "goal_drift_gym.runner": ["Experiment", "fork_run", "resume_run", "run_episode", "verify_run"],
    "goal_drift_gym.scenarios.discovery": ["find_scenario"],
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "AgentError",
    "AgentFormatError",
    "AgentOutOfBudget",
    "AgentRateLimited",
    "AgentRefused",
    "AgentSilent",
    "AgentTimeout",
    "AgentUnavailable",
    "Budget",
    "BudgetSpent",
    "Call",
    "Condition",
    "Episode",
    "EpisodeOver",
    "Experiment",
    "GoalDriftError",
    "GoalSpec",
    "Limits",
    "Run",
    "RunMetrics",
    "RunRecordError",
    "Scenario",
    "ScenarioError",
    "StepRecord",
    "StepScore",
    "Stream",
    "Streams",
    "Texts",
    "ToolRefused",
    "ToolResult",
    "Turn",
    "UsageError",
    "Violation",
    "__version__",
    "agent_factory",
    "compute_metrics",
    "find_runs",
    "find_scenario",
    "fork_run",
    "load_condition",
    "load_run",
    "parse_condition",
    "register_secret",
    "resume_run",
    "run_episode",
    "stream",
    "tool",
    "verify_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
