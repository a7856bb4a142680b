"""What is installed and what it means: scenarios, conditions, reference agents, metrics, as plain values.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.tools import ToolSpec, tools_of
from goal_drift_gym.eval.conduct import Violations
from goal_drift_gym.eval.limits import DEFAULT_LIMITS, metric_names
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.eval.monitoring import Monitoring
from goal_drift_gym.scenarios.discovery import ScenarioEntry, conditions_of, find_scenario, scenario_entries


def scenario_list() -> Iterator[dict[str, Any]]:
    """Yield id, distribution, version and tools of each installed scenario; `error` where one cannot be loaded."""
    for entry in scenario_entries().values():
        row: dict[str, Any] = {"id": entry.id, "distribution": entry.distribution, "version": None, "tools": []}
        try:
            scenario = entry.load()
            row |= {"version": scenario.version, "tools": list(tools_of(scenario))}
            yield {**row, "error": None}
        except GoalDriftError as error:
            yield {**row, "error": str(error)}


def condition_list() -> Iterator[dict[str, Any]]:
    """Yield scenario, name, steps and description of each condition; `error` where a scenario cannot be loaded."""
    for entry in scenario_entries().values():
        try:
            for name, condition in conditions_of(entry.load()).items():
                yield {"scenario": entry.id, **_condition(name, condition), "error": None}
        except GoalDriftError as error:
            yield {"scenario": entry.id, "name": None, "steps": None, "description": None, "error": str(error)}


def agent_list() -> list[dict[str, Any]]:
    """Return name and summary of each reference agent."""
    return [{"name": name, "summary": make().describe()["summary"]} for name, make in REFERENCE_AGENTS.items()]


def metric_list() -> list[dict[str, Any]]:
    """Return name, better direction, default limit and definition of each metric.

    The definitions are the docstrings of the fields, read from the source, so that they are written down once.
    """
    better = metric_names()
    return [
        {
            "name": name,
            "better": better.get(name, next((way for key, way in better.items() if key.startswith(f"{name}.")), None)),
            "default_limit": DEFAULT_LIMITS.get(name),
            "definition": definition,
        }
        for name, definition in _definitions().items()
    ]


def scenario_details(entry: ScenarioEntry) -> dict[str, Any]:
    """Return what a scenario is: goals, tools with schemas, conditions, path of its card.

    Raises
    ------
    ScenarioError
        If it cannot be loaded.
    """
    scenario = entry.load()
    goal = scenario.goal
    return {
        "id": scenario.id,
        "version": scenario.version,
        "distribution": entry.distribution,
        "reference": entry.reference,
        "card": card_path(scenario),
        "setting": goal.setting,
        "system_goal": {"name": goal.system_name, **msgspec.to_builtins(goal.system)},
        "competing_goal": {"name": goal.competing_name, **msgspec.to_builtins(goal.competing)},
        "priority": goal.priority.format(system=goal.system_name, competing=goal.competing_name),
        "tools": [_tool(spec) for spec in tools_of(scenario).values()],
        "conditions": [_condition(name, condition) for name, condition in conditions_of(scenario).items()],
    }


def card_path(scenario: type[Scenario]) -> str | None:
    """Return the path of the card, or None when there is none.

    It is README.md beside the module of the scenario or of a class it is made from, or beside the pyproject.toml one
    folder further up.
    """
    for base in scenario.__mro__[:-1]:
        home = Path(inspect.getfile(base)).resolve().parent
        for folder in (home, home.parent):
            card = folder / "README.md"
            if card.is_file() and (folder == home or (folder / "pyproject.toml").is_file()):
                return str(card)
    return None


def split_reference(reference: str) -> tuple[ScenarioEntry, str | None]:
    """Return the scenario, and the condition's name where there is one, of `SCENARIO` or `SCENARIO:CONDITION`.

    `SCENARIO` may itself be `package.module:Name` or a file path with `:Name`.

    Raises
    ------
    ScenarioNotFound
        If there is no such scenario.
    """
    scenario, _, condition = reference.rpartition(":")
    if scenario and (scenario in scenario_entries() or ":" in scenario or scenario.endswith(".py")):
        if scenario.endswith(".py") and condition.isidentifier() and condition[:1].isupper():
            return find_scenario(reference), None
        return find_scenario(scenario), condition
    if scenario and "." not in scenario:
        # No module path: a registered id was meant, and the error names the nearest one.
        return find_scenario(scenario), condition
    return find_scenario(reference), None


def _condition(name: str, condition: Condition) -> dict[str, Any]:
    return {"name": name, "steps": condition.steps, "description": condition.description}


def _tool(spec: ToolSpec) -> dict[str, Any]:
    flags = [name for name, on in msgspec.to_builtins(spec.flags).items() if on]
    return {"name": spec.name, "description": spec.description, "flags": flags, "parameters": spec.parameters}


def _definitions() -> dict[str, str]:
    nested = {"violations": Violations, "monitoring": Monitoring}
    left_out = {"status", "reason", "threshold", "floor"}
    found: dict[str, str] = {}
    for name, text in _field_docs(RunMetrics).items():
        if name in nested:
            found |= {f"{name}.{part}": line for part, line in _field_docs(nested[name]).items()}
        elif name not in left_out:
            found[name] = text
    return found


def _field_docs(kind: type) -> dict[str, str]:
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            value = text.value if isinstance(text, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs[field.target.id] = " ".join(value.value.split())
    return docs
