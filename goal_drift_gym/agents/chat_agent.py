"""What agents behind a chat endpoint have in common: their settings, and how they play a turn.

What the model reads is laid down in chat_prompt.py; how requests travel, and what their failures mean, in endpoint.py.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

from goal_drift_gym.agents.chat_prompt import (
    PROMPT_VERSION,
    Called,
    ChatPrompt,
    Mode,
    Part,
    Template,
    end_name,
    sendable_text,
)
from goal_drift_gym.agents.endpoint import Endpoint, EndpointSettings, Sdk, without_credentials
from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import AgentFormatError, MissingExtra, UsageError
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.streams import Stream, stream
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn

JSON_MODE_MIN_TOKENS = 256
"""A grammar allows white space, so a shorter limit cuts answers off."""

_MARGIN_S, _MARGIN_SHARE = 1.0, 0.1
_MOST_TOKENS = 10**9
"""A count above this is a mistake of the endpoint's and is taken for unknown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call the model asks for, as it came."""

    tool: Any
    args: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said."""

    text: str = ""
    calls: Sequence[Wanted] = ()


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class ChatAgent(ABC):
    """An agent that asks a chat model in every turn.

    Parameters
    ----------
    model
        Name of the model, as the endpoint knows it.
    base_url
        Address of the endpoint, such as `http://127.0.0.1:8080/v1`; `None` means the SDK's own variable, else its
        default.
    api_key_env
        Name of the environment variable that holds the key. It may be unset where `base_url` is given.
    header_env
        Further headers: name of the header to name of the environment variable with its value. With any, and no key,
        none is sent: `{"api-key": "AZURE_OPENAI_API_KEY"}`.
    query
        Parameters added to every address, such as `{"api-version": "2024-10-21"}`. They are recorded: no secrets.
    extra_body
        Further fields of every request, for what only one endpoint knows. They are recorded: no secrets.
    mode
        `tools`, or `json_schema` for models that cannot call tools.
    temperature
        Sampling temperature, >= 0; `None` leaves it to the endpoint.
    max_tokens
        Longest answer of one request; an answer cut off there is a silent step. At least 256 in mode `json_schema`.
    max_calls_per_turn
        The turn ends after this many calls, >= 1.
    timeout_s
        Longest wait for the answer to one request, in seconds. A request that timed out is not repeated.
    turn_timeout_s
        Deadline of a whole turn, retries and waits included, in seconds; less where the engine allows less.
    max_retries
        Repetitions of a request after a rate limit, a server error or a lost connection.
    retry_wait_s
        Wait before the first repetition, doubled each time up to 8 s, where the endpoint names no time itself. A time
        above 60 s is not waited for.
    template
        The fixed words of the prompt.
    history_turns
        Show at most this many of the newest earlier turns; `None` shows all that the condition's memory holds.
    require_call
        Ask for at least one call a turn, which a tool that waits satisfies. Weak models else end every turn at once.

    Raises
    ------
    MissingExtra
        If the package of this adapter is not installed.
    UsageError
        If a setting is out of range.
    """

    kind: ClassVar[str]
    """Name of the adapter in config.json."""
    package: ClassVar[str]
    """Package that must be installed, and the extra that brings it."""

    model: str = dataclasses.field(kw_only=False)
    base_url: str | None = None
    api_key_env: str
    header_env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    extra_body: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mode: Mode = "tools"
    temperature: float | None = None
    max_tokens: int = 512
    max_calls_per_turn: int = 8
    timeout_s: float = 60.0
    turn_timeout_s: float = 180.0
    max_retries: int = 3
    retry_wait_s: float = 0.5
    template: Template = dataclasses.field(default_factory=Template)
    history_turns: int | None = None
    require_call: bool = False

    def __post_init__(self) -> None:
        self._check()
        # Here and not in the first turn, whose time it would take: seconds on a busy machine.
        try:
            importlib.import_module(self.package)
        except ModuleNotFoundError as error:
            raise MissingExtra(self.package, self.package) from error
        self._prompt = ChatPrompt(self.mode, self.template, self.history_turns)
        self._episode_seed: int | None = None
        self._shares_endpoint = False
        self._endpoint = Endpoint(
            self._sdk(),
            EndpointSettings(
                model=self.model,
                base_url=self.base_url,
                api_key_env=self.api_key_env,
                header_env=self.header_env,
                timeout_s=self.timeout_s,
                max_retries=self.max_retries,
                retry_wait_s=self.retry_wait_s,
            ),
        )

    # --- what an adapter adds

    @abstractmethod
    def _sdk(self) -> Sdk:
        """Return the client library's part."""

    @abstractmethod
    def _request(
        self, tools: Sequence[ToolSpec], parts: Sequence[Part], draws: Stream | None, *, must_call: bool
    ) -> dict[str, Any]:
        """Return the arguments of the SDK's call for a prompt."""

    @abstractmethod
    def _report_usage(self, turn: Turn, answer: dict[str, Any]) -> None:
        """Tell the turn what an answer cost and who gave it."""

    @abstractmethod
    def _read(self, answer: dict[str, Any]) -> Answer:
        """Return what the model said.

        Raises
        ------
        AgentSilent
            If it is not usable.
        """

    # --- an agent

    def describe(self) -> dict[str, Any]:
        """Return the settings that make up this agent, without any secret."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in _UNDESCRIBED]
        return {
            "kind": self.kind,
            **{name: getattr(self, name) for name in names},
            "base_url": None if self.base_url is None else without_credentials(self.base_url),
            # Not a mapping: a name such as `api-key` would have the variable's name hidden as if it were the key.
            "header_env": [f"{header} from ${variable}" for header, variable in self.header_env.items()],
            "query": dict(self.query),
            "extra_body": dict(self.extra_body),
            "prompt_version": PROMPT_VERSION,
            "template": dataclasses.asdict(self.template),
        }

    def __repr__(self) -> str:
        # An address may hold a password.
        return f"{type(self).__name__}({self.model!r}, base_url={self.describe()['base_url']!r})"

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode; `seed` is where sampling seeds are made from."""
        self._episode_seed = seed
        self._endpoint.open()

    def for_episode(self) -> Self:
        """Return an agent for one more episode beside this one: same settings and connection, a state of its own.

        Closing it does nothing; the connection is closed with the agent it was made from.
        """
        other = copy.copy(self)
        other._episode_seed = None
        other._shares_endpoint = True
        return other

    def close(self) -> None:
        """Close the connections; a later turn opens new ones."""
        if not self._shares_endpoint:
            self._endpoint.close()

    def __call__(self, turn: Turn) -> None:
        """Play one turn.

        Raises
        ------
        AgentFormatError
            If an answer is empty, cut off or malformed.
        AgentRefused
            If the model or a filter declined to answer.
        AgentTimeout
            If there is no answer in time.
        AgentRateLimited
            If the endpoint has no room, after the retries.
        AgentUnavailable
            If the endpoint cannot be used: refused, unknown, no right, failing after the retries.
        AgentOutOfBudget
            If no money is left for it.
        AgentError
            If the endpoint rejects the request as wrong, for instance because the prompt is too long.
        """
        deadline = time.monotonic() + self._patience_s(turn)
        draws = None if self._episode_seed is None else stream(self._episode_seed, f"agent:{self.kind}", turn.step)
        parts = self._prompt.parts(turn)
        made = 0
        while made < self.max_calls_per_turn:
            request = self._request(turn.tools, parts, draws, must_call=self.require_call and made == 0)
            answer = turn.remember(request, partial(self._endpoint.ask, turn, request, deadline))
            self._report_usage(turn, answer)
            wanted = self._calls(turn, self._read(answer), first=made == 0)
            if not wanted:
                return
            for call in wanted[: self.max_calls_per_turn - made]:
                result = turn.submit(call.tool, call.args)
                parts.extend(self._prompt.call(turn.step, made, call.tool, call.args, result))
                made += 1

    def _patience_s(self, turn: Turn) -> float:
        """Return how long to go on in a turn: a little less than the engine, which leaves late agents behind."""
        left_s = turn.seconds_left
        if left_s is None:
            return self.turn_timeout_s
        return min(self.turn_timeout_s, left_s - min(_MARGIN_S, _MARGIN_SHARE * left_s))

    def _calls(self, turn: Turn, answer: Answer, *, first: bool) -> Sequence[Wanted]:
        """Return the calls of an answer; empty ends the turn."""
        text = answer.text
        if self.mode == "json_schema":
            return _json_calls(turn, text)
        if not answer.calls and not text.strip() and first:
            raise AgentFormatError("the model's answer is empty")
        if text.strip():
            turn.note(text)
        return answer.calls

    def _check(self) -> None:
        if self.mode not in ("tools", "json_schema"):
            raise UsageError(f"mode {self.mode!r} must be 'tools' or 'json_schema'")
        if self.mode == "json_schema" and self.max_tokens < JSON_MODE_MIN_TOKENS:
            raise UsageError(
                f"max_tokens {self.max_tokens} must be at least {JSON_MODE_MIN_TOKENS} in mode json_schema: "
                "white space the schema allows would cut answers off"
            )
        for name, least in _LEAST.items():
            value = getattr(self, name)
            # The comparisons are written so that NaN fails them.
            if value is not None and not least <= value < math.inf:
                raise UsageError(f"{name} {value!r} must be at least {least:g}")
        if not isinstance(self.template, Template):
            raise UsageError(f"template {self.template!r} must be a Template")
        for name in ("query", "extra_body"):
            self._check_recorded(name)

    def _check_recorded(self, name: str) -> None:
        given = getattr(self, name)
        try:
            json.dumps(given, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{name} {given!r} cannot be written as JSON: {error}") from None
        secret = [key for key in given if Redactor(()).is_secret_key(key)]
        if secret:
            raise UsageError(f"{name} has the key {secret[0]!r}, which looks secret, and is recorded; use header_env")


_UNDESCRIBED = frozenset({"timeout_s", "turn_timeout_s", "max_retries", "retry_wait_s"})
"""Settings that say how long to try and not what is tried."""

_LEAST = {
    "temperature": 0.0,
    "max_tokens": 1,
    "max_calls_per_turn": 1,
    "timeout_s": 1e-3,
    "turn_timeout_s": 1e-3,
    "max_retries": 0,
    "retry_wait_s": 0.0,
    "history_turns": 0,
}


def sendable_name(tool: str) -> str:
    """Return a tool's name in letters the APIs accept: one that a model made up is sent back to it, too."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:64] or "_"


def object_of(call: Called) -> dict[str, Any]:
    """Return the arguments of a call as an object that can be sent, whatever a model put there."""
    try:
        return mapping(_sendable(call.args))
    except RecursionError:
        return {}


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return sendable_text(value)
    if isinstance(value, dict):
        return {sendable_text(str(key)): _sendable(item) for key, item in value.items()}
    return [_sendable(item) for item in value] if isinstance(value, list) else value


def loads(text: str) -> Any:
    """Return parsed JSON of a model's.

    Raises
    ------
    AgentFormatError
        If it is none.
    """
    try:
        return json.loads(text)
    except MALFORMED:
        pass
    raise AgentFormatError(f"not valid JSON ({len(text)} characters): malformed or cut off")


def count(used: Mapping[str, Any], name: str) -> int:
    """Return a count of tokens an endpoint tells; what is no sensible number counts as not told."""
    value = used.get(name)
    return value if type(value) is int and 0 < value <= _MOST_TOKENS else 0


def mapping(value: Any) -> dict[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def server_name(*words: Any) -> str | None:
    """Return what an endpoint says it is, as one printable text; None where it says nothing."""
    said = " ".join(word for word in words if isinstance(word, str) and word)
    return said.encode("ascii", "backslashreplace").decode() or None


def _json_calls(turn: Turn, text: str) -> list[Wanted]:
    if not text.strip():
        raise AgentFormatError("the model's answer is empty")
    answer = loads(text)
    if not isinstance(answer, dict) or "tool" not in answer:
        raise AgentFormatError('the model\'s answer is no JSON object {"tool", "arguments"}')
    if answer["tool"] == end_name(turn.tools):
        return []
    return [Wanted(tool=answer["tool"], args=answer.get("arguments", {}))]
