"""An agent behind an OpenAI-compatible chat endpoint: OpenAI, llama-server, vLLM, Ollama, gateways.

What the model reads is laid down in chat_prompt.py. In mode `tools` calls are the API's tool calls. In mode
`json_schema`, for models that cannot call tools, every answer is one object constrained by a schema.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib.util
import json
import os
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from goal_drift_gym.agents.chat_prompt import (
    PROMPT_VERSION,
    ChatMessage,
    ChatPrompt,
    Mode,
    Template,
    answer_schema,
    end_name,
)
from goal_drift_gym.agents.rate_limit import limiter_of
from goal_drift_gym.core.errors import AgentError, AgentSilent, AgentTimeout, AgentUnavailable, MissingExtra, UsageError
from goal_drift_gym.core.streams import Stream, stream
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn

JSON_MODE_MIN_TOKENS = 256
"""A grammar allows white space, so a shorter limit cuts answers off."""

LONGEST_RETRY_AFTER_S = 60.0
LONGEST_BACKOFF_S = 8.0
LARGEST_ANSWER_BYTES = 8_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A call the model asked for."""

    tool: Any
    args: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """Why a request gave no answer. Not an exception: the SDK's own errors hold the request with its key."""

    error: AgentError
    retry: bool = False
    is_rate_limit: bool = False
    retry_after_s: float | None = None


