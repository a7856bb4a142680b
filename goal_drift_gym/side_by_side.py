"""Episodes side by side in one process: each on a thread of its own, directed by the thread that asked for them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextvars
import gc
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from goal_drift_gym.core.cohort import Cohort, Displaced
from goal_drift_gym.core.errors import UsageError

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_EPISODES = 1024
"""More at once would need more open files than most systems give a process."""

_POLL_S = 0.5
_CLOSING_S = 10.0
_SWITCH_S = 0.02
_YOUNG = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Generic[Key, Value]):
    """What became of an episode."""

    key: Key
    value: Value | None
    error: BaseException | None


def check_concurrency(count: int, name: str) -> int:
    """Return a number of episodes to run at once, if it is one.

    Raises
    ------
    UsageError
        If it is below 1 or above 1024.
    """
    if not 1 <= count <= MOST_EPISODES:
        raise UsageError(f"{name} {count}: give 1 to {MOST_EPISODES} episodes at once")
    return count


class _Ease:
    """Has the interpreter change threads, and look for cycles in memory, less often than it does by default.

    Where hundreds of threads work for less than a millisecond at a time and keep what they recorded, both cost about
    as much as the work. What somebody set to be rarer still is left as it is.
    """

    def __init__(self) -> None:
        self._found: tuple[float, tuple[int, int, int]] | None = None

    def begin(self) -> None:
        if self._found is None:
            interval, thresholds = self._found = sys.getswitchinterval(), gc.get_threshold()
            young, *older = thresholds
            sys.setswitchinterval(max(interval, _SWITCH_S))
            # 0 means never.
            gc.set_threshold(max(young, _YOUNG) if young else 0, *older)

    def end(self) -> None:
        if self._found is not None:
            interval, thresholds = self._found
            self._found = None
            sys.setswitchinterval(interval)
            gc.set_threshold(*thresholds)


class SideBySide(Generic[Key, Value]):
    """Runs episodes on threads and gives back what became of them, as they end.

    Only the thread that made it may use it. Its threads never outlive it in the middle of an episode: `close` stops
    those that run, and waits until their run directories are closed. The threads of agents that hang are left behind.
    """

    def __init__(self) -> None:
        self.cohort = Cohort()
        self.running = 0
        """Episodes that were started and not given back yet."""
        self._ended: queue.SimpleQueue[Ended[Key, Value]] = queue.SimpleQueue()
        self._ease = _Ease()

    def start(self, key: Key, play: Callable[[Cohort, bool], Value]) -> None:
        """Start an episode.

        Parameters
        ----------
        play
            Runs it, given its cohort and whether an async agent needs an event loop of its own: an episode that was
            displaced from the loop of all is played once more with one.
        """
        self._ease.begin()
        context = contextvars.copy_context()
        target = threading.Thread(
            target=context.run, args=(self._run, key, play), name="goal-drift-episode", daemon=True
        )
        target.start()
        self.running += 1

    def wait(self, within_s: float | None = None) -> Ended[Key, Value]:
        """Return the next episode that ends.

        Raises
        ------
        TimeoutError
            If none does within the time.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        while True:
            left_s = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
            try:
                # In pieces, because a wait without end does not hear of a Ctrl-C on every system.
                ended = self._ended.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError from None
                continue
            self.running -= 1
            return ended

    def close(self) -> list[Ended[Key, Value]]:
        """Stop what runs and return what became of it."""
        if self.running:
            self.cohort.stop()
        deadline = time.monotonic() + _CLOSING_S
        left: list[Ended[Key, Value]] = []
        try:
            while self.running:
                left.append(self.wait(max(deadline - time.monotonic(), 0.0)))
        except TimeoutError:
            pass  # Its run directory has no end then, which is what it is.
        finally:
            self.cohort.close()
            self._ease.end()
        return left

    def _run(self, key: Key, play: Callable[[Cohort, bool], Value]) -> None:
        value: Value | None = None
        failure: BaseException | None = None
        try:
            try:
                value = play(self.cohort, False)
            except Displaced:
                value = play(self.cohort, True)
        except BaseException as error:
            failure = error
        self._ended.put(Ended(key=key, value=value, error=failure))
