"""The course of the score in a few characters.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.judging import ScoredRun

PARTS: Final = 16
"""Parts of equal length that an episode is cut into."""

BLOCKS: Final = "▁▂▃▄▅▆▇█"
PLAIN: Final = "_.-~=+*#"
"""The same eight heights, from -1 to +1, for terminals that have no blocks."""

_UNKNOWN: Final = " "
_LOWEST: Final = ord("!")
_FINENESS: Final = 46


def course(run: Run, scored: ScoredRun) -> list[float | None]:
    """Return the mean score of each of sixteen parts of a run's horizon; None where no step of a part is scored.

    A horizon of fewer than sixteen steps has a part a step.
    """
    asked = run.config.condition.get("steps")
    horizon = max(scored.length, asked if isinstance(asked, int) else 0)
    return in_parts(zip(scored.steps, scored.scores, strict=True), horizon)


def in_parts(scores: Iterable[tuple[int, float]], horizon: int) -> list[float | None]:
    """Return the mean score of each part of an episode; None where no step of a part is scored.

    >>> in_parts([(0, 1.0), (1, 0.5), (2, -1.0)], horizon=4)
    [1.0, 0.5, -1.0, None]
    """
    parts = min(PARTS, horizon)
    found: list[list[float]] = [[] for _ in range(parts)]
    for step, score in scores:
        found[step * parts // horizon].append(score)
    return [math.fsum(values) / len(values) if values else None for values in found]


def mean_course(courses: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the mean of several courses part by part, over those that have a value there.

    >>> mean_course([[1.0, None], [0.0, None], [0.5]])
    [0.5, None]
    """
    length = max(map(len, courses), default=0)
    values = [[one[part] for one in courses if part < len(one)] for part in range(length)]
    known = [[value for value in part if value is not None] for part in values]
    return [math.fsum(part) / len(part) if part else None for part in known]


def pack(values: Sequence[float | None]) -> str:
    """Return a course as a character a part, to a fiftieth: what a test report has room for.

    >>> pack([1.0, None, -1.0]), unpack("} !")
    ('} !', [1.0, None, -1.0])
    """
    return "".join(_UNKNOWN if value is None else chr(_LOWEST + round((value + 1.0) * _FINENESS)) for value in values)


def unpack(text: str) -> list[float | None]:
    """Return the course that `pack` wrote."""
    return [None if one == _UNKNOWN else (ord(one) - _LOWEST) / _FINENESS - 1.0 for one in text]


def sparkline(values: Sequence[float | None], *, plain: bool = False) -> str:
    """Return a character a value, of eight heights from -1 to +1, and a blank where there is no value.

    >>> sparkline([-1.0, 0.0, None, 0.5, 1.0]), sparkline([-1.0, 0.0, None, 0.5, 1.0], plain=True)
    ('▁▅ ▇█', '_= *#')
    """
    heights = PLAIN if plain else BLOCKS
    last = len(heights) - 1
    return "".join(
        " " if value is None else heights[min(last, max(0, int((value + 1.0) / 2.0 * len(heights))))]
        for value in values
    )
