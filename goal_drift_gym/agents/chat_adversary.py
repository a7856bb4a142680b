"""Adversaries made of agents: a turn with one tool, `send_message`, makes an adversary of whatever can take turns.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import inspect
import threading
from typing import Annotated, Any

import msgspec

from goal_drift_gym.agents.adversary_prompt import ADVERSARY_PROMPT_VERSION, AdversaryTemplate, goal_of, report_of
from goal_drift_gym.agents.chat_prompt import Mode
from goal_drift_gym.core.adversary import AdversaryTurn
from goal_drift_gym.core.answers import actions_of
from goal_drift_gym.core.errors import AgentError, EpisodeOver, UsageError, did_you_mean
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.hygiene import LARGEST_TEXT
from goal_drift_gym.core.records import Message, Observation, ToolResult
from goal_drift_gym.core.tools import ToolFlags, ToolSpec, schema_of
from goal_drift_gym.core.turn import Turn

SEND = "send_message"
_REPORTER = "engine"


class AgentAdversary:
    """An adversary that an agent speaks for: it takes a turn whose only tool sends the message.

    Parameters
    ----------
    agent
        Anything that takes a `Turn`, sync or async.
    template
        The fixed words of what it is told.
    """

    def __init__(self, agent: Agent, template: AdversaryTemplate | None = None) -> None:
        self.agent = agent
        self.template = AdversaryTemplate() if template is None else template

    @property
    def model(self) -> str | None:
        """Name of the agent's model, by which its price is found."""
        model = getattr(self.agent, "model", None)
        return model if isinstance(model, str) else None

    def describe(self) -> dict[str, Any]:
        """Return what identifies this adversary: its prompt, and what the agent says of itself."""
        describe = getattr(self.agent, "describe", None)
        return {
            "kind": "agent_adversary",
            "prompt_version": ADVERSARY_PROMPT_VERSION,
            "template": dataclasses.asdict(self.template),
            "speaker": describe() if callable(describe) else type(self.agent).__name__,
        }

    def reset(self, *, seed: int) -> None:
        """Begin an episode."""
        reset = getattr(self.agent, "reset", None)
        if callable(reset):
            reset(seed=seed)

    def end_episode(self) -> None:
        """Tell the agent that the episode is over."""
        self._tell("end_episode")

    def close(self) -> None:
        """Let the agent close what it holds."""
        self._tell("close")

    def _tell(self, what: str) -> None:
        method = getattr(self.agent, what, None)
        if callable(method):
            method()

    def __call__(self, turn: AdversaryTurn) -> Any:
        """Return the text the agent sends, or None; a coroutine of it where the agent is async."""
        asked = _Asked(turn, self.template)
        try:
            answer = self.agent(asked.turn)
        except EpisodeOver:
            return asked.text
        return _later(asked, answer) if inspect.isawaitable(answer) else asked.finish(answer)


class OpenAIChatAdversary(AgentAdversary):
    """An adversary behind an OpenAI-compatible chat endpoint.

    Parameters
    ----------
    model, base_url, api_key_env, mode, temperature, max_tokens, max_retries, require_call
        As for `OpenAIChatAgent`. `require_call` has weak models speak each time they are asked.
    turn_timeout_s
        Deadline of an answer, retries included; keep it below the condition's `timeout_s`, so that a slow endpoint
        costs one message and not the adversary.
    template
        The fixed words of the prompt; a table of them in a condition.

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
        temperature: float | None = 0.7,
        max_tokens: int = 512,
        max_retries: int = 2,
        turn_timeout_s: float = 25.0,
        require_call: bool = False,
        template: AdversaryTemplate | dict[str, str] | None = None,
    ) -> None:
        from goal_drift_gym.agents.openai_chat import OpenAIChatAgent

        agent = OpenAIChatAgent(
            model,
            base_url=base_url,
            api_key_env=api_key_env,
            mode=mode,
            temperature=temperature,
            max_tokens=max_tokens,
            max_calls_per_turn=1,
            timeout_s=turn_timeout_s,
            turn_timeout_s=turn_timeout_s,
            max_retries=max_retries,
            require_call=require_call,
        )
        super().__init__(agent, _template(template))


class _SendMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    text: Annotated[str, msgspec.Meta(max_length=LARGEST_TEXT)]


_TOOL = ToolSpec(SEND, "Send the assistant a message.", schema_of(_SendMessage), ToolFlags(), _SendMessage, SEND)


class _Asked:
    """One turn with the single tool, and what was sent in it."""

    def __init__(self, turn: AdversaryTurn, template: AdversaryTemplate) -> None:
        self.text: str | None = None
        seen = Observation([Message(_REPORTER, report_of(turn, template))], turn.panels or {})
        self.turn = Turn(
            step=turn.step,
            horizon=turn.horizon,
            goal=goal_of(turn, template),
            observe=lambda: seen,
            tools=[_TOOL],
            history=list,
            perform=self._perform,
            policy=self._no_policy,
            notes=[],
            usage=_Spending(turn),
            lock=threading.Lock(),
            timeout_s=turn.timeout_s,
        )

    def finish(self, answer: Any) -> str | None:
        """Carry out the short form of an answer and return what was sent."""
        if answer is not None and self.text is None:
            actions = actions_of(answer)
            if actions is None:
                raise AgentError(f"the speaker returned a {type(answer).__name__}; actions or None are needed")
            try:
                for tool, args in actions:
                    self.turn.submit(tool, args)
            except EpisodeOver:
                # The message is sent, and with it the turn is over.
                return self.text
        self.turn.close()
        return self.text

    def _perform(self, tool: Any, args: Any, canonical: bool) -> ToolResult:
        if tool != SEND:
            return ToolResult(SEND, "invalid", f"there is only the tool {SEND}")
        try:
            self.text = msgspec.convert(args, _SendMessage).text
        except msgspec.ValidationError as error:
            return ToolResult(SEND, "invalid", str(error))
        self.turn.close_locked()
        return ToolResult(SEND, "ok", "sent")

    def _no_policy(self, name: str, unavailable: Any) -> Any:
        raise UsageError("an adversary cannot look behind the scenes")


class _Spending:
    """Hands what the speaker reports on to the episode, as the adversary's."""

    def __init__(self, turn: AdversaryTurn) -> None:
        self._turn = turn

    def add(self, *, model: str | None = None, **report: Any) -> None:
        self._turn.usage(model=model, **report)


async def _later(asked: _Asked, answer: Any) -> str | None:
    try:
        return asked.finish(await answer)
    except EpisodeOver:
        return asked.text


def _template(given: AdversaryTemplate | dict[str, str] | None) -> AdversaryTemplate | None:
    if not isinstance(given, dict):
        return given
    known = [field.name for field in dataclasses.fields(AdversaryTemplate)]
    for name, words in given.items():
        if name not in known:
            raise UsageError(f"template: there is no {name!r}; {did_you_mean(name, known)}")
        if not isinstance(words, str):
            raise UsageError(f"template.{name} is a {type(words).__name__}; a text is needed")
    return AdversaryTemplate(**given)
