"""What the bridges to frameworks have in common: tools that act in the present turn, the prompt, the limits.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Literal, Protocol

from goal_drift_gym.agents.bridges.faults import translated
from goal_drift_gym.agents.call_mode import CallModeAgent, StepEnd
from goal_drift_gym.agents.chat_prompt import PROMPT_VERSION, ChatPrompt, Part, Said, Template
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.core.errors import AgentFormatError, EpisodeOver, MissingExtra, UsageError
from goal_drift_gym.core.turn import Turn

History = Literal["condition", "framework"]
Make = Callable[[list[Any]], Any]
Call = Callable[[str, Any], Awaitable[str]]


class AnyTool(Protocol):
    """A tool of a turn or of a whole episode."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def description(self) -> str:
        """What the model reads of it."""

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments: an object."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a run of the framework starts with."""

    rules: str
    """Goal and rules, for the system prompt."""
    earlier: list[Any]
    """What came before, in the framework's form."""
    present: str
    """What the model is to answer."""
    max_requests: int
    """The framework's own turn limit."""
    spend: Callable[..., None]
    """Takes what `Turn.usage` takes, while the run goes on: with a limit reached, it ends the run there and then."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a run of the framework ended with."""

    said: str
    """The model's last words; empty where there were none."""
    messages: list[Any]
    """What the next run has to know of, in the framework's form, without the system message."""


@dataclasses.dataclass(slots=True)
class Present:
    """The turn a run of the framework takes."""

    turn: Turn
    opening: Opening
    calls: list[Part] = dataclasses.field(default_factory=list)
    """The calls made so far with their results."""
    is_over: bool = False
    is_remembered: bool = False
    """The framework's messages of this turn are kept."""


_PRESENT: ContextVar[Present | None] = ContextVar("present", default=None)


