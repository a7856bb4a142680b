"""The prompt of chat agents, version 1 (`PROMPT_VERSION`).

What the model reads; nothing comes from a memory of the adapter's own:

1. system: the goal (`turn.goal`, left out when it is None) and the template's rules.
2. for each turn of `turn.history`: a user message (step, panels as compact JSON, messages as `[role] text`, late
   results), then each call and its result in the order they were made, then the notes.
3. the present observation, and the calls made in this turn so far, in the same form. Because one form serves both,
   a prompt only grows at its end and prompt caches work. Calls made in parallel are shown one after another.

In mode `tools` calls are the API's tool calls. In mode `json_schema`, for models that cannot call tools, tools are
listed in the system message and every answer is one object {"tool", "arguments"}, constrained by a schema that has
one branch a tool and one that ends the turn.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from goal_drift_gym.core.records import Call, Observation, ToolResult
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn

PROMPT_VERSION = 1

Mode = Literal["tools", "json_schema"]
ChatMessage = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The fixed words of the prompt. Placeholders: {step}, {number} (step + 1), {horizon}; {tools}, {end}."""

    step: str = "Step {number} of {horizon}."
    tools_rules: str = (
        "You act by calling tools. You may call several, one after another, and see each result. "
        "Answer without a tool call to end the step."
    )
    json_rules: str = (
        'You act by answering with one JSON object {{"tool": NAME, "arguments": {{...}}}} and see its result. '
        'Answer {{"tool": "{end}", "arguments": {{}}}} to end the step. Tools:\n{tools}'
    )
    no_call: str = "(ended the step without a call)"


class ChatPrompt:
    """Writes turns down as chat messages; it remembers nothing."""

    def __init__(self, mode: Mode, template: Template, history_turns: int | None) -> None:
        self._mode = mode
        self._template = template
        self._history_turns = history_turns

    def messages(self, turn: Turn) -> list[ChatMessage]:
        """Return the prompt at the start of a turn."""
        messages: list[ChatMessage] = []
        system = "\n\n".join(part for part in (turn.goal, self._rules(turn.tools)) if part)
        if system:
            messages.append({"role": "system", "content": system})
        history = turn.history
        if self._history_turns is not None:
            history = history[max(0, len(history) - self._history_turns) :]
        for past in history:
            messages.append(self.observation(past.step, turn.horizon, past.observation))
            for index, call in enumerate(past.calls):
                messages.extend(self.call(past.step, index, call.tool, call.args, call))
            said = "\n".join(past.notes) or ("" if past.calls else self._template.no_call)
            if said and self._mode == "tools":
                messages.append({"role": "assistant", "content": said})
            elif self._mode == "json_schema":
                messages.append(
                    {"role": "assistant", "content": _json({"tool": end_name(turn.tools), "arguments": {}})}
                )
        messages.append(self.observation(turn.step, turn.horizon, turn.observation))
        return messages

    def _rules(self, tools: Sequence[ToolSpec]) -> str:
        if self._mode == "tools":
            return self._template.tools_rules
        listing = "\n".join(f"- {tool.name}: {tool.description} Arguments: {_signature(tool)}" for tool in tools)
        return self._template.json_rules.format(end=end_name(tools), tools=listing)

    def observation(self, step: int, horizon: int, observation: Observation) -> ChatMessage:
        """Return what is shown at the start of a step."""
        lines = [self._template.step.format(step=step, number=step + 1, horizon=horizon)]
        if observation.panels:
            lines.append("Panels: " + _json(observation.panels))
        lines.extend(f"[{message.role}] {message.text}" for message in observation.messages)
        lines.extend(f"Late result of {late.tool}: {_result(late)}" for late in observation.results)
        return {"role": "user", "content": "\n".join(lines)}

    def call(self, step: int, index: int, tool: Any, args: Any, outcome: Call | ToolResult) -> list[ChatMessage]:
        """Return one call and its result, the `index`-th of its step."""
        if self._mode == "json_schema":
            return [
                {"role": "assistant", "content": _json({"tool": tool, "arguments": args})},
                {"role": "user", "content": f"Result of {tool}: {_result(outcome)}"},
            ]
        # Nine letters and digits: some endpoints accept nothing else. Names outside the API's pattern are refused.
        call_id = f"s{step:05d}c{index:02d}"
        function = {"name": re.sub(r"[^A-Za-z0-9_-]", "_", str(tool))[:64] or "_", "arguments": _json(args)}
        return [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": call_id, "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call_id, "content": _result(outcome)},
        ]


def answer_schema(tools: Sequence[ToolSpec], *, may_end: bool = True) -> dict[str, Any]:
    """Return the JSON Schema of one answer in mode `json_schema`: a branch a tool and, if `may_end`, one that ends."""
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    branches = [(tool.name, tool.parameters) for tool in tools]
    if may_end:
        branches.append((end_name(tools), nothing))
    return {
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


def end_name(tools: Sequence[ToolSpec]) -> str:
    """Return the name that ends the turn in mode `json_schema`; no tool has it."""
    name, taken = "end_turn", [tool.name for tool in tools]
    while name in taken:
        name += "_"
    return name


def _signature(tool: ToolSpec) -> str:
    return _json(tool.parameters.get("properties", {}))


def _result(outcome: Call | ToolResult) -> str:
    value = outcome.result if isinstance(outcome, Call) else outcome.value
    lines = [_json({"status": outcome.status, "result": value})]
    lines.extend(f"[{message.role}] {message.text}" for message in outcome.messages)
    return "\n".join(lines)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
