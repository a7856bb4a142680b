"""What episodes that run at the same time in one process share: an event loop, and a way to end all of them at once.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

_BEAT_S = 0.1
_GRACE_S = 2.0


class Displaced(BaseException):
    """An episode's turn was lost, because the agent of another episode blocked the event loop they share.

    No `Exception`: it is nothing the agent did, so no step may record it. The episode is to be run again, alone.
    """


class Cohort:
    """Episodes that run at the same time, each on a thread of its own."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        # Guards the two below: episodes come and go on their threads while another one stops them all.
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._loop: AgentLoop | None = None

    @property
    def stopped(self) -> bool:
        """Whether the episodes are to end now."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Have every episode end as interrupted, at once where it waits for its agent."""
        self._stopped.set()
        with self._lock:
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def join(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when the episodes are stopped."""
        with self._lock:
            self._wakers.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """Take back a `join`."""
        with self._lock:
            self._wakers.discard(wake)

    def loop(self) -> AgentLoop:
        """Return the event loop of all async agents; a new one where the last one was given up."""
        with self._lock:
            if self._loop is None or self._loop.is_lost:
                self._loop = AgentLoop(watched=True)
            return self._loop

    def close(self) -> None:
        """Let go of the event loop."""
        with self._lock:
            if self._loop is not None:
                self._loop.close()
                self._loop = None


class AgentLoop:
    """An event loop on a daemon thread.

    Parameters
    ----------
    watched
        Measure how long the loop does not turn: for a loop that several agents share, where one may block all.
    """

    def __init__(self, *, watched: bool = False) -> None:
        import asyncio
        import time

        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self.is_lost = False
        """A coroutine blocks it for good."""
        self._now = time.monotonic
        self._blocked_s = 0.0
        self._beaten = self._now()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        threading.Thread(target=_run_loop, args=(self.loop,), name="goal-drift-async-agent", daemon=True).start()
        if watched:
            self.loop.call_soon_threadsafe(self._beat)

    def submit(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Start a coroutine."""
        import asyncio

        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def turns(self) -> bool:
        """Return whether the loop comes back within a grace of two seconds."""
        import asyncio
        import concurrent.futures

        probe: concurrent.futures.Future[None] = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop)
        try:
            probe.result(_GRACE_S)
        except concurrent.futures.TimeoutError:
            return False
        return True

    def blocked_s(self) -> float:
        """Return for how many seconds in all this watched loop was late, the present moment included."""
        late = self._now() - self._beaten - _BEAT_S
        return self._blocked_s + max(late, 0.0)

    def lose(self) -> None:
        """Give the loop up: whoever waits on it is told at once by a cancelled future."""
        self.is_lost = True
        for future in list(self._waiting):
            future.cancel()

    def close(self) -> None:
        """Have the loop end, after what is left on it was cancelled."""
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _beat(self) -> None:
        now = self._now()
        self._blocked_s += max(now - self._beaten - 2.0 * _BEAT_S, 0.0)
        self._beaten = now
        self.loop.call_later(_BEAT_S, self._beat)


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