class FrameworkAgent:
    """Base of the bridges: one run of the framework's agent a turn, whose tools act in that turn.

    Parameters
    ----------
    make
        Called once an episode with the framework's form of the scenario's tools; returns the framework's agent. What
        it returns must share nothing that an episode changes: episodes may run at the same time.
    history
        `condition`: in every turn the agent reads what the condition's memory holds, laid out as chat_prompt.py
        says. `framework`: the framework's own messages go on from turn to turn, and the condition's memory only
        counts where an episode is resumed or starts with a prefix.
    history_turns
        Show at most this many of the newest earlier turns; `None` shows all. Only where `history` is `condition`.
    max_calls_per_turn
        The turn ends with this many calls, >= 1; the model reads the result of the last one in its next turn.
    slack
        Model requests a turn may take beyond one a call, >= 1: to end the turn, to use tools of its own, to try
        again. Together they are the framework's own turn limit.
    template
        The fixed words of the prompt.
    model
        Name of the model: for its price, and for config.json.
    about
        What else identifies the agent; written into config.json, so without secrets.

    Raises
    ------
    MissingExtra
        If the framework is not installed.
    UsageError
        If a setting is out of range.
    """

    kind: ClassVar[str]
    """Name of the bridge in config.json."""
    packages: ClassVar[tuple[str, ...]]
    """Modules that must be there."""
    extra: ClassVar[str]
    default_template: ClassVar[Template] = Template()

    def __init__(
        self,
        make: Make,
        *,
        history: History = "condition",
        history_turns: int | None = None,
        max_calls_per_turn: int = 8,
        slack: int = 4,
        template: Template | None = None,
        model: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, self.extra)
        if not callable(make):
            raise UsageError(
                f"make is a {type(make).__name__}; a function is needed that takes the scenario's tools and returns "
                "the framework's agent"
            )
        if history not in ("condition", "framework"):
            raise UsageError(f"history {history!r} must be 'condition' or 'framework'")
        for name, value, least in (
            ("history_turns", history_turns, 0), ("max_calls_per_turn", max_calls_per_turn, 1), ("slack", slack, 1)
        ):  # fmt: skip
            if value is not None and not value >= least:
                raise UsageError(f"{name} {value!r} must be at least {least}")
        self.make = make
        self.history: History = history
        self.history_turns = history_turns
        self.max_calls_per_turn = max_calls_per_turn
        self.slack = slack
        self.template = self.default_template if template is None else template
        self.model = model
        self.about = dict(about or {})
        self._prompt = ChatPrompt("tools", self.template, history_turns)
        self._forget()

    def _forget(self) -> None:
        self._agent: Any = None
        self._present: Present | None = None
        self._own_history: list[Any] | None = None
        self._lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """Return the settings that make up this agent, without any secret."""
        made_by = self.make if hasattr(self.make, "__qualname__") else type(self.make)
        return {
            "kind": self.kind,
            "make": f"{made_by.__module__}:{made_by.__qualname__}",
            "model": self.model,
            "history": self.history,
            "history_turns": self.history_turns,
            "max_calls_per_turn": self.max_calls_per_turn,
            "slack": self.slack,
            "prompt_version": PROMPT_VERSION,
            "template": dataclasses.asdict(self.template),
            "about": self.about,
        }

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode with an agent made anew."""
        self._forget()

    def for_episode(self) -> FrameworkAgent:
        """Return a copy for an episode at the same time, which shares nothing but `make`."""
        other = copy.copy(self)
        other._forget()
        return other

    @property
    def max_requests(self) -> int:
        """Model requests one turn may take."""
        return self.max_calls_per_turn + self.slack

    # --- in turn mode

    async def __call__(self, turn: Turn) -> None:
        """Play one turn.

        Raises
        ------
        AgentError
            Of the kind that says what became of the model: silent, late, out of reach, rejecting.
        """
        with self._taking(turn) as present:
            self._finish(present, await self._ask(self._agent, present.opening))

    @contextmanager
    def _taking(self, turn: Turn) -> Iterator[Present]:
        """Have the tools act in `turn` while the framework runs, and say in our words what it raises."""
        self._remember_what_was_cut_off()
        present = self._present = Present(turn, self._opening(turn))
        token = _PRESENT.set(present)
        try:
            with translated():
                if self._agent is None:
                    self._agent = self.make(self._tools(turn.tools, self._call))
                yield present
        finally:
            present.is_over = True
            _PRESENT.reset(token)

    def _act(self, tool: str, args: Any) -> str:
        """Make a call in the present turn and return what the model is to read."""
        with self._lock:
            # A run that was called off may take a while to end and must not act in the next turn. Where a framework
            # calls tools in a thread without a context, the newest turn is meant.
            present = _PRESENT.get() or self._present
            if present is None or present.is_over:
                raise EpisodeOver("a tool was called when its turn had ended")
            step, index = present.turn.step, len(present.calls)
            result = present.turn.submit(tool, args)
            present.calls.extend(self._prompt.call(step, index, tool, args, result))
            if len(present.calls) >= self.max_calls_per_turn:
                # At once: one more request would only bring an answer that nobody could act on.
                present.is_over = True
                raise EpisodeOver(f"the turn ends after {self.max_calls_per_turn} calls")
            return self._prompt.result(result)

    async def _call(self, tool: str, args: Any) -> str:
        return self._act(tool, args)

    def _opening(self, turn: Turn) -> Opening:
        parts = self._prompt.parts(turn)
        rules = next((part.text for part in parts if isinstance(part, Said) and part.role == "system"), "")
        *earlier, present = [part for part in parts if not (isinstance(part, Said) and part.role == "system")]
        assert isinstance(present, Said)
        return Opening(
            rules=rules,
            earlier=self._messages(earlier) if self._own_history is None else self._own_history,
            present=present.text,
            max_requests=self.max_requests,
            spend=turn.usage,
        )

    def _finish(self, present: Present, reply: Reply) -> None:
        present.is_remembered = True
        if self.history == "framework":
            self._own_history = reply.messages
        if reply.said.strip():
            present.turn.note(reply.said)
        elif not present.calls:
            raise AgentFormatError("the model's answer is empty")

    def _remember_what_was_cut_off(self) -> None:
        """Write the last turn into the framework's history where its run did not come to its end."""
        last = self._present
        if self.history == "framework" and last is not None and not last.is_remembered:
            cut_off = self._messages([Said("user", last.opening.present), *last.calls])
            self._own_history = [*last.opening.earlier, *cut_off]

    # --- in call mode

    def in_call_mode(
        self, *, end_step: StepEnd = "each_call", step_timeout_s: float = 300.0, most_silent_steps: int = 3
    ) -> CallModeAgent:
        """Return an agent whose framework's run lasts as long as the episode; each call it makes is one step.

        An answer without a call ends a step too: the run then goes on with what the next step shows. The condition's
        memory does not count, for the framework keeps its messages itself.

        Parameters
        ----------
        end_step, step_timeout_s, most_silent_steps
            As in `CallModeAgent`.
        """
        per_step = 1 if end_step == "each_call" else self.max_calls_per_turn + 1
        unused = ("model", "history", "history_turns", "template", "prompt_version")
        described = {name: value for name, value in self.describe().items() if name not in unused}
        return CallModeAgent(
            lambda episode: self.live(episode, episode.horizon * per_step + self.slack),
            name=f"{type(self).__module__}:{type(self).__qualname__}",
            description={"model": self.model, "bridge": described},
            end_step=end_step,
            step_timeout_s=step_timeout_s,
            most_silent_steps=most_silent_steps,
        )

    async def live(self, episode: LiveEpisode, max_requests: int) -> None:
        """Live through an episode."""
        with translated():
            agent = self.make(self._tools(episode.tools, episode.acall))
        opening = self.first_opening(episode, max_requests)
        while True:
            with translated():
                reply = await self._ask(agent, opening)
            if reply.said.strip():
                episode.note(reply.said)
            opening = following(opening, reply, await episode.acall(episode.end_tool))

    def first_opening(self, episode: LiveEpisode, max_requests: int) -> Opening:
        """Return what the framework's first run in an episode starts with."""
        rules = episode.instructions
        return Opening(
            rules=rules,
            earlier=[],
            present=episode.first_prompt.removeprefix(rules).lstrip(),
            max_requests=max_requests,
            spend=episode.usage,
        )

    # --- what each framework does its own way

    def _tools(self, specs: Sequence[AnyTool], call: Any) -> list[Any]:
        """Return the framework's form of tools, which hand name and arguments to `call`."""
        raise NotImplementedError

    def _messages(self, parts: Sequence[Part]) -> list[Any]:
        """Return the framework's form of a prompt's parts."""
        raise NotImplementedError

    async def _ask(self, agent: Any, opening: Opening) -> Reply:
        """Run the framework's agent until it answers without a call."""
        raise NotImplementedError


def following(opening: Opening, reply: Reply, shown: str) -> Opening:
    """Return what goes on from a reply with what the next step shows."""
    return dataclasses.replace(opening, earlier=reply.messages, present=shown)


def by_keyword(tool: str, call: Call) -> Callable[..., Awaitable[str]]:
    """Return a tool's function for frameworks that pass arguments by keyword."""

    async def function(**args: Any) -> str:
        return await call(tool, args)

    return function


def function_name(tool: str) -> str:
    """Return a name that APIs accept for a tool a model made up."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:64] or "_"


def text_of(said: Any) -> str:
    """Return what an agent ended with as text; structured output is written as it prints."""
    return "" if said is None else str(said)
