"""The prompt of chat agents, version 1 (`PROMPT_VERSION`).

What the model reads; nothing comes from a memory of the adapter's own:

1. system: the goal (`turn.goal`, left out when it is None) and the template's rules.
2. for each turn of `turn.history`: what the user says (step, panels as compact JSON, messages as `[role] text`, late
   results), then each call and its result in the order they were made, then the notes.
3. the present observation, and the calls made in this turn so far, in the same form. Because one form serves both,
   a prompt only grows at its end and prompt caches work. Calls made in parallel are shown one after another.

In mode `tools` calls are the API's tool calls. In mode `json_schema`, for models that cannot call tools, tools are
listed in the system message and every answer is one object {"tool", "arguments"}, constrained by a schema that has
one branch a tool and one that ends the turn.

A prompt is a list of parts, which each adapter writes down in the form its API wants.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import json
import string
from collections.abc import Sequence
from typing import Any, Literal

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.records import Call, Observation, ToolResult
from goal_drift_gym.core.tools import ToolSpec, flat_properties, hoisted
from goal_drift_gym.core.turn import Turn

PROMPT_VERSION = 1

Mode = Literal["tools", "json_schema"]

_TOO_DEEP = '{"...":"nested too deep to be shown"}'
_PLACEHOLDERS = {
    "step": ("step", "number", "horizon"),
    "panels": ("panels",),
    "message": ("role", "text"),
    "late_result": ("tool", "result"),
    "json_rules": ("end", "tools"),
    "json_result": ("tool", "result"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The fixed words of the prompt; replace any of them.

    Raises
    ------
    UsageError
        If a text has a placeholder that nothing fills.
    """

    step: str = "Step {number} of {horizon}."
    """First line of an observation: {step} counts from 0, {number} from 1, {horizon} is the number of steps."""
    panels: str = "Panels: {panels}"
    """{panels} is compact JSON; the line is left out where there are none."""
    message: str = "[{role}] {text}"
    """A message, in an observation or riding on a result."""
    late_result: str = "Late result of {tool}: {result}"
    """A result that arrives steps after its call."""
    tools_rules: str = (
        "You act by calling tools. You may call several, one after another, and see each result. "
        "Answer without a tool call to end the step."
    )
    """Rules of mode `tools`, after the goal; no placeholders."""
    json_rules: str = (
        'You act by answering with one JSON object {{"tool": NAME, "arguments": {{...}}}} and see its result. '
        'Answer {{"tool": "{end}", "arguments": {{}}}} to end the step. Tools:\n{tools}'
    )
    """Rules of mode `json_schema`, after the goal: {end} is the name that ends the step, {tools} the list of tools."""
    json_result: str = "Result of {tool}: {result}"
    """A result in mode `json_schema`."""
    no_call: str = "(ended the step without a call)"
    """What stands for an earlier step of the model's without call or word."""

    def __post_init__(self) -> None:
        for name, known in _PLACEHOLDERS.items():
            _check_placeholders(name, getattr(self, name), known)


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """Something the system, the user or the assistant says."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Called:
    """A call of the API's own kind, and its result."""

    call_id: str
    """Nine letters and digits: some endpoints accept nothing else."""
    tool: str
    args: Any
    result: str


Part = Said | Called


