"""Agents of PydanticAI.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from goal_drift_gym.agents.bridges.framework_agent import (
    AnyTool,
    Call,
    FrameworkAgent,
    Opening,
    Reply,
    by_keyword,
    text_of,
)
from goal_drift_gym.agents.chat_prompt import Called, Part
from goal_drift_gym.core.errors import AgentFormatError


class PydanticAIAgent(FrameworkAgent):
    """An agent of PydanticAI: `PydanticAIAgent(lambda tools: Agent(model, tools=tools))`.

    Goal and rules reach the model as instructions of each run, beside the agent's own `instructions`. An agent's
    `system_prompt` is left out by PydanticAI itself as soon as there are earlier messages; use `instructions`.
    """

    kind = "pydantic_ai"
    packages = ("pydantic_ai",)
    extra = "pydantic-ai"

    async def _ask(self, agent: Any, opening: Opening) -> Reply:
        from pydantic_ai.usage import UsageLimits

        result = await agent.run(
            opening.present,
            message_history=opening.earlier or None,
            instructions=opening.rules or None,
            usage_limits=UsageLimits(request_limit=opening.max_requests),
            capabilities=[_metering(opening.spend)],
        )
        if result.response.finish_reason == "length":
            raise AgentFormatError("the model's answer was cut off")
        return Reply(said=text_of(result.output), messages=result.all_messages())

    def _tools(self, specs: Sequence[AnyTool], call: Call) -> list[Any]:
        from pydantic_ai import Tool

        return [
            Tool.from_schema(by_keyword(spec.name, call), spec.name, spec.description, spec.parameters, sequential=True)
            for spec in specs
        ]

    def _messages(self, parts: Sequence[Part]) -> list[Any]:
        from pydantic_ai import messages as own

        written: list[Any] = []
        for part in parts:
            if isinstance(part, Called):
                call = own.ToolCallPart(part.tool, part.args, tool_call_id=part.call_id)
                result = own.ToolReturnPart(part.tool, part.result, tool_call_id=part.call_id)
                written += [own.ModelResponse(parts=[call]), own.ModelRequest(parts=[result])]
            elif part.role == "user":
                written.append(own.ModelRequest(parts=[own.UserPromptPart(part.text)]))
            else:
                written.append(own.ModelResponse(parts=[own.TextPart(part.text)]))
        return written


def _metering(spend: Callable[..., None]) -> Any:
    """Return a capability that reports each request as it begins, and its tokens as they are known."""
    from pydantic_ai.capabilities import AbstractCapability

    class Metering(AbstractCapability):  # type: ignore[misc]
        async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
            spend(calls=1)
            return request_context

        async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
            used = response.usage
            if used.has_values():
                spend(
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    cached_tokens=used.cache_read_tokens,
                    cache_write_tokens=used.cache_write_tokens,
                    reasoning_tokens=used.details.get("reasoning_tokens", 0),
                )
            else:
                spend(unmetered_calls=1)
            return response

        async def on_model_request_error(self, ctx: Any, *, request_context: Any, error: Exception) -> Any:
            spend(unmetered_calls=1)
            raise error

    return Metering()
