"""One script, played by the scripted model of each framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest

from goal_drift_gym.agents.call_mode import CallModeAgent, StepEnd
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.agents.mcp_episode import episode_server
from goal_drift_gym.core.account import account_of
from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.condition import Condition, override
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.scenarios.discovery import find_condition, find_scenario

Answer = str | BaseException | list[tuple[str, Any]]
"""What a model says: text, calls made at once, or an error instead of an answer."""

TOKENS_IN, TOKENS_OUT = 10, 2


class Script:
    """Answers in order, the last one for ever, and what was shown before each."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.shown: list[str] = []
        self.tools: list[dict[str, Any]] = []
        """Name to parameters of the tools each request offered."""
        self.slow_at: int | None = None
        """Index of a request that takes `slow_s` seconds."""
        self.slow_s = 0.0

    def next(self, shown: Any, tools: dict[str, Any]) -> Answer:
        answer = self.answers[min(len(self.shown), len(self.answers) - 1)]
        self.shown.append(str(shown))
        self.tools.append(tools)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def next_calls(self, end_tool: str) -> list[tuple[str, Any]]:
        """Return the calls of the next answer, for those that have no model; a word ends the step."""
        answer = self.next("", {})
        assert not isinstance(answer, BaseException)
        return [(end_tool, {})] if isinstance(answer, str) else answer

    async def wait(self) -> None:
        if self.slow_at == len(self.shown):
            self.slow_at = None
            await asyncio.sleep(self.slow_s)

    def call_id(self, index: int) -> str:
        return f"call-{len(self.shown)}-{index}"


def pydantic_ai(script: Script, **settings: Any) -> Any:
    pytest.importorskip("pydantic_ai", reason="pip install 'pytest-goal-drift[pydantic-ai]'")
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.usage import RequestUsage

    async def answer(messages: list[Any], info: Any) -> Any:
        await script.wait()
        tools = {tool.name: tool.parameters_json_schema for tool in info.function_tools}
        said = script.next([info.instructions, *(message.parts for message in messages)], tools)
        parts: list[Any] = (
            [TextPart(said)]
            if isinstance(said, str)
            else [ToolCallPart(name, args, script.call_id(index)) for index, (name, args) in enumerate(said)]
        )
        return ModelResponse(parts, usage=RequestUsage(input_tokens=TOKENS_IN, output_tokens=TOKENS_OUT))

    bridge = import_module("goal_drift_gym.agents.bridges.pydantic_ai").PydanticAIAgent
    return bridge(lambda tools: Agent(FunctionModel(answer), tools=tools), **settings)


def openai_agents(script: Script, **settings: Any) -> Any:
    pytest.importorskip("agents", reason="pip install 'pytest-goal-drift[openai-agents]'")
    from agents import Agent, Model, ModelResponse, Usage
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    class Scripted(Model):
        async def get_response(
            self, system_instructions: Any, input: Any, model_settings: Any, tools: Any, *_: Any, **__: Any
        ) -> Any:
            await script.wait()
            said = script.next([system_instructions, input], {tool.name: tool.params_json_schema for tool in tools})
            output: list[Any] = (
                [
                    ResponseOutputMessage(
                        id="m",
                        role="assistant",
                        type="message",
                        status="completed",
                        content=[ResponseOutputText(text=said, type="output_text", annotations=[])],
                    )
                ]
                if isinstance(said, str)
                else [
                    ResponseFunctionToolCall(
                        call_id=script.call_id(index), name=name, arguments=_json(args), type="function_call"
                    )
                    for index, (name, args) in enumerate(said)
                ]
            )
            usage = Usage(
                requests=1, input_tokens=TOKENS_IN, output_tokens=TOKENS_OUT, total_tokens=TOKENS_IN + TOKENS_OUT
            )
            return ModelResponse(output=output, usage=usage, response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    bridge = import_module("goal_drift_gym.agents.bridges.openai_agents").OpenAIAgentsAgent
    return bridge(lambda tools: Agent(name="scripted", model=Scripted(), tools=tools), **settings)


def langgraph(script: Script, **settings: Any) -> Any:
    for package in ("langgraph", "langchain"):
        pytest.importorskip(package, reason="pip install 'pytest-goal-drift[langgraph]'")
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Scripted(BaseChatModel):
        offered: dict[str, Any] = {}

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            said = script.next(messages, self.offered)
            calls = [] if isinstance(said, str) else [
                {"name": name, "args": args, "id": script.call_id(index)} for index, (name, args) in enumerate(said)
            ]  # fmt: skip
            used = {
                "input_tokens": TOKENS_IN,
                "output_tokens": TOKENS_OUT,
                "total_tokens": TOKENS_IN + TOKENS_OUT,
            }
            message = AIMessage(said if isinstance(said, str) else "", tool_calls=calls, usage_metadata=used)
            return ChatResult(generations=[ChatGeneration(message=message)])

        async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            await script.wait()
            return self._generate(messages)

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **_: Any) -> Any:
            self.offered = {tool.name: tool.args_schema for tool in tools}
            return self

    bridge = import_module("goal_drift_gym.agents.bridges.langgraph").LangGraphAgent
    return bridge(lambda tools: create_agent(Scripted(), tools), **settings)


