"""What the command prints: tables, JSON, CSV, notes and progress, safe for any terminal.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from goal_drift_gym.core.errors import did_you_mean
from goal_drift_gym.core.printable import printable

_BAR = 24
_CHUNK = 65_536
_MANY = 500
_FORMULA = ("=", "+", "-", "@")


def cell(value: Any) -> str:
    """Return a value as a table shows it: four decimals, `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        return f"{round(value, 4) + 0.0:.4f}"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value) or "-"
    return printable(value)


def say(text: str = "") -> None:
    """Print a line to stdout; what its encoding lacks is escaped."""
    _write(sys.stdout, text + "\n")


def note(text: str) -> None:
    """Print a line to stderr."""
    _write(sys.stderr, printable(text) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their columns; numbers to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(columns)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    say(_line(columns, widths, right))
    say("  ".join("-" * width for width in widths))
    for row in cells:
        say(_line(row, widths, right))


def as_json(value: Any) -> None:
    """Print a value as JSON in ASCII, so that it is safe for every terminal and pipe."""
    say(_ascii_json(value, indent=2))


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as CSV with full precision, each as it comes; None is an empty cell, a list is joined with spaces.

    A text that a spreadsheet would take for a formula begins with an apostrophe; control characters are escaped.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in itertools.chain([columns], rows):
        writer.writerow([_csv_cell(value) for value in row])
        if text.tell() > _CHUNK:
            _write(sys.stdout, text.getvalue())
            text.seek(0)
            text.truncate()
    _write(sys.stdout, text.getvalue())


def as_json_array(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a JSON array of objects, one a line, each as it comes; ASCII as `as_json`."""
    lines: list[str] = []
    before = "[\n"
    for row in rows:
        lines.append(before + _ascii_json(dict(zip(columns, row, strict=True))))
        before = ",\n"
        if len(lines) >= _MANY:
            _write(sys.stdout, "".join(lines))
            lines.clear()
    _write(sys.stdout, "".join(lines) + ("\n]\n" if before == ",\n" else "[]\n"))


def records(kind: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as `table`, `json` (an array of objects) or `csv`."""
    if kind == "json":
        as_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif kind == "csv":
        as_csv(columns, rows)
    else:
        table(columns, rows)


def one_of(*known: str) -> Callable[[str], str]:
    """Return an argparse type that takes one of some words and names the nearest one otherwise."""

    def word(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is not possible; {did_you_mean(text, known)}")
        return text

    return word


def add_format(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """Add the option --format."""
    parser.add_argument(
        "--format", type=one_of(*kinds), default=kinds[0], metavar="|".join(kinds), help="default: %(default)s"
    )


class Progress:
    """A bar on a terminal; elsewhere a plain line each tenth of the way. Always on stderr."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._live = sys.stderr.isatty()
        self._width = 0

    def step(self, what: str) -> None:
        """One more is done; `what` names it."""
        self._done += 1
        if self._live:
            filled = _BAR * self._done // self._total
            text = f"[{'#' * filled}{'-' * (_BAR - filled)}] {self._done}/{self._total} {printable(what)}"[:78]
            _write(sys.stderr, "\r" + text.ljust(self._width))
            self._width = len(text)
        elif self._done == self._total or self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            note(f"{self._done}/{self._total} {what}")

    def close(self) -> None:
        """Leave the line free for what comes next."""
        if self._live and self._width:
            _write(sys.stderr, "\r" + " " * self._width + "\r")


def _ascii_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(values: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        value.rjust(width) if to_right else value.ljust(width)
        for value, width, to_right in zip(values, widths, right, strict=True)
    ]
    return "  ".join(parts).rstrip()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _write(stream: Any, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "ascii"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
