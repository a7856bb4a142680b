"""A turn: one step from the agent's side.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, Protocol

import msgspec

from goal_drift_gym.core.errors import EpisodeOver
from goal_drift_gym.core.records import Action, Call, Observation, ToolResult
from goal_drift_gym.core.tools import ToolSpec

_MAX_SERVERS, _MAX_SERVER_NAME, _OTHER_SERVERS = 16, 120, "(others)"


class PastTurn(msgspec.Struct, frozen=True, gc=False):
    """An earlier turn as it stands in the agent's context."""

    step: int
    observation: Observation
    calls: list[Call]
    notes: list[str]


class Usage(msgspec.Struct):
    """What an agent reports it has spent; never part of the score."""

    input_tokens: int = 0
    """All tokens read, cached ones included."""
    output_tokens: int = 0
    """All tokens written, reasoning included."""
    cached_tokens: int = 0
    """Share of the input that came from a prompt cache."""
    cache_write_tokens: int = 0
    """Share of the input that was put into a prompt cache."""
    reasoning_tokens: int = 0
    """Share of the output that the model thought and did not say."""
    calls: int = 0
    """Requests sent, repeated ones included."""
    retries: int = 0
    unmetered_calls: int = 0
    """Requests whose tokens nobody told, such as those that were cut off: with any, the tokens are a lower bound."""
    cost: float | None = None
    """Money, in the currency of the price list; `None` where no price is known."""
    unpriced: int = 0
    """Reports of tokens whose price is not known; `cost` does not cover them."""
    served_by: dict[str, int] = {}
    """Answers by the model and fingerprint that the endpoint says gave them."""

    def add(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
        calls: int = 0,
        retries: int = 0,
        unmetered_calls: int = 0,
        cost: float | None = None,
        served_by: str | None = None,
    ) -> None:
        """Add to the totals.

        Raises
        ------
        ValueError
            If a number is negative, or the cost is not finite.
        """
        counts = {
            "input_tokens": int(input_tokens),
            "output_tokens": int(output_tokens),
            "cached_tokens": int(cached_tokens),
            "cache_write_tokens": int(cache_write_tokens),
            "reasoning_tokens": int(reasoning_tokens),
            "calls": int(calls),
            "retries": int(retries),
            "unmetered_calls": int(unmetered_calls),
        }
        money = 0.0 if cost is None else float(cost)
        if min(counts.values()) < 0 or not 0.0 <= money < math.inf:
            raise ValueError(f"usage cannot be negative or infinite, got {counts} and cost {cost!r}")
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        if cost is not None:
            self.cost = money + (self.cost or 0.0)
        if served_by is not None:
            # What an endpoint says is not trusted to be short, or to be few things.
            name = served_by[:_MAX_SERVER_NAME] if len(self.served_by) < _MAX_SERVERS else _OTHER_SERVERS
            self.served_by[name] = self.served_by.get(name, 0) + 1


class Spender(Protocol):
    """Who takes reports of usage."""

    def add(self, *, model: str | None = None, **report: Any) -> None:
        """Take a report, with the numbers that `Usage.add` takes."""
        ...


Perform = Callable[[Any, Any, bool], ToolResult]
Heard = Callable[[Any, Any, bool, ToolResult], None]
Recall = Callable[[Any, Callable[[], Any]], Any]
Policy = Callable[[str, Sequence[Action]], list[Action]]