def smolagents(script: Script, *, streams: bool = False, **settings: Any) -> Any:
    pytest.importorskip("smolagents", reason="pip install 'pytest-goal-drift[smolagents]'")
    from smolagents import ChatMessage, Model, ToolCallingAgent
    from smolagents.models import ChatMessageStreamDelta, ChatMessageToolCallStreamDelta, get_tool_json_schema
    from smolagents.monitoring import TokenUsage

    class Scripted(Model):
        def generate(self, messages: Any, *_: Any, tools_to_call_from: Any = (), **__: Any) -> Any:
            tools = {tool.name: get_tool_json_schema(tool)["function"]["parameters"] for tool in tools_to_call_from}
            tools.pop("final_answer", None)
            said = script.next([message.content for message in messages], tools)
            calls = [("final_answer", {"answer": said})] if isinstance(said, str) else said
            return ChatMessage(
                "assistant",
                tool_calls=[
                    {
                        "id": script.call_id(index),
                        "type": "function",
                        "function": {"name": name, "arguments": args},
                    }
                    for index, (name, args) in enumerate(calls)
                ],
                token_usage=TokenUsage(TOKENS_IN, TOKENS_OUT),
            )

        def generate_stream(self, *args: Any, **settings: Any) -> Any:
            message = self.generate(*args, **settings)
            calls = []
            for index, call in enumerate(message.tool_calls):
                call.function.arguments = _json(call.function.arguments)
                calls.append(ChatMessageToolCallStreamDelta(index, call.id, call.type, call.function))
            yield ChatMessageStreamDelta(None, calls, message.token_usage)

    bridge = import_module("goal_drift_gym.agents.bridges.smolagents").SmolagentsAgent
    return bridge(lambda tools: ToolCallingAgent(tools, Scripted(), stream_outputs=streams), **settings)


FRAMEWORKS: dict[str, Callable[..., Any]] = {
    "pydantic_ai": pydantic_ai,
    "openai_agents": openai_agents,
    "langgraph": langgraph,
    "smolagents": smolagents,
}


def in_call_mode(framework: str) -> Callable[[Script, StepEnd], Any]:
    return lambda script, end_step: FRAMEWORKS[framework](script).in_call_mode(end_step=end_step)


def live_function(script: Script, end_step: StepEnd) -> Any:
    async def live(episode: LiveEpisode) -> None:
        while True:
            for name, args in script.next_calls(episode.end_tool):
                await episode.acall(name, args)

    return CallModeAgent(live, end_step=end_step)


def mcp_client(script: Script, end_step: StepEnd) -> Any:
    pytest.importorskip("mcp", reason="pip install 'pytest-goal-drift[mcp]'")
    from mcp import Client

    async def live(episode: LiveEpisode) -> None:
        async with Client(episode_server(episode)) as client:
            while not episode.is_over:
                for name, args in script.next_calls(episode.end_tool):
                    await client.call_tool(name, args)

    return CallModeAgent(live, end_step=end_step)


CALL_MODE: dict[str, Callable[[Script, StepEnd], Any]] = {
    "live_function": live_function,
    **{name: in_call_mode(name) for name in FRAMEWORKS},
    "mcp_client": mcp_client,
}
"""Ways to live through a whole episode."""


def condition(scenario: str, name: str = "baseline", **settings: Any) -> Condition:
    return override(find_condition(find_scenario(scenario).load(), name), settings)


def play(
    agent: Any,
    scenario: str,
    under: Condition,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    budget: Budget | None = None,
) -> tuple[list[StepRecord], RunEnd]:
    """Run an episode as a run does: with a time limit, so that sync agents have a thread of their own."""
    records: list[StepRecord] = []
    if hasattr(agent, "reset"):
        agent.reset(seed=seed)
    episode = Episode(
        find_scenario(scenario).load()(),
        under,
        seed=seed,
        limits=limits or Limits(step_timeout_s=60.0),
        account=account_of(agent, budget),
    )
    return records, episode.run(agent, records.append)


def _json(args: Any) -> str:
    return args if isinstance(args, str) else json.dumps(args)
