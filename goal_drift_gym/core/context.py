"""What an agent still sees of its earlier turns.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from goal_drift_gym.core.canonical import CHARACTERS_PER_TOKEN, line_json
from goal_drift_gym.core.condition import Memory
from goal_drift_gym.core.shapers.base import Step
from goal_drift_gym.core.turn import PastTurn


class Context:
    """The earlier turns in an agent's context, cut to what the condition's memory allows.

    `shown` makes of a turn what the agent may see: its own copy, in the names it knows, without weights.
    """

    def __init__(self, memory: Memory, shown: Callable[[PastTurn], PastTurn]) -> None:
        self._memory = memory
        self._shown = shown
        self._turns: deque[PastTurn] = deque()
        self._views: deque[PastTurn | None] = deque()
        self._tokens: deque[int] = deque()
        self._total = 0
        self._truncated = False

    def turns(self) -> list[PastTurn]:
        """Return the turns, oldest first; each is made ready once, when it is first looked at."""
        views: list[PastTurn] = []
        for index, view in enumerate(self._views):
            if view is None:
                view = self._views[index] = self._shown(self._turns[index])
            views.append(view)
        return views

    def begin(self, step: Step) -> None:
        """Forget what a summary of this step stands for."""
        if self._memory.summary_mode == "instead" and any(event.kind == "summary" for event in step.events):
            self._turns.clear()
            self._views.clear()
            self._tokens.clear()
            self._total = 0

    def add(self, turn: PastTurn, step: Step) -> None:
        """Take in a finished turn and drop what no longer fits; the first drop, and each by tokens, is logged."""
        memory = self._memory
        self._turns.append(turn)
        self._views.append(None)
        dropped = 0
        if memory.context_tokens is not None:
            self._tokens.append(len(line_json(turn)) // CHARACTERS_PER_TOKEN)
            self._total += self._tokens[-1]
            while self._total > memory.context_tokens and self._turns:
                self._drop()
                dropped += 1
        if len(self._turns) > memory.context_steps:
            self._drop()
            dropped += not self._truncated
        if dropped:
            self._truncated = True
            step.event("truncation", "memory", turns=dropped)

    def _drop(self) -> None:
        self._turns.popleft()
        self._views.popleft()
        if self._tokens:
            self._total -= self._tokens.popleft()
