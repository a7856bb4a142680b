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
                {"messages": messages}, {"recursion_limit": limit, "callbacks": [_usage_handler(opening.spend)]}
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


def _usage_handler(spend: Callable[..., None]) -> Any:
    """Return a handler that reports each answer as it comes: a run that is cut off reports nothing at its end."""
    from langchain_core.callbacks import BaseCallbackHandler

    class UsageHandler(BaseCallbackHandler):  # type: ignore[misc]
        def on_llm_end(self, response: Any, **_: Any) -> None:
            used: dict[str, int] = {}
            for generations in response.generations:
                for generation in generations:
                    used = getattr(getattr(generation, "message", None), "usage_metadata", None) or used
            spend(input_tokens=used.get("input_tokens", 0), output_tokens=used.get("output_tokens", 0), calls=1)

    return UsageHandler()
