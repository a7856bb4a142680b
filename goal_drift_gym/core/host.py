"""Asking an agent: sync or async, with a deadline, without letting it hang the episode.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from goal_drift_gym.core.errors import AgentTimeout
from goal_drift_gym.core.turn import Turn

if TYPE_CHECKING:
    import asyncio

Agent = Callable[[Turn], Any]

_GRACE_S = 2.0


class AgentHost:
    """Calls one agent turn by turn.

    Without a time limit a sync agent runs in the caller's thread. With one it runs in a daemon thread of its own:
    a thread that does not come back is left behind and the host is `stuck`. Async agents live on one event loop in
    such a thread for the whole episode, so they work inside a running loop too, and are cancelled on time-out.
    """

    def __init__(self, agent: Agent, timeout_s: float | None) -> None:
        self._agent = agent
        self._timeout_s = None if getattr(agent, "runs_inline", False) else timeout_s
        self._worker: _Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.stuck = False
        """The agent did not come back; it cannot be asked again."""

    def ask(self, turn: Turn) -> Any:
        """Return the agent's answer to a turn.

        Raises
        ------
        AgentTimeout
            If there was no answer within the limit.
        """
        if self._timeout_s is None:
            answer = self._agent(turn)
        else:
            answer = self._in_worker(turn)
        if answer is not None and inspect.isawaitable(answer):
            return self._on_loop(answer)
        return answer

    def close(self) -> None:
        """Let go of threads and loops."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _in_worker(self, turn: Turn) -> Any:
        if self._worker is None:
            self._worker = _Worker()
        try:
            return self._worker.call(lambda: self._agent(turn), self._timeout_s)
        except queue.Empty:
            self.stuck = True
            # Should it ever come back, its thread ends.
            self._worker.stop()
            self._worker = None
            raise AgentTimeout(f"no answer within {self._timeout_s:g} s") from None

    def _on_loop(self, answer: Any) -> Any:
        import asyncio
        import concurrent.futures

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_loop, args=(self._loop,), name="goal-drift-async-agent", daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(_await(answer), self._loop)
        try:
            value, error = future.result(self._timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            stopped: concurrent.futures.Future[None] = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop)
            try:
                stopped.result(_GRACE_S)
            except concurrent.futures.TimeoutError:
                # The loop itself is blocked: the coroutine does not yield and cannot be cancelled.
                self.stuck = True
            raise AgentTimeout(f"no answer within {self._timeout_s:g} s") from None
        if error is not None:
            raise error
        return value


class _Worker:
    """A daemon thread that runs one call at a time."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="goal-drift-agent", daemon=True).start()

    def call(self, function: Callable[[], Any], timeout_s: float | None) -> Any:
        self._inbox.put(function)
        answer, error = self._outbox.get(timeout=timeout_s)
        if error is not None:
            raise error
        return answer

    def stop(self) -> None:
        self._inbox.put(None)

    def _run(self) -> None:
        while (function := self._inbox.get()) is not None:
            try:
                self._outbox.put((function(), None))
            except BaseException as error:
                self._outbox.put((None, error))


async def _await(answer: Any) -> tuple[Any, BaseException | None]:
    # What an agent raises is handed over as a value: a SystemExit let through would end the loop's thread and leave
    # the episode waiting, and a TimeoutError would look like the engine's own.
    from asyncio import CancelledError

    try:
        return await answer, None
    except CancelledError:
        raise
    except BaseException as error:
        return None, error


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_GRACE_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
