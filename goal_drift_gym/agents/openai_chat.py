"""An agent behind an OpenAI-compatible chat endpoint: OpenAI, Azure, llama-server, vLLM, Ollama, gateways.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar
from urllib.parse import urlsplit

from goal_drift_gym.agents.chat_agent import (
    Answer,
    ChatAgent,
    Wanted,
    count,
    loads,
    mapping,
    sendable_name,
    server_name,
)
from goal_drift_gym.agents.chat_prompt import Part, Said, answer_schema, as_json
from goal_drift_gym.agents.endpoint import Hooks, Sdk
from goal_drift_gym.core.errors import AgentFormatError, AgentRefused
from goal_drift_gym.core.streams import Stream
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn

_OPENAI_HOST = "api.openai.com"


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class OpenAIChatAgent(ChatAgent):
    """An agent that asks an OpenAI-compatible chat endpoint (`/chat/completions`) in every turn.

    Parameters
    ----------
    seed
        Send a sampling seed made from the episode's seed and the step. Endpoints are not bound to honour it.

    Notes
    -----
    All other settings are those of `ChatAgent`. `base_url` falls back to `$OPENAI_BASE_URL`. In mode `json_schema`
    the answer is constrained by `response_format`.
    """

    kind: ClassVar[str] = "openai_chat"
    package: ClassVar[str] = "openai"

    api_key_env: str = "OPENAI_API_KEY"
    temperature: float | None = 0.0
    seed: bool = True

    def __post_init__(self) -> None:
        if self.base_url is None:
            self.base_url = os.environ.get("OPENAI_BASE_URL") or None
        super().__post_init__()

    def _sdk(self) -> Sdk:
        return _OpenAISdk(dict(self.query))

    def _request(
        self, tools: Sequence[ToolSpec], parts: Sequence[Part], draws: Stream | None, *, must_call: bool
    ) -> dict[str, Any]:
        host = _OPENAI_HOST if self.base_url is None else urlsplit(self.base_url).hostname
        # OpenAI's newer models refuse the old name; other servers may not know the new one.
        limit = "max_completion_tokens" if host == _OPENAI_HOST else "max_tokens"
        request: dict[str, Any] = {"model": self.model, "messages": messages_of(parts), limit: self.max_tokens}
        if self.temperature is not None:
            request["temperature"] = self.temperature
        if self.seed and draws is not None:
            request["seed"] = draws.integer(0, 2**31)
        if self.extra_body:
            request["extra_body"] = dict(self.extra_body)
        if self.mode == "tools":
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in tools
            ]
            if must_call:
                request["tool_choice"] = "required"
        else:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "call", "strict": True, "schema": answer_schema(tools, may_end=not must_call)},
            }
        return request

    def _report_usage(self, turn: Turn, answer: dict[str, Any]) -> None:
        used = mapping(answer.get("usage"))
        turn.usage(
            input_tokens=count(used, "prompt_tokens"),
            output_tokens=count(used, "completion_tokens"),
            cached_tokens=count(mapping(used.get("prompt_tokens_details")), "cached_tokens"),
            reasoning_tokens=count(mapping(used.get("completion_tokens_details")), "reasoning_tokens"),
            unmetered_calls=int(not count(used, "prompt_tokens")),
            served_by=server_name(answer.get("model"), answer.get("system_fingerprint")),
        )

    def _read(self, answer: dict[str, Any]) -> Answer:
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise AgentFormatError("the endpoint's answer holds no choice")
        finish = choice.get("finish_reason")
        if finish == "length":
            raise AgentFormatError(f"the model's answer was cut off at {self.max_tokens} tokens, or its context's end")
        if finish == "content_filter":
            raise AgentRefused("the endpoint's content filter removed the model's answer")
        message = choice["message"]
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise AgentFormatError(f"the model's tool calls are no list but {type(calls).__name__}")
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal.strip() and not calls:
            raise AgentRefused(f"the model refused to answer: {refusal[:200]}")
        return Answer(text=_text(message.get("content")), calls=[_call(call) for call in calls])


class _OpenAISdk:
    """The part of the `openai` package."""

    default_url = f"https://{_OPENAI_HOST}/v1"

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query

    def connect(self, *, key: str, base_url: str | None, headers: Mapping[str, str], hooks: Hooks) -> Any:
        """Return a client."""
        import openai

        client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            default_headers=dict(headers),
            default_query=dict(self._query),
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(event_hooks=hooks, follow_redirects=False),
        )
        _ = client.chat.completions.with_streaming_response
        return client

    def post(self, client: Any, request: dict[str, Any], timeout_s: float) -> AbstractAsyncContextManager[Any]:
        """Ask for a completion."""
        opened: AbstractAsyncContextManager[Any] = client.chat.completions.with_streaming_response.create(
            **request, timeout=timeout_s
        )
        return opened


def messages_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Write a prompt down as chat messages."""
    messages: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Said):
            messages.append({"role": part.role, "content": part.text})
            continue
        function = {"name": sendable_name(part.tool), "arguments": as_json(part.args)}
        call = {"id": part.call_id, "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": part.call_id, "content": part.result})
    return messages


def _text(content: Any) -> str:
    """Return the text of an answer; some endpoints send it in pieces."""
    if content is None:
        return ""
    if isinstance(content, list):
        pieces = [piece.get("text", "") for piece in content if isinstance(piece, dict)]
        content = "".join(piece for piece in pieces if isinstance(piece, str))
    if not isinstance(content, str):
        raise AgentFormatError(f"the model's answer is no text but {type(content).__name__}")
    return content


def _call(call: Any) -> Wanted:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise AgentFormatError("the model's tool call is malformed")
    text = function.get("arguments")
    # Some servers send an object instead of a string, or nothing for a tool without arguments.
    args = loads(text) if isinstance(text, str) and text.strip() else (text or {})
    return Wanted(tool=function.get("name"), args=args)
