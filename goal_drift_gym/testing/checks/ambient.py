"""Which inputs a scenario's code takes that are not its seed: clocks, global randomness, hashes, the environment.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import datetime
import inspect
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_BUILTINS: dict[Any, str] = {
    hash: "hash()",
    id: "id()",
    os.urandom: "os.urandom()",
    os.getpid: "os.getpid()",
    time.time: "time.time()",
    time.time_ns: "time.time_ns()",
    time.monotonic: "time.monotonic()",
    time.monotonic_ns: "time.monotonic_ns()",
    time.perf_counter: "time.perf_counter()",
    time.perf_counter_ns: "time.perf_counter_ns()",
    time.process_time: "time.process_time()",
    time.localtime: "time.localtime()",
    time.gmtime: "time.gmtime()",
}
_DATES = ("now", "today", "utcnow")
_FUNCTIONS = {
    function.__code__: name
    for name, function in (
        ("os.getenv()", os.getenv),
        ("uuid.uuid1()", uuid.uuid1),
        ("uuid.uuid4()", uuid.uuid4),
        ("secrets.token_bytes()", secrets.token_bytes),
        ("secrets.token_hex()", secrets.token_hex),
    )
}
# Python offers no other handle on the generator behind random.random().
_GLOBAL_RANDOM = random.random.__self__  # type: ignore[attr-defined]


def ambient_inputs(scenario_class: type, live: Callable[[], Any]) -> list[tuple[str, str]]:
    """Return what the code of a scenario asked for while `live` ran, each with the file and line, once.

    It sees calls made from the files of the scenario's class, its bases and their package, in this thread.
    """
    homes = _homes(scenario_class)
    found: dict[tuple[str, str], None] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            caller: FrameType | None = frame
            what = _builtin(argument)
        elif event == "call":
            caller = frame.f_back
            what = _function(frame)
        else:
            return
        if what is not None and caller is not None and caller.f_code.co_filename.startswith(homes):
            found[what, f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}"] = None

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        live()
    finally:
        sys.setprofile(before)
    return list(found)


def _builtin(function: Any) -> str | None:
    try:
        known = _BUILTINS.get(function)
    except TypeError:
        return None
    if known is not None:
        return known
    owner = getattr(function, "__self__", None)
    if owner is _GLOBAL_RANDOM:
        return f"random.{function.__name__}()"
    if isinstance(owner, type) and issubclass(owner, datetime.date) and function.__name__ in _DATES:
        return f"{owner.__name__}.{function.__name__}()"
    return None


def _function(frame: FrameType) -> str | None:
    known = _FUNCTIONS.get(frame.f_code)
    if known is not None:
        return known
    owner = frame.f_locals.get("self")
    if owner is _GLOBAL_RANDOM:
        return f"random.{frame.f_code.co_name}()"
    return "os.environ" if owner is os.environ else None


def _homes(scenario_class: type) -> tuple[str, ...]:
    """Return the files of a class and its bases; the folder, where the module is part of a package."""
    homes = []
    for base in scenario_class.__mro__:
        if base.__module__ in ("builtins", "typing", "abc"):
            continue
        file = inspect.getfile(base)
        module = sys.modules.get(base.__module__)
        inside = module is not None and bool(module.__package__) and "." not in Path(file).stem
        homes.append(str(Path(file).parent) + os.sep if inside else file)
    return tuple(homes)
