"""Interleaved rounds and medians of ratios: the only way figures of a noisy machine mean something."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    begun = time.process_time()
    function()
    return time.process_time() - begun


def interleaved(functions: Sequence[Callable[[], object]], rounds: int = 15) -> list[list[float]]:
    """Time the functions in turn, round by round, after one warm-up of each; return seconds by function."""
    for function in functions:
        function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for kept, function in zip(seconds, functions, strict=True):
            kept.append(cpu_seconds(function))
    return seconds


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


class Child(NamedTuple):
    """What one process, and those it waited for, took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    """Largest resident memory of the process, or of the largest of its children."""
    output: str


def child(
    arguments: Sequence[str], *, cwd: Path, expect: int = 0, environment: Mapping[str, str] | None = None
) -> Child:
    """Run this interpreter with the arguments and wait for it; any other exit code than the expected one raises."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != expect:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}, not {expect}:\n{text[-3000:]}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Child(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / unit, text)


class Table:
    """Rows of figure, target and verdict, printed as they come."""

    def __init__(self, title: str) -> None:
        self.missed: list[str] = []
        print(f"\n{title}\n{'-' * len(title)}")

    def row(
        self, name: str, figure: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Print one figure beside its target."""
        met = (at_most is None or figure <= at_most) and (at_least is None or figure >= at_least)
        target = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        print(f"{name:<62} {figure:>10.3g} {unit:<10} {target:<10} {'' if not target else 'ok' if met else 'MISSED'}")
        if not met:
            self.missed.append(name)
