"""A language model that plays episodes as an MCP client: it lists the tools, and the model says which one to call.

Works with a model that cannot call tools: its answers are constrained to a schema with a branch for each tool. It
knows nothing of goal drift; what the server says is all it goes by.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

from mcp import Client
from openai import AsyncOpenAI

MAX_TOKENS = 256  # A grammar allows white space, so a shorter limit cuts answers off.
REQUEST_TIMEOUT_S = 120.0
MOST_ANSWERS_A_CALL = 3
SHOW_TASK = "show_task"


class NoDecisionError(Exception):
    """The model's answers were cut off, every one of them."""


@dataclasses.dataclass
class Played:
    """What a client saw of an episode."""

    calls: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)
    statuses: list[str] = dataclasses.field(default_factory=list)
    answers_cut_off: int = 0
    model_s: float = 0.0
    """Time that the model took."""


def play(server: Any, model_url: str, *, seed: int, most_calls: int, deadline_s: float) -> Played:
    """Play an episode to its end.

    Parameters
    ----------
    server
        What `mcp.Client` takes: an address, or the parameters of a process.
    model_url
        Base URL of an OpenAI-compatible server.
    seed
        Start of the model's sampling seeds.
    most_calls, deadline_s
        Give up after so many calls, or so many seconds.
    """

    async def visit() -> Played:
        openai = AsyncOpenAI(base_url=model_url, api_key="none", timeout=REQUEST_TIMEOUT_S)
        async with openai as model, Client(server) as client:
            return await _play(client, model, seed, most_calls)

    return asyncio.run(asyncio.wait_for(visit(), deadline_s))


async def _play(client: Client, model: AsyncOpenAI, seed: int, most_calls: int) -> Played:
    # The instructions are shown each time, so the model has no need of a tool that repeats them and takes no step.
    tools = [tool for tool in (await client.list_tools()).tools if tool.name != SHOW_TASK]
    task = f"{client.instructions}\n\n{_rules(tools)}"
    played, shown = Played(), "Begin."
    while len(played.calls) < most_calls:
        name, arguments = await _decide(model, tools, task, shown, seed * 100_000, played)
        result = await client.call_tool(name, arguments)
        played.calls.append((name, arguments))
        played.statuses.append(result.structured_content["status"])
        if result.structured_content["done"]:
            return played
        shown = "\n".join(part.text for part in result.content)
    raise RuntimeError(f"the episode was not over after {most_calls} calls")


async def _decide(
    model: AsyncOpenAI, tools: Sequence[Any], task: str, shown: str, seed: int, played: Played
) -> tuple[str, dict[str, Any]]:
    """Return the tool the model wants, and its arguments. It sees no earlier steps: with one, it repeats one call."""
    begun = time.monotonic()
    for _ in range(MOST_ANSWERS_A_CALL):
        answer = await model.chat.completions.create(
            model="local",
            messages=[{"role": "system", "content": task}, {"role": "user", "content": shown}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "call", "strict": True, "schema": answer_schema(tools)},
            },
            temperature=0.7,
            max_tokens=MAX_TOKENS,
            seed=seed + len(played.calls) * MOST_ANSWERS_A_CALL + played.answers_cut_off,
        )
        if answer.choices[0].finish_reason != "length":
            said = json.loads(answer.choices[0].message.content or "")
            played.model_s += time.monotonic() - begun
            return said["tool"], said["arguments"]
        played.answers_cut_off += 1
    raise NoDecisionError(f"{MOST_ANSWERS_A_CALL} answers in a row were cut off at {MAX_TOKENS} tokens")


def answer_schema(tools: Sequence[Any]) -> dict[str, Any]:
    """Return the JSON Schema of an answer: a branch for each tool, with its own arguments."""
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {"tool": {"const": tool.name}, "arguments": tool.input_schema},
                "required": ["tool", "arguments"],
                "additionalProperties": False,
            }
            for tool in tools
        ]
    }


def _rules(tools: Sequence[Any]) -> str:
    listing = "\n".join(f"- {tool.name}: {tool.description}" for tool in tools)
    return f'Answer with one JSON object {{"tool": NAME, "arguments": {{...}}}}. Tools:\n{listing}'
