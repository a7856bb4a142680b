"""What an episode prints and logs while another test is at hand: kept, and given out when its own test takes the run.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TextIO


class KeptOutput:
    """What one episode wrote to stdout and stderr and logged, in the order in which it came."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, str] | logging.LogRecord] = []

    def write(self, stream: str, text: str) -> None:
        """Keep a text written to `stdout` or `stderr`."""
        self._parts.append((stream, text))

    def log(self, record: logging.LogRecord) -> None:
        """Keep a log record, once: each of pytest's handlers brings it."""
        if not any(known is record for known in self._parts[-1:]):
            self._parts.append(record)

    def to_wire(self) -> list[Any]:
        """Return plain data, for another process."""
        return [part if isinstance(part, tuple) else _plain_record(part) for part in self._parts]

    @classmethod
    def of_wire(cls, parts: list[Any]) -> KeptOutput:
        """Return what `to_wire` gave in another process."""
        output = cls()
        for part in parts:
            output._parts.append(logging.makeLogRecord(part) if isinstance(part, dict) else (part[0], part[1]))
        return output

    def give_out(self) -> None:
        """Write and log it all now."""
        handlers = _handlers_of_pytest()
        for part in self._parts:
            if isinstance(part, tuple):
                getattr(sys, part[0]).write(part[1])
                continue
            for handler in handlers:
                if part.levelno >= handler.level:
                    handler.handle(part)
        self._parts.clear()


_KEEPER: contextvars.ContextVar[KeptOutput | None] = contextvars.ContextVar("goal_drift_kept_output", default=None)


def keep_mine(output: KeptOutput) -> None:
    """Have what the present thread writes, and what runs in copies of its context, kept."""
    _KEEPER.set(output)


@contextmanager
def kept_apart() -> Generator[None]:
    """Keep the output of episodes apart from that of the test at hand, for as long as they run."""
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    routed = {name: _Routed(name, stream) for name, stream in streams.items()}
    sieve = _Sieve()
    handlers = _handlers_of_pytest()
    for name, stream in routed.items():
        setattr(sys, name, stream)
    for handler in handlers:
        handler.addFilter(sieve)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(sieve)
        for name, stream in streams.items():
            if getattr(sys, name) is routed[name]:
                setattr(sys, name, stream)


class _Routed:
    """A text stream that takes what an episode writes aside; all else is the stream's own."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def write(self, text: str) -> int:
        output = _KEEPER.get()
        if output is None:
            return self._stream.write(text)
        output.write(self._name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Sieve(logging.Filter):
    """Takes the log records of episodes aside."""

    def filter(self, record: logging.LogRecord) -> bool:
        output = _KEEPER.get()
        if output is not None:
            output.log(record)
        return output is None


def _plain_record(record: logging.LogRecord) -> dict[str, Any]:
    plain = {name: value for name, value in vars(record).items() if isinstance(value, (str, int, float))}
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else record.exc_text
    return {**plain, "msg": record.getMessage(), "args": None, "exc_info": None, "exc_text": trace}


def _handlers_of_pytest() -> list[logging.Handler]:
    # Other handlers, such as a file of the project's own, are to have a record when it is made.
    return [handler for handler in logging.getLogger().handlers if type(handler).__module__.startswith("_pytest.")]
