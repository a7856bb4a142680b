"""One event loop, in a thread of its own, on which all requests to model endpoints run.

Requests are made on a loop because only there a deadline ends them wherever they are: resolving a name, connecting,
sending, or waiting in the middle of an answer. One for all, because connections belong to a loop, and episodes that
share a connection run in threads or loops of their own.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_GRACE_S = 5.0

_lock = threading.Lock()
"""Protects the two below."""
_loop: asyncio.AbstractEventLoop | None = None
_owner = 0
"""The process that `_loop` runs in; a thread does not survive a fork."""


def endpoint_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process, started when it is first needed."""
    global _loop, _owner
    with _lock:
        if _loop is None or _owner != os.getpid():
            _loop, _owner = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, name="goal-drift-endpoints", daemon=True).start()
        return _loop


def run_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _Value], limit_s: float) -> _Value:
    """Run a coroutine, which keeps its own deadline of `limit_s` seconds, and return what it returns.

    Raises
    ------
    TimeoutError
        If it does not keep it: something blocks the loop.
    """
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(limit_s + _GRACE_S)
    except BaseException:
        # An interruption must not leave a request behind that goes on.
        future.cancel()
        raise


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
