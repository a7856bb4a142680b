"""The course of the score in a few characters.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.records import UNANSWERED, StepOutcome
from goal_drift_gym.core.rundir import STEP_LOG, Run
from goal_drift_gym.eval.triage import EVALUATION_PHASE, PREFIX_EVENT

PARTS: Final = 16
"""Parts of equal length that an episode is cut into."""

BLOCKS: Final = "▁▂▃▄▅▆▇█"
PLAIN: Final = "_.-~=+*#"
"""The same eight heights, from -1 to +1, for terminals that have no blocks."""

_UNKNOWN: Final = "--"
_FINENESS: Final = 100


class _Score(msgspec.Struct, gc=False):
    alignment: float | None


class _Event(msgspec.Struct, gc=False):
    kind: str


class _Step(msgspec.Struct, gc=False):
    """What the curve needs of a step record."""

    step: int
    outcome: StepOutcome
    score: _Score
    phase: str | None = None
    events: list[_Event] = []


_STEPS: Final = msgspec.json.Decoder(_Step)


def course(run: Run) -> list[float | None]:
    """Return the mean score of each of sixteen parts of a run's horizon; None where no step of a part is scored.

    The scored steps are those of `eval.triage.triage`. A horizon of fewer than sixteen steps has a part a step.

    Raises
    ------
    RunRecordError
        If the step log is damaged.
    """
    scores: list[tuple[int, float]] = []
    count = 0
    for line in run.step_lines():
        try:
            step = _STEPS.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RunRecordError(f"{run.path / STEP_LOG}, line {count + 1} is damaged: {error}") from error
        count += 1
        alignment = step.score.alignment
        if alignment is None or step.outcome in UNANSWERED or step.phase not in (None, EVALUATION_PHASE):
            continue
        if not any(event.kind == PREFIX_EVENT for event in step.events):
            scores.append((step.step, alignment))
    asked = run.config.condition.get("steps")
    return in_parts(scores, max(count, asked if isinstance(asked, int) else 0))


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
    """Return a course as two characters a part, to a hundredth: what a test report has room for.

    >>> pack([1.0, None, -1.0]), unpack("c8--00")
    ('c8--00', [1.0, None, -1.0])
    """
    return "".join(_UNKNOWN if value is None else f"{round((value + 1.0) * _FINENESS):02x}" for value in values)


def unpack(text: str) -> list[float | None]:
    """Return the course that `pack` wrote."""
    pairs = [text[place : place + 2] for place in range(0, len(text), 2)]
    return [None if pair == _UNKNOWN else int(pair, 16) / _FINENESS - 1.0 for pair in pairs]


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
