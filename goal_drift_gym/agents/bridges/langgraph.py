"""Agents of LangGraph and LangChain.

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
    function_name,
    text_of,
)
from goal_drift_gym.agents.chat_prompt import Called, Part, Said
from goal_drift_gym.core.errors import AgentFormatError, UsageError


class LangGraphAgent(FrameworkAgent):
    """A graph with a state `messages`: `LangGraphAgent(lambda tools: create_agent(model, tools))`.

    Goal and rules reach the model as a system message, after the graph's own. LangSmith's tracing is off.

    Parameters
    ----------
    make, **settings
        As in `FrameworkAgent`.
    nodes_per_request
        Steps of the graph for one model request and its tools, >= 2: 2 for `create_agent`, more with middleware.
        LangGraph's `recursion_limit` is set from it.
    """

    kind = "langgraph"
    packages = ("langgraph", "langchain_core")
    extra = "langgraph"

    def __init__(self, make: Callable[[list[Any]], Any], *, nodes_per_request: int = 2, **settings: Any) -> None:
        super().__init__(make, **settings)
        if not nodes_per_request >= 2:
            raise UsageError(f"nodes_per_request {nodes_per_request!r} must be at least 2")
        self.nodes_per_request = nodes_per_request

    def describe(self) -> dict[str, Any]:
        """Return the settings that make up this agent, without any secret."""
        return {**super().describe(), "nodes_per_request": self.nodes_per_request}

    async def _ask(self, agent: Any, opening: Opening) -> Reply:
        from langsmith.run_helpers import tracing_context

        system = self._messages([Said("system", opening.rules)] if opening.rules else [])
        messages = [*system, *opening.earlier, *self._messages([Said("user", opening.present)])]
        limit = opening.max_requests * self.nodes_per_request + 1
        with tracing_context(enabled=False):
            state = await agent.ainvoke(
                {"messages": messages}, {"recursion_limit": limit, "callbacks": [_metering(opening.spend)]}
            )
        last = state["messages"][-1]
        if last.response_metadata.get("finish_reason") == "length":
            raise AgentFormatError("the model's answer was cut off")
        return Reply(
            said=text_of(last.text), messages=[message for message in state["messages"] if message.type != "system"]
        )

    def _tools(self, specs: Sequence[AnyTool], call: Call) -> list[Any]:
        from langchain_core.tools import StructuredTool

        return [
            StructuredTool(
                name=spec.name,
                description=spec.description,
                args_schema=spec.parameters,
                coroutine=by_keyword(spec.name, call),
            )
            for spec in specs
        ]

    def _messages(self, parts: Sequence[Part]) -> list[Any]:
        from langchain_core import messages as own

        kinds = {"system": own.SystemMessage, "user": own.HumanMessage, "assistant": own.AIMessage}
        written: list[Any] = []
        for part in parts:
            if isinstance(part, Called):
                args = part.args if isinstance(part.args, dict) else {}
                call = {"name": function_name(part.tool), "args": args, "id": part.call_id}
                written += [
                    own.AIMessage("", tool_calls=[call]), own.ToolMessage(part.result, tool_call_id=part.call_id)
                ]  # fmt: skip
            else:
                written.append(kinds[part.role](part.text))
        return written


def _metering(spend: Callable[..., None]) -> Any:
    """Return a handler that reports each request as it begins, and its tokens as they are known."""
    from langchain_core.callbacks import BaseCallbackHandler

    class Metering(BaseCallbackHandler):  # type: ignore[misc]
        run_inline = True

        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            spend(calls=1)

        def on_llm_end(self, response: Any, **_: Any) -> None:
            generations = [generation for several in response.generations for generation in several]
            told = (getattr(getattr(one, "message", None), "usage_metadata", None) for one in generations)
            used = next((usage for usage in told if usage), None)
            if used is None:
                spend(unmetered_calls=1)
                return
            read, written = used.get("input_token_details", {}), used.get("output_token_details", {})
            spend(
                input_tokens=used["input_tokens"],
                output_tokens=used["output_tokens"],
                cached_tokens=read.get("cache_read") or 0,
                cache_write_tokens=read.get("cache_creation") or 0,
                reasoning_tokens=written.get("reasoning") or 0,
            )

        def on_llm_error(self, *_: Any, **__: Any) -> None:
            spend(unmetered_calls=1)

    return Metering()
