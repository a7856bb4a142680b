"""Asking an agent: sync or async, with a deadline, without letting it hang the episode.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextvars
import inspect
import queue
import threading
import time
from collections.abc import Callable
from types import CodeType
from typing import Any, NoReturn

from goal_drift_gym.core.cohort import AgentLoop, Asked, Cohort, Displaced
from goal_drift_gym.core.errors import AgentTimeout
from goal_drift_gym.core.turn import Turn

Agent = Callable[[Turn], Any]

_STARVED = 0.5
"""An answer that is late on a loop that others blocked for this share of the time is not held against the agent."""


class AgentHost:
    """Calls one agent turn by turn.

    Without a time limit a sync agent runs in the caller's thread. With one it runs in a daemon thread of its own:
    a thread that does not come back is left behind and the host is `stuck`. Async agents live on one event loop in
    such a thread for the whole episode, so they work inside a running loop too, and are cancelled on time-out; where
    the agent is a plain coroutine function no second thread is needed to call it.

    Parameters
    ----------
    agent
        Called with each turn.
    timeout_s
        Seconds it may take for one; None: as long as it likes.
    cohort
        The episodes that run beside this one. Stopping them wakes whoever waits here.
    own_loop
        Give an async agent a loop of its own all the same.
    """

    def __init__(
        self, agent: Agent, timeout_s: float | None, *, cohort: Cohort | None = None, own_loop: bool = False
    ) -> None:
        inline = bool(getattr(agent, "runs_inline", False))
        self._agent = agent
        self._timeout_s = None if inline else timeout_s
        # Only one that waits in another thread can be woken.
        self._in_caller = inline or (timeout_s is None and cohort is None)
        self._only_makes_coroutine = _is_coroutine_function(agent)
        self._cohort = cohort
        self._shares_loop = cohort is not None and not own_loop
        self._left_s: Callable[[], float | None] | None = None
        self._worker: _Worker | None = None
        self._loop: AgentLoop | None = None
        self._asked: Asked | None = None
        self.stuck = False
        """The agent did not come back; it cannot be asked again."""
        self._raised: BaseException | None = None
        if cohort is not None:
            cohort.join(self._wake)

    def limit_time(self, left_s: Callable[[], float | None]) -> None:
        """Wait no longer than a budget allows; `left_s` says how long, which may become more while the agent works."""
        self._left_s = None if getattr(self._agent, "runs_inline", False) else left_s

    def is_of_agent(self, error: BaseException) -> bool:
        """Whether an exception that came out of `ask` is the agent's, and not an interruption by whoever runs it.

        What an agent raises in a thread of its own is; in the caller's thread a signal may have raised it, as a
        Ctrl-C or a test's own timeout does.
        """
        if isinstance(error, (Exception, SystemExit)):
            return True
        return error is self._raised and not isinstance(error, KeyboardInterrupt)

    @property
    def cohort(self) -> Cohort | None:
        """The episodes that run beside this one."""
        return self._cohort

    def ask(self, turn: Turn) -> Any:
        """Return the agent's answer to a turn.

        Raises
        ------
        AgentTimeout
            If there was no answer within the limit.
        KeyboardInterrupt
            If the episodes of this cohort were stopped.
        Displaced
            If another agent blocked the loop that this one lives on.
        """
        if self._only_makes_coroutine or (self._in_caller and self._left_s is None):
            self._check_going()
            answer = self._agent(turn)
        else:
            answer = self._in_worker(turn)
        if answer is not None and inspect.isawaitable(answer):
            return self._on_loop(answer)
        return answer

    def _wait(self, get: Callable[[float | None], Any], nothing: type[Exception]) -> Any:
        """Return what `get(timeout)` returns; it is called again where the budget has left more time meanwhile.

        Raises
        ------
        AgentTimeout
            If it raised `nothing` until the end of the time limit or of the budget.
        """
        begun = time.monotonic()
        while True:
            left = [] if self._timeout_s is None else [self._timeout_s - (time.monotonic() - begun)]
            allowed = None if self._left_s is None else self._left_s()
            left += [] if allowed is None else [allowed]
            if left and min(left) <= 0.0:
                limit = "the time of its budget" if self._timeout_s is None else f"{self._timeout_s:g} s"
                raise AgentTimeout(f"no answer within {limit}")
            try:
                return get(min(left, default=None))
            except nothing:
                continue

    def close(self) -> None:
        """Tell the agent that the episode is over, and let go of threads and loops."""
        if self._cohort is not None:
            self._cohort.leave(self._wake)
        try:
            self._tell_end()
        finally:
            if self._worker is not None:
                self._worker.stop()
                self._worker = None
            if self._loop is not None and not self._shares_loop:
                self._loop.close()
            self._loop = None

    def _tell_end(self) -> None:
        end_episode = getattr(self._agent, "end_episode", None)
        if not callable(end_episode):
            return
        try:
            ended = end_episode()
            if inspect.isawaitable(ended):
                self._on_loop(ended)
        except (Exception, SystemExit, Displaced):
            # The episode has its end and its record; nothing an agent does afterwards changes them.
            return

    def _check_going(self) -> None:
        if self._cohort is not None and self._cohort.stopped:
            raise KeyboardInterrupt

    def _wake(self) -> None:
        """End the wait of whoever asks; called from another thread, after the cohort is marked as stopped."""
        worker, asked = self._worker, self._asked
        if worker is not None:
            worker.wake()
        if asked is not None:
            asked.cancel()

    def _in_worker(self, turn: Turn) -> Any:
        if self._worker is None:
            self._worker = _Worker()
        # After the worker is in place, so that a stop either shows here or finds somebody to wake.
        self._check_going()
        worker = self._worker
        worker.begin(lambda: self._agent(turn))
        try:
            answer, error = self._wait(worker.answer, queue.Empty)
        except AgentTimeout:
            self.stuck = True
            # Should it ever come back, its thread ends.
            worker.stop()
            self._worker = None
            raise
        if error is not None:
            self._raised = error
            raise error
        return answer

    def _on_loop(self, answer: Any) -> Any:
        if self._loop is None:
            self._loop = self._cohort.loop() if self._shares_loop and self._cohort is not None else AgentLoop()
        begun, blocked_s = time.monotonic(), self._loop.blocked_s()
        asked = self._asked = self._loop.ask(answer)
        try:
            # After it is in place, so that a stop either shows here or finds something to cancel.
            self._check_going()
            if self._loop.is_lost:
                asked.cancel()
            ended = self._wait(asked.wait, queue.Empty)
        except AgentTimeout as late:
            asked.cancel()
            self._late(late, asked, self._loop.blocked_s() - blocked_s, time.monotonic() - begun)
        finally:
            self._asked = None
        if ended is None:
            self._check_going()
            raise Displaced("the agent of another episode blocks the event loop")
        value, error = ended
        if error is not None:
            self._raised = error
            raise error
        return value

    def _late(self, late: AgentTimeout, asked: Asked, blocked_s: float, waited_s: float) -> NoReturn:
        """Raise what a late answer is: the agent's own fault, or that of the agents beside it on the loop."""
        import asyncio

        assert self._loop is not None
        if self._shares_loop:
            if asked.task is not None and asyncio.current_task(self._loop.loop) is asked.task:
                # It does not yield, so it cannot be cancelled. The others on this loop wait in vain.
                self.stuck = True
                self._loop.lose()
            elif blocked_s > _STARVED * waited_s:
                raise Displaced("the agents of other episodes held the event loop up") from None
        elif not self._loop.turns():
            self.stuck = True
        raise late from None


def _is_coroutine_function(agent: Any) -> bool:
    """Whether calling it runs nothing of it, which is more than that it returns an awaitable."""
    function = agent if inspect.isroutine(agent) else type(agent).__call__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & inspect.CO_COROUTINE)


class _Worker:
    """A daemon thread that runs one call at a time."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        # What the caller has set holds for the agent too, and what the agent sets is there in its next turn.
        self._context = contextvars.copy_context()
        threading.Thread(target=self._run, name="goal-drift-agent", daemon=True).start()

    def begin(self, function: Callable[[], Any]) -> None:
        self._inbox.put(function)

    def answer(self, timeout_s: float | None) -> tuple[Any, BaseException | None]:
        return self._outbox.get(timeout=timeout_s)

    def stop(self) -> None:
        self._inbox.put(None)

    def wake(self) -> None:
        self._outbox.put((None, KeyboardInterrupt()))

    def _run(self) -> None:
        while (function := self._inbox.get()) is not None:
            try:
                self._outbox.put((self._context.run(function), None))
            except BaseException as error:
                self._outbox.put((None, error))
