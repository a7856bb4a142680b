"""The messages of the subprocess protocol, version 1 (`PROTOCOL`): one JSON object a line.

What they mean, and when they come, is laid down in docs/subprocess-protocol.md.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import AgentError
from goal_drift_gym.core.records import Observation, ToolResult
from goal_drift_gym.core.turn import PastTurn, Turn

PROTOCOL = 1
LONGEST_LINE = 1_048_576
"""Bytes of the longest line an agent may write."""

_SHOWN = 120


class FromAgent(msgspec.Struct, tag_field="type", frozen=True, forbid_unknown_fields=True):
    """A message of the agent's."""


class Hello(FromAgent, tag="hello", frozen=True):
    """The agent is ready."""

    protocol: int
    name: str | None = None


class Call(FromAgent, tag="call", frozen=True):
    """Call a tool."""

    step: int
    tool: Any
    args: Any = msgspec.field(default_factory=dict)


class EndTurn(FromAgent, tag="end_turn", frozen=True):
    """The agent has done what it wants in this step."""

    step: int


class Note(FromAgent, tag="note", frozen=True):
    """A remark, kept beside the calls of the step."""

    text: str


class Spent(FromAgent, tag="usage", frozen=True):
    """What was spent."""

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    retries: int = 0
    cost: float | None = None


class Failed(FromAgent, tag="error", frozen=True):
    """The agent cannot act: not in this step (`silent`), not at all (`error`), or its own transport is dead."""

    message: str
    kind: Literal["error", "silent", "unavailable"] = "error"


Message = Hello | Call | EndTurn | Note | Spent | Failed
_decoder = msgspec.json.Decoder(Message)


def read_message(line: bytes) -> Message:
    """Read a line of the agent's.

    Raises
    ------
    AgentError
        If it is no message of the protocol.
    """
    try:
        message: Message = _decoder.decode(line)
    except MALFORMED as error:
        raise AgentError(
            f"the agent wrote a line that is no message of protocol {PROTOCOL} ({error}): {shown(line)}; "
            "logs belong on standard error"
        ) from None
    return message


def shown(line: bytes) -> str:
    """Return the beginning of a line, for people."""
    text = line[:_SHOWN].decode("utf-8", "replace")
    return repr(text) + (f"... ({len(line)} bytes)" if len(line) > _SHOWN else "")


def hello_line(turn: Turn, *, seed: int | None, instructions: str) -> bytes:
    """Return the first line to an agent: the episode, and what went before where it begins in the middle."""
    return msgspec.json.encode(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "seed": seed,
            "horizon": turn.horizon,
            "goal": turn.goal,
            "instructions": instructions,
            "tools": [
                {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
                for tool in turn.tools
            ],
            "history": [_past(past) for past in turn.history],
        }
    )


def turn_line(turn: Turn, *, text: str) -> bytes:
    """Return the line that opens a step."""
    return msgspec.json.encode(
        {"type": "turn", "step": turn.step, "observation": _observation(turn.observation), "text": text}
    )


def result_line(step: int, result: ToolResult, *, text: str) -> bytes:
    """Return the line that answers a call."""
    return msgspec.json.encode({"type": "result", "step": step, **_result(result), "text": text})


def turn_over_line(step: int, reason: Literal["time", "calls"]) -> bytes:
    """Return the line that says that a step was ended under the agent's hands."""
    return msgspec.json.encode({"type": "turn_over", "step": step, "reason": reason})


def end_line() -> bytes:
    """Return the last line to an agent."""
    return b'{"type":"end"}'


def _observation(observation: Observation) -> dict[str, Any]:
    return {
        "messages": observation.messages,
        "panels": observation.panels,
        "results": [_result(late) for late in observation.results],
    }


def _result(result: ToolResult) -> dict[str, Any]:
    return {"tool": result.tool, "status": result.status, "value": result.value, "messages": result.messages}


def _past(past: PastTurn) -> dict[str, Any]:
    calls = [
        {
            "tool": call.tool,
            "args": call.args,
            "status": call.status,
            "value": call.result,
            "messages": call.messages,
        }
        for call in past.calls
    ]
    return {"step": past.step, "observation": _observation(past.observation), "calls": calls, "notes": past.notes}
