"""A turn: one step from the agent's side.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from goal_drift_gym.core.errors import EpisodeOver
from goal_drift_gym.core.records import Action, Call, Observation, ToolResult
from goal_drift_gym.core.tools import ToolSpec


class PastTurn(msgspec.Struct, frozen=True, gc=False):
    """An earlier turn as it stands in the agent's context."""

    step: int
    observation: Observation
    calls: list[Call]
    notes: list[str]


class Usage(msgspec.Struct):
    """What an agent reports it has spent; never part of the score."""

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    retries: int = 0
    cost: float | None = None
    """Money, in the currency of the price list; `None` where no price is known."""
    unpriced: int = 0
    """Reports of tokens whose price is not known; `cost` does not cover them."""

    def add(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        calls: int = 0,
        retries: int = 0,
        cost: float | None = None,
    ) -> None:
        """Add to the totals.

        Raises
        ------
        ValueError
            If a number is negative, or the cost is not finite.
        """
        counts = [int(count) for count in (input_tokens, output_tokens, calls, retries)]
        money = 0.0 if cost is None else float(cost)
        if min(counts) < 0 or not 0.0 <= money < math.inf:
            raise ValueError(f"usage cannot be negative or infinite, got {counts} and cost {cost!r}")
        self.input_tokens += counts[0]
        self.output_tokens += counts[1]
        self.calls += counts[2]
        self.retries += counts[3]
        if cost is not None:
            self.cost = money + (self.cost or 0.0)


class Spender(Protocol):
    """Who takes reports of usage."""

    def add(self, *, model: str | None = None, **report: Any) -> None:
        """Take a report, with the numbers that `Usage.add` takes."""
        ...


Perform = Callable[[Any, Any, bool], ToolResult]
Policy = Callable[[str, Sequence[Action]], list[Action]]


class Turn:
    """What an agent is called with, once a step.

    Look at `observation`, call tools with `call`, and return to end the turn. Returning a list of actions, such as
    `[("run_tests", {"pr": "pr3"})]`, is the short form: they are carried out in order.
    """

    __slots__ = (
        "_closed", "_history", "_lock", "_notes", "_observation", "_observe", "_perform", "_policy", "_usage", "goal",
        "horizon", "step", "tools",
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
        self._history = history
        self._perform = perform
        self._policy = policy
        self._notes = notes
        self._usage = usage
        self._lock = lock
        self._closed = False

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
            return self._perform(tool, args, False)

    def perform(self, action: Action) -> ToolResult:
        """Make a call in the scenario's own names, whatever the anonymisation: for reference agents and replays."""
        with self._lock:
            self._check_open()
            return self._perform(action.tool, action.args, True)

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
        calls: int = 0,
        retries: int = 0,
        cost: float | None = None,
        model: str | None = None,
    ) -> None:
        """Report what was spent.

        A call may be reported before it is made, without tokens and cost; then it is refused where a limit of the
        budget is spent. Where `cost` is not given it is worked out, if a price of the model is known; `model` is by
        default the agent's `model`.

        Raises
        ------
        EpisodeOver
            When a limit of the budget is reached.
        """
        self._usage.add(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            calls=calls,
            retries=retries,
            cost=cost,
            model=model,
        )

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
