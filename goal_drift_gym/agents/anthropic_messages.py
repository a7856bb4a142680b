"""An agent behind an Anthropic-compatible messages endpoint: Anthropic, llama-server, gateways.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from goal_drift_gym.agents.chat_agent import (
    Answer,
    ChatAgent,
    Wanted,
    count,
    mapping,
    object_of,
    sendable_name,
    server_name,
)
from goal_drift_gym.agents.chat_prompt import Part, Said, answer_schema
from goal_drift_gym.agents.endpoint import Hooks, Sdk
from goal_drift_gym.core.errors import AgentError, AgentFormatError, AgentRefused
from goal_drift_gym.core.streams import Stream
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class AnthropicMessagesAgent(ChatAgent):
    """An agent that asks an Anthropic-compatible messages endpoint (`/v1/messages`) in every turn.

    Notes
    -----
    All settings are those of `ChatAgent`. `base_url` falls back to `$ANTHROPIC_BASE_URL` and is without `/v1`. The API
    has no sampling seed. In mode `json_schema` the answer is constrained by `output_config`, which Anthropic's own
    models know and other servers may ignore.
    """

    kind: ClassVar[str] = "anthropic_messages"
    package: ClassVar[str] = "anthropic"

    api_key_env: str = "ANTHROPIC_API_KEY"

    def __post_init__(self) -> None:
        if self.base_url is None:
            self.base_url = os.environ.get("ANTHROPIC_BASE_URL") or None
        super().__post_init__()

    def _sdk(self) -> Sdk:
        return _AnthropicSdk(dict(self.query))

    def _request(
        self, tools: Sequence[ToolSpec], parts: Sequence[Part], draws: Stream | None, *, must_call: bool
    ) -> dict[str, Any]:
        system, messages = messages_of(parts)
        request: dict[str, Any] = {"model": self.model, "messages": messages, "max_tokens": self.max_tokens}
        if system:
            request["system"] = system
        body = dict(self.extra_body)
        if self.temperature is not None:
            # The newest models know no temperature, and the newest SDKs no argument of that name.
            body["temperature"] = self.temperature
        if self.mode == "tools":
            request["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in tools
            ]
            if must_call:
                request["tool_choice"] = {"type": "any"}
        else:
            schema = answer_schema(tools, may_end=not must_call)
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if body:
            request["extra_body"] = body
        return request

    def _report_usage(self, turn: Turn, answer: dict[str, Any]) -> None:
        used = mapping(answer.get("usage"))
        fresh = count(used, "input_tokens")
        cached, written = count(used, "cache_read_input_tokens"), count(used, "cache_creation_input_tokens")
        turn.usage(
            # This API tells cached input apart from the rest; ours is all of it.
            input_tokens=fresh + cached + written,
            output_tokens=count(used, "output_tokens"),
            cached_tokens=cached,
            cache_write_tokens=written,
            unmetered_calls=int(not fresh + cached + written),
            served_by=server_name(answer.get("model")),
        )

    def _read(self, answer: dict[str, Any]) -> Answer:
        stop = answer.get("stop_reason")
        if stop == "refusal":
            raise AgentRefused("the model refused to answer")
        if stop == "max_tokens":
            raise AgentFormatError(f"the model's answer was cut off at {self.max_tokens} tokens")
        if stop == "model_context_window_exceeded":
            raise AgentError(f"the prompt fills the context of {self.model!r}; show less with history_turns")
        blocks = answer.get("content")
        if not isinstance(blocks, list):
            raise AgentFormatError("the endpoint's answer holds no content")
        texts: list[str] = []
        calls: list[Wanted] = []
        for block in blocks:
            kind = block.get("type") if isinstance(block, dict) else None
            if kind == "text":
                texts.append(_text(block.get("text")))
            elif kind == "tool_use":
                calls.append(_call(block))
            elif kind is None:
                raise AgentFormatError("a block of the endpoint's answer is malformed")
        return Answer(text="\n".join(text for text in texts if text), calls=calls)


class _AnthropicSdk:
    """The part of the `anthropic` package."""

    default_url = "https://api.anthropic.com"

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query

    def connect(self, *, key: str, base_url: str | None, headers: Mapping[str, str], hooks: Hooks) -> Any:
        """Return a client; with a key given it looks for no other credentials of the user's."""
        import anthropic

        client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=base_url,
            default_headers=dict(headers),
            default_query=dict(self._query),
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(event_hooks=hooks, follow_redirects=False),
        )
        _ = client.messages.with_streaming_response
        return client

    def post(self, client: Any, request: dict[str, Any], timeout_s: float) -> AbstractAsyncContextManager[Any]:
        """Ask for a message."""
        opened: AbstractAsyncContextManager[Any] = client.messages.with_streaming_response.create(
            **request, timeout=timeout_s
        )
        return opened


def messages_of(parts: Sequence[Part]) -> tuple[str, list[dict[str, Any]]]:
    """Write a prompt down as system text and messages; the API wants users and assistants to take turns."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []

    def add(role: str, block: dict[str, Any]) -> None:
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].append(block)
        else:
            messages.append({"role": role, "content": [block]})

    for part in parts:
        if not isinstance(part, Said):
            name = sendable_name(part.tool)
            add("assistant", {"type": "tool_use", "id": part.call_id, "name": name, "input": object_of(part)})
            add("user", {"type": "tool_result", "tool_use_id": part.call_id, "content": part.result})
        elif part.role == "system":
            system.append(part.text)
        elif part.text.strip():
            # Blocks of white space are refused.
            add(part.role, {"type": "text", "text": part.text})
    return "\n\n".join(system), messages


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise AgentFormatError(f"the model's answer is no text but {type(text).__name__}")
    return text


def _call(block: dict[str, Any]) -> Wanted:
    name = block.get("name")
    if not isinstance(name, str):
        raise AgentFormatError("the model's tool call has no name")
    args = block.get("input")
    return Wanted(tool=name, args={} if args is None else args)
