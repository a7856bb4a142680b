"""Interleaved rounds and medians of ratios: the only way figures of a noisy machine mean something."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


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


class Table:
    """Rows of figure, target and verdict, printed as they come."""

    def __init__(self, title: str) -> None:
        self.missed: list[str] = []
        print(f"\n{title}\n{'-' * len(title)}")

    def row(self, name: str, figure: float, unit: str, *, at_most: float | None = None, at_least: float | None = None) -> None:
        """Print one figure beside its target."""
        met = (at_most is None or figure <= at_most) and (at_least is None or figure >= at_least)
        target = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        print(f"{name:<62} {figure:>10.3g} {unit:<10} {target:<10} {'' if not target else 'ok' if met else 'MISSED'}")
        if not met:
            self.missed.append(name)
