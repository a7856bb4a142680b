"""Agents of the OpenAI Agents SDK.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from goal_drift_gym.agents.bridges.framework_agent import (
    AnyTool,
    Call,
    FrameworkAgent,
    Opening,
    Reply,
    function_name,
    text_of,
)
from goal_drift_gym.agents.chat_prompt import Called, Part, Said, as_json
from goal_drift_gym.core.canonical import MALFORMED


class OpenAIAgentsAgent(FrameworkAgent):
    """An agent of the OpenAI Agents SDK: `OpenAIAgentsAgent(lambda tools: Agent("name", model=..., tools=tools))`.

    Goal and rules reach the model as a system message of the input, after the agent's own `instructions`. The SDK's
    tracing is off.
    """

    kind = "openai_agents"
    packages = ("agents",)
    extra = "openai-agents"

    async def _ask(self, agent: Any, opening: Opening) -> Reply:
        from agents import RunConfig, Runner

        system = self._messages([Said("system", opening.rules)] if opening.rules else [])
        metering = _metering(opening.spend)
        try:
            result = await Runner.run(
                agent,
                [*system, *opening.earlier, *self._messages([Said("user", opening.present)])],
                max_turns=opening.max_requests,
                hooks=metering,
                run_config=RunConfig(tracing_disabled=True, trace_include_sensitive_data=False),
            )
        finally:
            # There is no hook for a request that fails.
            if metering.begun:
                opening.spend(unmetered_calls=metering.begun)
        return Reply(said=text_of(result.final_output), messages=result.to_input_list()[len(system) :])

    def _tools(self, specs: Sequence[AnyTool], call: Call) -> list[Any]:
        from agents import FunctionTool

        return [
            FunctionTool(
                name=spec.name,
                description=spec.description,
                params_json_schema=spec.parameters,
                on_invoke_tool=_invoker(spec.name, call),
                # The strict form would make optional arguments required.
                strict_json_schema=False,
            )
            for spec in specs
        ]

    def _messages(self, parts: Sequence[Part]) -> list[Any]:
        items: list[Any] = []
        for part in parts:
            if isinstance(part, Called):
                name, arguments = function_name(part.tool), as_json(part.args)
                items += [
                    {"type": "function_call", "call_id": part.call_id, "name": name, "arguments": arguments},
                    {"type": "function_call_output", "call_id": part.call_id, "output": part.result},
                ]
            else:
                items.append({"role": part.role, "content": part.text})
        return items


def _invoker(tool: str, call: Call) -> Callable[[Any, str], Any]:
    async def invoke(_context: Any, text: str) -> str:
        return await call(tool, _arguments(text))

    return invoke


def _arguments(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except MALFORMED:
        # The engine calls it an invalid call and tells the model why.
        return text


def _metering(spend: Callable[..., None]) -> Any:
    """Return hooks that report each request as it begins, and its tokens as they are known."""
    from agents import RunHooks

    class Metering(RunHooks):  # type: ignore[misc]
        begun = 0

        async def on_llm_start(self, *_: Any) -> None:
            self.begun += 1
            spend(calls=1)

        async def on_llm_end(self, _context: Any, _agent: Any, response: Any) -> None:
            self.begun -= 1
            used = response.usage
            if used.total_tokens:
                spend(
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    cached_tokens=used.input_tokens_details.cached_tokens or 0,
                    reasoning_tokens=used.output_tokens_details.reasoning_tokens or 0,
                )
            else:
                spend(unmetered_calls=1)

    return Metering()
