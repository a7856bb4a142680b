"""Carrying out an agent's calls: cleaned, checked against the schema, shaped, recorded.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from goal_drift_gym.core.canonical import UNUSABLE, clean_args, clean_text, two_copies
from goal_drift_gym.core.errors import EpisodeOver, ScenarioError, ToolRefused, did_you_mean
from goal_drift_gym.core.records import Action, Call, ToolResult
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.shapers.anonymisation import Renamer
from goal_drift_gym.core.shapers.base import EngineTool, Shaper, Step
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn

_MAX_TOOL_NAME = 128


class Caller:
    """Carries out the calls of one episode."""

    def __init__(
        self, step: Step, shapers: list[Shaper], renamer: Renamer | None, redactor: Redactor, most: int
    ) -> None:
        self._step = step
        self._renamer = renamer
        self._redactor = redactor
        self._most = most
        self._before = [s.before_call for s in shapers if type(s).before_call is not Shaper.before_call]
        self._after = [s.after_call for s in shapers if type(s).after_call is not Shaper.after_call]
        self._added = {tool.spec.name: tool for shaper in shapers for tool in shaper.tools()}
        clash = self._added.keys() & step.specs.keys()
        if clash:
            raise ScenarioError(f"tool names {sorted(clash)} are the engine's own; rename the scenario's")
        self.specs: dict[str, ToolSpec] = {**step.specs, **{name: tool.spec for name, tool in self._added.items()}}
        self._turn: Turn | None = None
        self.fault: Exception | None = None
        """What a scenario's tool raised."""

    def begin(self, turn: Turn) -> None:
        """Get ready for the calls of a turn."""
        self._turn = turn

    def perform(self, tool: Any, args: Any, canonical: bool) -> ToolResult:
        """Carry out one call and record it; `canonical` calls use the scenario's own names."""
        known = type(tool) is str and tool in self.specs
        name = tool if known else clean_text(tool, self._redactor, _MAX_TOOL_NAME)
        cleaned = clean_args(args, self._redactor)
        if self._renamer is not None and not canonical:
            name, cleaned = self._renamer.back(name), self._renamer.back(cleaned)
        action = Action(name, cleaned)
        calls = self._step.calls
        weight: float | None = None
        spec = self.specs.get(name)
        arguments, fault = _arguments(spec, action, self.specs)
        if spec is None or fault is not None:
            result = ToolResult(name, "invalid", fault)
        else:
            try:
                if name in self._step.specs:
                    weight = self._weight(name, cleaned)
                result = self._shaped(action, spec, arguments)
            except ScenarioError as error:
                self.abort(error)
            except (Exception, SystemExit) as error:
                self.abort(ScenarioError(f"tool {name!r} raised {type(error).__name__}: {error}"))
        try:
            recorded, shown = two_copies(result.value, f"result of {name}")
        except ScenarioError as error:
            self.abort(error)
        calls.append(Call(name, cleaned, result.status, recorded, weight, result.messages))
        if len(calls) >= self._most:
            self._step.event("call_limit", "engine", calls=self._most)
            assert self._turn is not None
            self._turn.close_locked()
        return self._shown(result, shown)

    def abort(self, error: Exception) -> NoReturn:
        """End the turn because the scenario failed, through the agent's own code, which is not to be blamed."""
        self.fault = error
        assert self._turn is not None
        self._turn.close_locked()
        raise EpisodeOver("the scenario failed") from error

    def _shaped(self, action: Action, spec: ToolSpec, arguments: dict[str, Any]) -> ToolResult:
        step = self._step
        if not self._before and not self._after:
            return self._execute(spec, arguments)
        result: ToolResult | None = None
        for before in self._before:
            result = before(step, action, spec)
            if result is not None:
                break
        if result is None:
            result = self._execute(spec, arguments)
        for after in self._after:
            result = after(step, action, spec, result)
        return result

    def _execute(self, spec: ToolSpec, arguments: dict[str, Any]) -> ToolResult:
        added: EngineTool | None = self._added.get(spec.name)
        try:
            if added is not None:
                value = added.run(self._step, **arguments)
            else:
                value = getattr(self._step.scenario, spec.method)(**arguments)
        except ToolRefused as refusal:
            return ToolResult(spec.name, "refused", str(refusal))
        return ToolResult(spec.name, "ok", value)

    def _weight(self, name: str, args: dict[str, Any]) -> float | None:
        weight = self._step.scenario.weight(name, args)
        # The comparison is written so that NaN fails it.
        if weight is not None and not -1.0 <= weight <= 1.0:
            raise ScenarioError(f"the weight of {name!r} is {weight!r}; it must lie in [-1, 1] or be None")
        return weight

    def _shown(self, result: ToolResult, value: Any) -> ToolResult:
        """Return the result with the agent's own copy of its value, in the names it knows."""
        if self._renamer is None:
            return result if value is result.value else ToolResult(result.tool, result.status, value, result.messages)
        out = self._renamer.out
        messages = tuple(self._renamer.message(message) for message in result.messages)
        return ToolResult(out(result.tool), result.status, out(value), messages)


def _arguments(spec: ToolSpec | None, action: Action, known: dict[str, ToolSpec]) -> tuple[dict[str, Any], str | None]:
    """Return the checked arguments, or a sentence that says what is wrong with the call."""
    if spec is None:
        return {}, f"there is no tool {action.tool!r}; {did_you_mean(action.tool, known)}"
    if UNUSABLE in action.args:
        return {}, str(action.args[UNUSABLE])
    if not action.args and not spec.parameters["properties"]:
        return {}, None
    try:
        checked = msgspec.convert(action.args, spec.arguments, strict=True)
    except msgspec.ValidationError as error:
        return {}, f"{spec.name}: {error}"
    return msgspec.structs.asdict(checked), None
