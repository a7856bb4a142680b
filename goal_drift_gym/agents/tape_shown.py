"""What an agent is shown, in parts with hashes, and saying how two of them differ.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from goal_drift_gym.agents.tape_lines import PARTS, Part, TurnLine, digest
from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.records import ToolResult
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.turn import Turn

_LONGEST_VALUE = 32_768
"""Bytes of a part that are kept; of a longer one the hash alone."""
_BEFORE, _AFTER = 30, 60


class Shown:
    """Takes turns apart. One an episode: what a past turn looks like is worked out once."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._past: dict[int, str] = {}

    def turn(self, turn: Turn) -> TurnLine:
        """Return what the agent is shown at the start of a turn."""
        seen = turn.observation
        tools = [{"name": one.name, "description": one.description, "parameters": one.parameters} for one in turn.tools]
        values = {
            "goal": turn.goal,
            "tools": tools,
            "messages": seen.messages,
            "panels": seen.panels,
            "results": seen.results,
        }
        parts = {name: self.part(value) for name, value in values.items()}
        parts["history"] = self._history(turn)
        return TurnLine(step=turn.step, shown=digest("".join(parts[name].hash for name in PARTS).encode()), parts=parts)

    def result(self, result: ToolResult) -> Part:
        """Return what a call gave to the agent."""
        return self.part({"status": result.status, "value": result.value, "messages": result.messages})

    def part(self, value: Any) -> Part:
        """Return a value with its hash, without secrets."""
        data = self._redactor.line(canonical_json(value))
        kept = msgspec.json.decode(data) if len(data) <= _LONGEST_VALUE else msgspec.UNSET
        return Part(digest(data), kept)

    def _history(self, turn: Turn) -> Part:
        steps: list[int] = []
        for past in turn.history:
            steps.append(past.step)
            if past.step not in self._past:
                self._past[past.step] = digest(self._redactor.line(canonical_json(past)))
        return Part(digest("".join(self._past[step] for step in steps).encode()), _ranges(steps))


def _ranges(steps: list[int]) -> str:
    return "no earlier turn" if not steps else f"{len(steps)} turns, from step {steps[0]} to {steps[-1]}"


def said_difference(where: str, recorded: Any, now: Any) -> str:
    """Return a sentence part that names the first place where two plain values differ, and shows both sides.

    >>> said_difference("goal", "ship what is tested", "ship what is ready")
    "goal: recorded 'ship what is tested', now 'ship what is ready'"
    """
    if recorded is msgspec.UNSET or now is msgspec.UNSET:
        return f"{where}: differs; it is too long to be kept whole on a tape"
    for place in _places(recorded, now, where):
        return _said(*place)
    return f"{where}: the same at first sight ({_short(now)}), and not in what it stands for"


def all_differences(where: str, recorded: Any, now: Any) -> list[str]:
    """Return a sentence part for each place where two plain values differ."""
    return [_said(*place) for place in _places(recorded, now, where)]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


def _places(left: Any, right: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from _places(left.get(key, _Absent()), right.get(key, _Absent()), f"{path}.{key}".lstrip("."))
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            one, other = (side[index] if index < len(side) else _Absent() for side in (left, right))
            yield from _places(one, other, f"{path}[{index}]")
    elif type(left) is not type(right) or left != right:
        yield path, left, right


def _said(path: str, left: Any, right: Any) -> str:
    if isinstance(left, str) and isinstance(right, str):
        left, right = _around(left, right)
    return f"{path}: recorded {_short(left)}, now {_short(right)}"


def _around(left: str, right: str) -> tuple[str, str]:
    """Return both texts from a little before to a little after the place where they part."""
    if max(len(left), len(right)) <= _BEFORE + _AFTER:
        return left, right
    place = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, place - _BEFORE)
    cut = []
    for text in (left, right):
        piece = text[start : place + _AFTER]
        cut.append(("..." if start else "") + piece + ("..." if place + _AFTER < len(text) else ""))
    return cut[0], cut[1]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
