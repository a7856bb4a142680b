"""The short form of an answer: actions returned instead of called.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any

from goal_drift_gym.core.records import Action


def actions_of(answer: Any) -> list[tuple[Any, Any]] | None:
    """Read the short form as (tool, arguments) pairs; `None` when the answer is nothing of the kind."""
    single = _action(answer)
    if single is not None:
        return [single]
    if not isinstance(answer, (list, tuple)):
        return None
    actions = [_action(item) for item in answer]
    return None if any(action is None for action in actions) else [action for action in actions if action is not None]


def _action(item: Any) -> tuple[Any, Any] | None:
    if isinstance(item, Action):
        return item.tool, item.args
    if isinstance(item, str):
        return item, {}
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
        return item
    if isinstance(item, dict) and "tool" in item and item.keys() <= {"tool", "args"}:
        return item["tool"], item.get("args", {})
    return None
