"""What episodes that run at the same time in one process share: an event loop, and a way to end all of them at once.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

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


class Asked:
    """An answer that an event loop works on, and the wait for it in another thread.

    Leaner than a `concurrent.futures.Future`: with hundreds of episodes handing answers over is most of the work.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: queue.SimpleQueue[tuple[Any, BaseException | None] | None] = queue.SimpleQueue()
        self.task: asyncio.Task[None] | None = None
        """What works on it, once that has begun."""

    def wait(self, timeout_s: float | None) -> tuple[Any, BaseException | None] | None:
        """Return the answer and what was raised instead of it; None where it was cancelled from outside.

        Raises
        ------
        queue.Empty
            If neither happens within the time.
        """
        return self._ends.get(timeout=timeout_s)

    def cancel(self) -> None:
        """End the wait now, and the work as soon as the loop comes to it; from any thread."""
        self._ends.put(None)
        # A loop that is closed works on nothing any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel_task)

    async def work(self, answer: Awaitable[Any]) -> None:
        """Await the answer, in the loop, and tell who waits."""
        # What an agent raises is handed over as a value: a SystemExit let through would end the loop's thread and
        # leave the episode waiting, and a TimeoutError would look like the engine's own.
        try:
            self._ends.put((await answer, None))
        except BaseException as error:
            self._ends.put((None, error))

    def _cancel_task(self) -> None:
        if self.task is not None:
            self.task.cancel()


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
        self._asked: set[Asked] = set()
        threading.Thread(target=_run_loop, args=(self.loop,), name="goal-drift-async-agent", daemon=True).start()
        if watched:
            self.loop.call_soon_threadsafe(self._beat)

    def ask(self, answer: Awaitable[Any]) -> Asked:
        """Have the loop work on an answer."""
        asked = Asked(self.loop)
        self._asked.add(asked)
        self.loop.call_soon_threadsafe(self._begin, asked, answer)
        return asked

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
        """Give the loop up: whoever waits on it is told at once."""
        self.is_lost = True
        for asked in list(self._asked):
            asked.cancel()

    def close(self) -> None:
        """Have the loop end, after what is left on it was cancelled."""
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _begin(self, asked: Asked, answer: Awaitable[Any]) -> None:
        asked.task = self.loop.create_task(self._work(asked, answer))

    async def _work(self, asked: Asked, answer: Awaitable[Any]) -> None:
        await asked.work(answer)
        self._asked.discard(asked)

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
