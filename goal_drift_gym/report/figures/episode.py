"""The chart of one run: its score over the steps, and what happened to the agent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.records import UNANSWERED, StepRecord
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.events import event_steps
from goal_drift_gym.eval.triage import triage
from goal_drift_gym.report.chart import Axis, Bars, Chart, Level, Line, Mark, MarkKind
from goal_drift_gym.report.svg import round_ticks

MOST_COLUMNS: Final = 1000
"""Steps that are drawn one by one; of a longer run, means over equal spans."""

_TEXT_WIDTH = 120
_EVENTS: Final[dict[str, tuple[MarkKind, str]]] = {
    "tool_failure": ("tool_failure", "a tool failed"),
    "phase_change": ("phase_change", "the phase changed"),
    "truncation": ("truncation", "the context was truncated"),
    "summary": ("summary", "the past was summed up"),
    "shock": ("shock", "a shock"),
    "goal_reaffirmed": ("goal_reaffirmed", "the goal was said again"),
}


def episode_chart(run: Run, *, twin: Run | None = None, links: bool = False) -> Chart:
    """Return the chart of a run.

    Parameters
    ----------
    run
        The run; an unfinished one is drawn as far as it is there.
    twin
        The run of the same seed without a part of its condition, drawn over it.
    links
        Marks lead to the fragment `#step-N` of the page they are on.

    Raises
    ------
    RunRecordError
        If the step log is damaged.
    """
    return steps_chart(
        list(run.steps()),
        twin=None if twin is None else list(twin.steps()),
        threshold=_threshold(run),
        linked=None if links else (),
    )


def steps_chart(
    steps: Sequence[StepRecord],
    *,
    twin: Sequence[StepRecord] | None = None,
    threshold: float = 0.0,
    linked: Collection[int] | None = (),
) -> Chart:
    """Return the chart of a run whose steps were read.

    Parameters
    ----------
    steps
        Its records, in order.
    twin
        Those of its twin.
    threshold
        Score below which a step counts as passed.
    linked
        Steps whose marks lead to `#step-N`; None for all.
    """
    count = max(len(steps), len(twin or ()), 1)
    span = math.ceil(count / MOST_COLUMNS)
    counted = counted_steps(steps)
    lines = [
        Line(name="score", role="agent", points=_series(steps, span, lambda one: _score(one, counted))),
    ]
    left_out = _series(steps, span, lambda one: None if one.step in counted else one.score.alignment)
    if any(y is not None for _, y in left_out):
        lines.append(Line(name="score that is not counted", role="seed", points=left_out))
    if twin is not None:
        twin_counted = counted_steps(twin)
        points = _series(twin, span, lambda one: _score(one, twin_counted))
        lines.insert(0, Line(name="score of the twin", role="twin", points=points))
    bars = [
        Bars(name="commission", role="commission", points=_depths(steps, span, lambda one: one.score.commission)),
        Bars(name="omission", role="omission", points=_depths(steps, span, lambda one: one.score.omission)),
    ]
    bars = [kind for kind in bars if any(height for _, height in kind.points)]
    return Chart(
        title="Score over the steps",
        says=_says(steps, counted, span),
        x=Axis(label="step", low=-0.5, high=count - 0.5, ticks=_whole_ticks(count)),
        y=Axis(label="score", low=_low(bars), high=1.0),
        bars=bars,
        lines=lines,
        marks=list(_marks(steps, span, linked)),
        levels=[Level(y=threshold, says=f"threshold {threshold:g}")],
    )


def _threshold(run: Run) -> float:
    value = run.metrics.get("threshold")
    return float(value) if isinstance(value, int | float) else 0.0


def counted_steps(steps: Sequence[StepRecord]) -> frozenset[int]:
    """Return the steps that enter metrics; of an unfinished run, those that would."""
    try:
        return frozenset(triage(steps, outcome="completed").steps)
    except RunRecordError:
        # A score out of its range: it is drawn, and no metric is there to count it.
        return frozenset()


def _score(step: StepRecord, counted: Collection[int]) -> float | None:
    return step.score.alignment if step.step in counted else None


def _series(
    steps: Sequence[StepRecord], span: int, value: Callable[[StepRecord], float | None]
) -> list[tuple[float, float | None]]:
    points: list[tuple[float, float | None]] = []
    for part in _parts(steps, span):
        known = [found for step in part if (found := value(step)) is not None]
        points.append((_middle(part), math.fsum(known) / len(known) if known else None))
    return points


def _depths(
    steps: Sequence[StepRecord], span: int, value: Callable[[StepRecord], float | None]
) -> list[tuple[float, float]]:
    return [(x, 0.0 - y) for x, y in _series(steps, span, value) if y is not None]


def _parts(steps: Sequence[StepRecord], span: int) -> Iterator[Sequence[StepRecord]]:
    for start in range(0, len(steps), span):
        yield steps[start : start + span]


def _middle(part: Sequence[StepRecord]) -> float:
    return (part[0].step + part[-1].step) / 2


def _low(bars: Sequence[Bars]) -> float:
    """Return the lower end of the axis, on a half, so that the deepest pile of bars fits."""
    depths: dict[float, float] = {}
    for kind in bars:
        for x, height in kind.points:
            depths[x] = depths.get(x, 0.0) + height
    return min(-1.0, math.floor(2.0 * min(depths.values(), default=0.0)) / 2.0)


def _whole_ticks(count: int) -> list[tuple[float, str]]:
    """Return ticks at whole steps: there is nothing at half of one."""
    if count <= 2:
        return [(float(step), str(step)) for step in range(count)]
    return [(value, f"{value:.0f}") for value in round_ticks(0.0, count - 1.0, 8) if value == int(value)]


def _says(steps: Sequence[StepRecord], counted: Collection[int], span: int) -> str:
    scored = [step for step in steps if step.step in counted and step.score.alignment is not None]
    if not scored:
        return f"Score over {len(steps)} steps, none of which is scored."
    first, last = scored[0].score.alignment, scored[-1].score.alignment
    spans = f" Each point is a mean over {span} steps." if span > 1 else ""
    return (
        f"Score over {len(steps)} steps, from {first:.2f} at step {scored[0].step} to {last:.2f} at step "
        f"{scored[-1].step}, with commission and omission as bars downwards and events above.{spans}"
    )


def _marks(steps: Sequence[StepRecord], span: int, linked: Collection[int] | None) -> Iterator[Mark]:
    taken: dict[tuple[MarkKind, int], int] = {}
    found: list[tuple[MarkKind, int, str]] = []
    for kind, step, says in _happened(steps):
        # In a long run one mark stands for all of its kind in a span.
        place = kind, step // span
        if place in taken:
            taken[place] += 1
            continue
        taken[place] = 1
        found.append((kind, step, says))
    for kind, step, says in found:
        more = taken[kind, step // span] - 1
        link = f"#step-{step}" if linked is None or step in linked else None
        yield Mark(kind=kind, x=step, says=f"step {step}: {says}{f', and {more} more' if more else ''}", link=link)


def _happened(steps: Sequence[StepRecord]) -> Iterator[tuple[MarkKind, int, str]]:
    for step in steps:
        delivered = [message for message in step.adversaries if message.delivered]
        for message in delivered[:1]:
            text = textwrap.shorten(message.text[: 4 * _TEXT_WIDTH], _TEXT_WIDTH, placeholder=" ...")
            more = f" and {len(delivered) - 1} more" if len(delivered) > 1 else ""
            yield "pressure", step.step, f'{message.source}{more}, intensity {message.intensity:.2g}: "{text}"'
        if step.violations:
            names = dict.fromkeys(violation.constraint[:_TEXT_WIDTH] for violation in step.violations)
            yield "violation", step.step, f"violation: {textwrap.shorten(', '.join(names), _TEXT_WIDTH)}"
        if step.outcome in UNANSWERED:
            yield "silent", step.step, f"no answer ({step.outcome})"
    for kind, at in event_steps(steps).items():
        if kind in _EVENTS:
            for number in at:
                yield _EVENTS[kind][0], number, _EVENTS[kind][1]
