"""How many requests an endpoint gets at once: as many as are asked for, until it complains.

Every episode of a process that uses the same model at the same endpoint shares one limiter. After a rate limit it
halves what it lets through (multiplicative decrease) and lets nothing through for as long as the endpoint asks for;
each round of requests that pass then allows one more (additive increase). PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

LONGEST_PAUSE_S = 60.0
"""A longer `Retry-After` is not waited for by everybody: who got it decides for itself."""

_SHORTEST_PAUSE_S = 0.5


class RateLimiter:
    """Shared by the threads that send requests to one endpoint.

    Parameters
    ----------
    now
        A monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # Guards all below, and wakes who waits for a place.
        self._changed = threading.Condition()
        self._at_once = math.inf
        self._busy = 0
        self._paused_until = -math.inf
        self._cut_at = -math.inf

    @property
    def at_once(self) -> float:
        """How many requests may be under way; infinite until the endpoint first complains."""
        return self._at_once

    @contextmanager
    def place(self, deadline: float) -> Generator[Place | None]:
        """Wait for a place and hold it for the length of one request; None where the deadline comes first."""
        if not self._enter(deadline):
            yield None
            return
        place = Place(begun=self._now())
        try:
            yield place
        finally:
            self._leave(place)

    def _enter(self, deadline: float) -> bool:
        with self._changed:
            while True:
                now = self._now()
                if now >= deadline:
                    return False
                if now >= self._paused_until and self._busy < self._at_once:
                    self._busy += 1
                    return True
                until = min(deadline, self._paused_until) if self._paused_until > now else deadline
                self._changed.wait(until - now)

    def _leave(self, place: Place) -> None:
        with self._changed:
            # Requests that were under way at the last cut say nothing about what it has changed.
            is_news = place.begun > self._cut_at
            if place.is_limited:
                self._pause(place.retry_after_s)
                if is_news:
                    self._cut_at = self._now()
                    self._at_once = max(1.0, min(self._at_once, self._busy) // 2.0)
            elif is_news and self._at_once < math.inf:
                # One more for each round of as many requests as are allowed.
                self._at_once += 1.0 / max(self._at_once, 1.0)
            self._busy -= 1
            self._changed.notify_all()

    def _pause(self, retry_after_s: float | None) -> None:
        pause_s = _SHORTEST_PAUSE_S if retry_after_s is None else min(max(retry_after_s, 0.0), LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, self._now() + pause_s)


class Place:
    """One request under way."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.is_limited = False
        self.retry_after_s: float | None = None

    def limited(self, retry_after_s: float | None = None) -> None:
        """Say that the endpoint limited the rate, and for how many seconds where it said so."""
        self.is_limited = True
        self.retry_after_s = retry_after_s


_limiters: dict[tuple[str, str], RateLimiter] = {}
_finding = threading.Lock()


def limiter_of(endpoint: str, model: str) -> RateLimiter:
    """Return the limiter that this process has for a model at an endpoint."""
    # Two threads that ask first at the same time must get the same one.
    with _finding:
        return _limiters.setdefault((endpoint, model), RateLimiter())