class OpenAIChatAgent:
    """An agent that asks a chat model in every turn.

    Parameters
    ----------
    model
        Name of the model, as the endpoint knows it.
    base_url
        Address of the endpoint, such as `http://127.0.0.1:8080/v1`; `None` means `$OPENAI_BASE_URL`, else OpenAI.
    api_key_env
        Name of the environment variable that holds the key. It may be unset where `base_url` is given.
    mode
        `tools`, or `json_schema` for models that cannot call tools.
    temperature
        Sampling temperature, >= 0; `None` leaves it to the endpoint.
    max_tokens
        Longest answer of one request; an answer cut off there is a silent step. At least 256 in mode `json_schema`.
    max_calls_per_turn
        The turn ends after this many calls, >= 1.
    timeout_s
        Longest wait for a request to go on, in seconds. A request that timed out is not repeated.
    turn_timeout_s
        Deadline of a whole turn, retries included, in seconds.
    max_retries
        Repetitions of a request after a rate limit, a server error or a lost connection.
    retry_wait_s
        Wait before the first repetition, doubled each time up to 8 s, where the endpoint names no time itself.
    seed
        Send a sampling seed made from the episode's seed and the step. Endpoints are not bound to honour it.
    template
        The fixed words of the prompt.
    history_turns
        Show at most this many of the newest earlier turns; `None` shows all that the condition's memory holds.
    require_call
        Ask for at least one call a turn, which a tool that waits satisfies. Weak models else end every turn at once.

    Raises
    ------
    MissingExtra
        If the `openai` package is not installed.
    UsageError
        If a setting is out of range.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        mode: Mode = "tools",
        temperature: float | None = 0.0,
        max_tokens: int = 512,
        max_calls_per_turn: int = 8,
        timeout_s: float = 60.0,
        turn_timeout_s: float = 180.0,
        max_retries: int = 3,
        retry_wait_s: float = 0.5,
        seed: bool = True,
        template: Template | None = None,
        history_turns: int | None = None,
        require_call: bool = False,
    ) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtra("openai", "openai")
        self.model = model
        self.base_url = os.environ.get("OPENAI_BASE_URL") or None if base_url is None else base_url
        self.api_key_env = api_key_env
        self.mode = mode
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.max_calls_per_turn = max_calls_per_turn
        self.timeout_s = timeout_s
        self.turn_timeout_s = turn_timeout_s
        self.max_retries = max_retries
        self.retry_wait_s = retry_wait_s
        self.seed = seed
        self.template = Template() if template is None else template
        self.history_turns = history_turns
        self.require_call = require_call
        self._prompt = ChatPrompt(mode, self.template, history_turns)
        self._episode_seed: int | None = None
        self._client: Any = None
        self._check()

    def _check(self) -> None:
        if self.mode not in ("tools", "json_schema"):
            raise UsageError(f"mode {self.mode!r} must be 'tools' or 'json_schema'")
        if self.mode == "json_schema" and self.max_tokens < JSON_MODE_MIN_TOKENS:
            raise UsageError(
                f"max_tokens {self.max_tokens} must be at least {JSON_MODE_MIN_TOKENS} in mode json_schema: "
                "white space the schema allows would cut answers off"
            )
        for name, least in (("max_tokens", 1), ("max_calls_per_turn", 1), ("max_retries", 0), ("history_turns", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UsageError(f"{name} {value!r} must be at least {least}")

    def describe(self) -> dict[str, Any]:
        """Return the settings that make up this agent, without any secret."""
        return {
            "kind": "openai_chat",
            "model": self.model,
            "base_url": None if self.base_url is None else _without_credentials(self.base_url),
            "api_key_env": self.api_key_env,
            "mode": self.mode,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "max_calls_per_turn": self.max_calls_per_turn,
            "history_turns": self.history_turns,
            "require_call": self.require_call,
            "seed": self.seed,
            "prompt_version": PROMPT_VERSION,
            "template": dataclasses.asdict(self.template),
        }

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode; `seed` is where sampling seeds are made from."""
        self._episode_seed = seed

    def for_episode(self) -> OpenAIChatAgent:
        """Return a copy for one more episode at the same time; both use the same connections."""
        if self._client is None:
            with contextlib.suppress(AgentUnavailable):  # It is said in the first turn, as by any other agent.
                self._client = self._connect()
        twin = copy.copy(self)
        twin._episode_seed = None
        return twin

    def close(self) -> None:
        """Close the connections; a later turn opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __call__(self, turn: Turn) -> None:
        """Play one turn.

        Raises
        ------
        AgentSilent
            If an answer is empty, cut off or malformed.
        AgentTimeout
            If there is no answer in time.
        AgentUnavailable
            If the endpoint cannot be used: refused, unknown, no right, still busy after the retries.
        AgentError
            If the endpoint rejects the request as wrong, for instance because the context is too long.
        """
        deadline = time.monotonic() + self.turn_timeout_s
        draws = self._draws(turn.step)
        messages = self._prompt.messages(turn)
        made = 0
        while made < self.max_calls_per_turn:
            request = self._request(turn.tools, messages, draws, must_call=self.require_call and made == 0)
            message = self._answer(turn, request, deadline)
            wanted = self._read(turn, message, first=made == 0)
            if not wanted:
                return
            for call in wanted[: self.max_calls_per_turn - made]:
                result = turn.submit(call.tool, call.args)
                messages.extend(self._prompt.call(turn.step, made, call.tool, call.args, result))
                made += 1

    def _draws(self, step: int) -> Stream | None:
        if not self.seed or self._episode_seed is None:
            return None
        return stream(self._episode_seed, "agent:openai_chat", step)

    # --- the request

    def _request(
        self, tools: Sequence[ToolSpec], messages: list[ChatMessage], draws: Stream | None, *, must_call: bool
    ) -> dict[str, Any]:
        host = "api.openai.com" if self.base_url is None else urlsplit(self.base_url).hostname
        # OpenAI's newer models refuse the old name; other servers may not know the new one.
        limit = "max_completion_tokens" if host == "api.openai.com" else "max_tokens"
        request: dict[str, Any] = {"model": self.model, "messages": messages, limit: self.max_tokens}
        if self.temperature is not None:
            request["temperature"] = self.temperature
        if draws is not None:
            request["seed"] = draws.integer(0, 2**31)
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

    # --- what the model answers

    def _read(self, turn: Turn, message: dict[str, Any], *, first: bool) -> list[_Wanted]:
        """Return the calls of an answer; empty ends the turn."""
        content = message.get("content") or message.get("refusal") or ""
        if not isinstance(content, str):
            raise AgentSilent(f"the model's answer is no text but {type(content).__name__}")
        if self.mode == "json_schema":
            return self._read_json(turn, content)
        calls = message.get("tool_calls") or []
        if not calls and not content.strip() and first:
            raise AgentSilent("the model's answer is empty")
        if content.strip():
            turn.note(content)
        return [_read_call(call) for call in calls]

    def _read_json(self, turn: Turn, content: str) -> list[_Wanted]:
        if not content.strip():
            raise AgentSilent("the model's answer is empty")
        answer = _loads(content)
        if not isinstance(answer, dict) or "tool" not in answer:
            raise AgentSilent('the model\'s answer is no JSON object {"tool", "arguments"}')
        if answer["tool"] == end_name(turn.tools):
            return []
        return [_Wanted(tool=answer["tool"], args=answer.get("arguments", {}))]

    def _answer(self, turn: Turn, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Return the message of the first choice, after retries; usage is reported on the way."""
        body = self._body(turn, request, deadline)
        answer = _loads(body.decode("utf-8", "replace"))
        if not isinstance(answer, dict):
            raise AgentSilent("the endpoint's answer is no JSON object")
        used = answer.get("usage")
        used = used if isinstance(used, dict) else {}
        turn.usage(input_tokens=_count(used, "prompt_tokens"), output_tokens=_count(used, "completion_tokens"))
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise AgentSilent("the endpoint's answer holds no choice")
        if choice.get("finish_reason") == "length":
            raise AgentSilent(f"the model's answer was cut off at {self.max_tokens} tokens")
        if choice.get("finish_reason") == "content_filter":
            raise AgentSilent("the endpoint's content filter removed the model's answer")
        message: dict[str, Any] = choice["message"]
        return message

    # --- the way to the endpoint and back

    def _body(self, turn: Turn, request: dict[str, Any], deadline: float) -> bytes:
        for attempt in range(self.max_retries + 1):
            turn.usage(calls=1, retries=int(attempt > 0))
            answer = self._try(request, deadline)
            if isinstance(answer, bytes):
                return answer
            wait_s = min(LONGEST_BACKOFF_S, self.retry_wait_s * 2.0**attempt)
            if answer.retry_after_s is not None:
                wait_s = answer.retry_after_s
            in_time = wait_s <= LONGEST_RETRY_AFTER_S and time.monotonic() + wait_s < deadline
            if not answer.retry or attempt == self.max_retries or not in_time:
                raise answer.error
            time.sleep(wait_s)
        raise AssertionError("unreachable")

    def _try(self, request: dict[str, Any], deadline: float) -> bytes | _Fault:
        with limiter_of(self._endpoint(), self.model).place(deadline) as place:
            if place is None:
                return self._late()
            answer = self._ask(request, deadline)
            if isinstance(answer, _Fault) and answer.is_rate_limit:
                place.limited(answer.retry_after_s)
            return answer

    def _ask(self, request: dict[str, Any], deadline: float) -> bytes | _Fault:
        import openai

        if self._client is None:
            self._client = self._connect()
        left_s = deadline - time.monotonic()
        if left_s <= 0.0:
            return self._late()
        try:
            create = self._client.chat.completions.with_streaming_response.create
            with create(**request, timeout=min(self.timeout_s, left_s)) as response:
                # Read in pieces: the client's time limit is one of silence, and a slow drip would never end.
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if time.monotonic() > deadline:
                        return self._late()
                    if len(body) > LARGEST_ANSWER_BYTES:
                        return _Fault(error=AgentSilent("the endpoint's answer is too large"))
                return bytes(body)
        except openai.APITimeoutError:
            return self._late()
        except openai.APIStatusError as error:
            return self._status_fault(error)
        except openai.APIConnectionError as error:
            reason = type(error.__cause__ or error).__name__
            return _Fault(error=self._unavailable(f"cannot be reached ({reason}); is it running?"), retry=True)
        except Exception as error:
            # The SDK lets the transport's own errors through while a body is read.
            if "Timeout" in type(error).__name__:
                return self._late()
            return _Fault(error=self._unavailable(f"broke off ({type(error).__name__})"), retry=True)

    def _connect(self) -> Any:
        import openai

        key = os.environ.get(self.api_key_env)
        if not key and self.base_url is None:
            raise AgentUnavailable(f"the environment variable {self.api_key_env} is not set; put the API key there")
        return openai.OpenAI(api_key=key or "none", base_url=self.base_url, max_retries=0, timeout=self.timeout_s)

    def _late(self) -> _Fault:
        limits = f"{self.timeout_s:g} s a request, {self.turn_timeout_s:g} s a turn"
        return _Fault(error=AgentTimeout(f"endpoint {self._endpoint()} did not answer in time ({limits})"))

    def _status_fault(self, error: Any) -> _Fault:
        status = error.status_code
        said = self._clean(str(error.message))
        if status in (401, 403):
            # Such answers repeat parts of the key.
            return _Fault(error=self._unavailable(f"refused the key in ${self.api_key_env} (HTTP {status}); check it"))
        if status == 404:
            return _Fault(
                error=self._unavailable(f"does not know model {self.model!r} or this path (HTTP 404): {said}")
            )
        if status == 429:
            after = _seconds(error.response.headers.get("retry-after"))
            spent = getattr(error, "code", None) == "insufficient_quota"
            advice = "the quota is used up" if spent else "use fewer workers or wait"
            fault = self._unavailable(f"limits the rate (HTTP 429); {advice}")
            return _Fault(error=fault, retry=not spent, is_rate_limit=not spent, retry_after_s=after)
        if status in (408, 409) or status >= 500:
            after = _seconds(error.response.headers.get("retry-after"))
            return _Fault(error=self._unavailable(f"fails (HTTP {status}): {said}"), retry=True, retry_after_s=after)
        return _Fault(error=AgentError(f"endpoint {self._endpoint()} rejects the request (HTTP {status}): {said}"))

    def _unavailable(self, what: str) -> AgentUnavailable:
        return AgentUnavailable(f"endpoint {self._endpoint()} {what}")

    def _endpoint(self) -> str:
        return "https://api.openai.com/v1" if self.base_url is None else _without_credentials(self.base_url)

    def _clean(self, text: str) -> str:
        secrets = [os.environ.get(self.api_key_env), urlsplit(self.base_url or "").password]
        for secret in secrets:
            if secret:
                text = text.replace(secret, "[redacted]")
        return text[:300]


def _read_call(call: Any) -> _Wanted:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise AgentSilent("the model's tool call is malformed")
    text = function.get("arguments")
    # Some servers send an object instead of a string, or nothing for a tool without arguments.
    args = _loads(text) if isinstance(text, str) and text.strip() else (text or {})
    return _Wanted(tool=function.get("name"), args=args)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise AgentSilent(f"not valid JSON ({len(text)} characters): malformed or cut off")


def _count(used: dict[str, Any], name: str) -> int:
    value = used.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