class Turn:
    """What an agent is called with, once a step.

    Look at `observation`, call tools with `call`, and return to end the turn. Returning a list of actions, such as
    `[("run_tests", {"pr": "pr3"})]`, is the short form: they are carried out in order.
    """

    __slots__ = (
        "_closed", "_deadline", "_heard", "_history", "_lock", "_notes", "_observation", "_observe", "_perform",
        "_policy", "_recall", "_usage", "goal", "horizon", "own_checks", "step", "tools",
    )  # fmt: skip

    def __init__(
        self,
        *,
        step: int,
        horizon: int,
        goal: str | None,
        observe: Callable[[], Observation],
        tools: list[ToolSpec],
        history: Callable[[], list[PastTurn]],
        perform: Perform,
        policy: Policy,
        notes: list[str],
        usage: Spender,
        lock: threading.Lock,
        timeout_s: float | None = None,
        own_checks: Collection[str] = (),
    ) -> None:
        self.step = step
        """Index of this step, from 0."""
        self.horizon = horizon
        """Number of steps of the episode."""
        self.goal = goal
        """The goal prompt; `None` where the condition tells it in the messages instead."""
        self._observe = observe
        self._observation: Observation | None = None
        self.tools = tools
        """The tools that may be called: name, description, parameters (JSON Schema), flags."""
        self.own_checks = own_checks
        """The tools that check, in the scenario's own names as `policy` gives them, whatever the anonymisation."""
        self._history = history
        self._perform = perform
        self._policy = policy
        self._notes = notes
        self._usage = usage
        self._lock = lock
        self._heard: Heard | None = None
        self._recall: Recall | None = None
        self._closed = False
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def observation(self) -> Observation:
        """What the agent is shown: messages, panels, and results that arrive late. The agent's own copy."""
        if self._observation is None:
            self._observation = self._observe()
        return self._observation

    @property
    def history(self) -> list[PastTurn]:
        """Earlier turns, oldest first, as far as the condition's memory reaches."""
        return self._history()

    def call(self, tool: str, /, **args: Any) -> ToolResult:
        """Call a tool now and return its result.

        A call that does not fit the tool's schema gives a result with status `invalid` and changes nothing.

        Raises
        ------
        EpisodeOver
            When the turn has ended.
        """
        return self.submit(tool, args)

    def submit(self, tool: Any, args: Any) -> ToolResult:
        """Call a tool with arguments of any type, as they came from a model; bad ones give an `invalid` result."""
        with self._lock:
            self._check_open()
            result = self._perform(tool, args, False)
            if self._heard is not None:
                self._heard(tool, args, False, result)
            return result

    def perform(self, action: Action) -> ToolResult:
        """Make a call in the scenario's own names, whatever the anonymisation: for reference agents and replays."""
        with self._lock:
            self._check_open()
            result = self._perform(action.tool, action.args, True)
            if self._heard is not None:
                self._heard(action.tool, action.args, True, result)
            return result

    def policy(self, name: Literal["reference", "competing"], unavailable: Sequence[Action] = ()) -> list[Action]:
        """Return what a scenario's policy would do now: for reference agents, which may look behind the scenes."""
        self._check_open()
        return self._policy(name, unavailable)

    def note(self, text: str) -> None:
        """Keep a remark, such as a model's own words, beside the calls. It is logged and never scored."""
        with self._lock:
            self._check_open()
            self._notes.append(text)

    def usage(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
        calls: int = 0,
        retries: int = 0,
        unmetered_calls: int = 0,
        cost: float | None = None,
        model: str | None = None,
        served_by: str | None = None,
    ) -> None:
        """Report what was spent; see `Usage` for what each number means.

        A call may be reported before it is made, without tokens and cost; then it is refused where a limit of the
        budget is spent. Where `cost` is not given it is worked out, if a price of the model is known; `model` is by
        default the agent's `model`.

        Raises
        ------
        EpisodeOver
            When a limit of the budget is reached.
        """
        try:
            self._usage.add(
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cached_tokens=cached_tokens,
                cache_write_tokens=cache_write_tokens,
                reasoning_tokens=reasoning_tokens,
                calls=calls,
                retries=retries,
                unmetered_calls=unmetered_calls,
                cost=cost,
                model=model,
                served_by=served_by,
            )
        except EpisodeOver:
            # Whoever swallows the stop shall not act on, either.
            self.close()
            raise

    @property
    def is_over(self) -> bool:
        """Whether this turn has ended, for instance because its time is up: nothing done now counts any more."""
        return self._closed

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the engine gives up waiting for this turn, never below 0; None where it waits for ever."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def notes(self) -> list[str]:
        """The remarks of this turn so far: a copy."""
        return self._notes.copy()

    def remember(self, request: Any, ask: Callable[[], Any]) -> Any:
        """Return what `ask()` returns: the answer of a model to `request`, both plain JSON.

        A tape keeps the answer. When the episode was cut off later in this turn and is resumed, the agent is called
        again and gets the kept answer here, as long as its request is the same, without `ask` being called. One
        after the other: answers are told apart by their order.
        """
        return ask() if self._recall is None else self._recall(request, ask)

    def watch(self, heard: Heard, recall: Recall) -> None:
        """Have each call and its result told before the agent gets the result, and `remember` answered: for tapes.

        `heard` is called while the turn is locked: not after it has ended, and not twice at a time.
        """
        self._heard, self._recall = heard, recall

    def close(self) -> None:
        """End the turn; whoever still holds it can no longer act."""
        with self._lock:
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EpisodeOver("this turn has ended")

    def close_locked(self) -> None:
        """End the turn from inside a call, where the lock is held already."""
        self._closed = True
