"""Lines of foreign JSONL and CSV files, each with the place it stands at.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import UsageError


class Row(NamedTuple):
    """One row of a file, or one step of an array in it."""

    where: str
    """File and line, for messages."""
    values: Mapping[str, Any]
    """Column -> value; CSV values are text."""


def read_rows(path: Path, *, wide: bool) -> Iterator[Row]:
    """Yield the rows of a JSONL or CSV file, compressed or not.

    Raises
    ------
    UsageError
        When the file cannot be read, a line is no JSON object, a CSV row is ragged, or `wide` is asked of CSV.
    """
    name = path.name.removesuffix(".gz")
    kind: Literal["jsonl", "csv"] | None = (
        "jsonl" if name.endswith(".jsonl") else "csv" if name.endswith(".csv") else None
    )
    if kind is None:
        raise UsageError(f"{path}: only .jsonl, .csv and their .gz are read")
    if kind == "csv" and wide:
        raise UsageError(f"{path}: a CSV file has one row a step; name its step column in the mapping")
    try:
        with _opened(path) as stream:
            yield from _json_rows(path, stream) if kind == "jsonl" else _csv_rows(path, stream)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


def _opened(path: Path) -> io.TextIOBase:
    if path.name.endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _json_rows(path: Path, stream: io.TextIOBase) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            values = json.loads(line)
        except MALFORMED as error:
            raise UsageError(f"{where}: not a JSON object: {error}") from error
        if not isinstance(values, dict):
            raise UsageError(f"{where}: {type(values).__name__} instead of a JSON object")
        yield Row(where, values)


def _csv_rows(path: Path, stream: io.TextIOBase) -> Iterator[Row]:
    reader = csv.reader(stream, strict=True)
    header = next(reader, None)
    if header is None:
        raise UsageError(f"{path}: the file is empty, its first line must name the columns")
    if len(set(header)) != len(header):
        raise UsageError(f"{path}:1: a column name occurs twice: {', '.join(header)}")
    for cells in reader:
        if not cells:
            continue
        where = f"{path}:{reader.line_num}"
        if len(cells) != len(header):
            raise UsageError(f"{where}: {len(cells)} cells in a row, the header names {len(header)} columns")
        yield Row(where, dict(zip(header, cells, strict=True)))