class ChatPrompt:
    """Writes turns down as parts; it remembers nothing."""

    def __init__(self, mode: Mode, template: Template, history_turns: int | None) -> None:
        self._mode = mode
        self._template = template
        self._history_turns = history_turns

    def parts(self, turn: Turn) -> list[Part]:
        """Return the prompt at the start of a turn."""
        parts: list[Part] = []
        system = "\n\n".join(part for part in (turn.goal, self._rules(turn.tools)) if part)
        if system:
            parts.append(Said("system", system))
        history = turn.history
        if self._history_turns is not None:
            history = history[max(0, len(history) - self._history_turns) :]
        for past in history:
            parts.append(self.observation(past.step, turn.horizon, past.observation))
            for index, call in enumerate(past.calls):
                parts.extend(self.call(past.step, index, call.tool, call.args, call))
            said = "\n".join(past.notes) or ("" if past.calls else self._template.no_call)
            if self._mode == "json_schema":
                parts.append(Said("assistant", as_json({"tool": end_name(turn.tools), "arguments": {}})))
            elif said:
                parts.append(Said("assistant", said))
        parts.append(self.observation(turn.step, turn.horizon, turn.observation))
        return parts

    def call(self, step: int, index: int, tool: Any, args: Any, outcome: Call | ToolResult) -> list[Part]:
        """Return one call and its result, the `index`-th of its step."""
        result = self.result(outcome)
        if self._mode == "json_schema":
            return [
                Said("assistant", as_json({"tool": tool, "arguments": args})),
                Said("user", self._template.json_result.format(tool=tool, result=result)),
            ]
        return [Called(f"s{step:05d}c{index:02d}", str(tool), args, result)]

    def _rules(self, tools: Sequence[ToolSpec]) -> str:
        if self._mode == "tools":
            return self._template.tools_rules
        listing = "\n".join(f"- {tool.name}: {tool.description} Arguments: {_signature(tool)}" for tool in tools)
        return self._template.json_rules.format(end=end_name(tools), tools=listing)

    def observation(self, step: int, horizon: int, observation: Observation) -> Said:
        """Return what is shown at the start of a step."""
        words = self._template
        lines = [words.step.format(step=step, number=step + 1, horizon=horizon)]
        if observation.panels:
            lines.append(words.panels.format(panels=as_json(observation.panels)))
        lines.extend(words.message.format(role=message.role, text=message.text) for message in observation.messages)
        lines.extend(words.late_result.format(tool=late.tool, result=self.result(late)) for late in observation.results)
        return Said("user", "\n".join(lines))

    def result(self, outcome: Call | ToolResult) -> str:
        """Return the result of a call, with the messages that ride on it."""
        value = outcome.result if isinstance(outcome, Call) else outcome.value
        lines = [as_json({"status": outcome.status, "result": value})]
        lines.extend(self._template.message.format(role=one.role, text=one.text) for one in outcome.messages)
        return "\n".join(lines)


def answer_schema(tools: Sequence[ToolSpec], *, may_end: bool = True) -> dict[str, Any]:
    """Return the JSON Schema of one answer in mode `json_schema`: a branch a tool and, if `may_end`, one that ends."""
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    definitions: dict[str, Any] = {}
    branches = [(tool.name, hoisted(tool.parameters, tool.name, definitions)) for tool in tools]
    if may_end:
        branches.append((end_name(tools), nothing))
    schema = {
        "anyOf": [
            {
                "type": "object",
                "properties": {"tool": {"const": name}, "arguments": parameters},
                "required": ["tool", "arguments"],
                "additionalProperties": False,
            }
            for name, parameters in branches
        ]
    }
    return {**schema, "$defs": definitions} if definitions else schema


def end_name(tools: Sequence[ToolSpec]) -> str:
    """Return the name that ends the turn in mode `json_schema`; no tool has it."""
    name, taken = "end_turn", [tool.name for tool in tools]
    while name in taken:
        name += "_"
    return name


def as_json(value: Any) -> str:
    """Return compact JSON that can be sent whatever a model put into it: lone surrogates, or thousands of brackets."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return _TOO_DEEP
    return sendable_text(text)


def sendable_text(text: str) -> str:
    """Return `text` with everything that is no character, such as half a pair of surrogates, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _signature(tool: ToolSpec) -> str:
    return as_json(flat_properties(tool.parameters))


def _check_placeholders(name: str, text: str, known: tuple[str, ...]) -> None:
    allowed = ", ".join(f"{{{one}}}" for one in known)
    try:
        used = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
    except (ValueError, TypeError) as error:
        raise UsageError(f"template.{name} {text!r}: {error}; write {{{{ and }}}} for braces") from None
    for field in used:
        if field not in known:
            raise UsageError(f"template.{name} {text!r}: nothing fills {{{field}}}; placeholders are {allowed}")
