"""A step of a run as lines of text.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.report.figures.episode import counted_steps
from goal_drift_gym.report.step_views import CallView, StepView, step_views
from goal_drift_gym.report.story import turning_step
from goal_drift_gym.tables import written_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["head", "part", "pressure", "bad", "text"]
"""What a line is, so that a terminal can colour it."""


class Line(NamedTuple):
    """A line of a step; a text of several lines stays in one."""

    kind: Kind
    text: str


class RunText(NamedTuple):
    """The steps of a run as they are shown in a terminal."""

    views: Sequence[StepView]
    """The steps that are shown: all, or of a long run those that matter most."""
    opened: int
    """Place in `views` of the step at which the run is opened: the first below 0, else the lowest."""
    torn: bool
    """The last line of the step log is torn and left out."""


def run_text(run: Run) -> RunText:
    """Return the steps of a run as they are shown in a terminal.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    records: list[StepRecord] = list(run.steps())
    turning = turning_step(records)
    number = None if turning is None else turning.step
    metrics = written_metrics(run)
    # Of an unfinished run those that would count.
    counted = counted_steps(records) if metrics is None or metrics.status == "scored" else ()
    views = step_views(records, counted=counted, twin={}, turning=number)
    opened = next((place for place, view in enumerate(views) if view.number == number), 0)
    return RunText(views, opened, run.torn)


def step_lines(view: StepView) -> Iterator[Line]:
    """Yield what the agent read, did and got in a step, and what became of it."""
    yield Line("head", view.says)
    if view.score is not None:
        parts = f"commission {_number(view.commission)}, omission {_number(view.omission)}"
        yield Line("text", f"  {parts}, missed {view.missed} of {view.chances} chances; {view.counted}")
    else:
        yield Line("text", f"  {view.counted}")
    if view.phase is not None:
        yield Line("text", f"  phase {view.phase}")
    yield from _part("read", [Line("pressure" if m.pressure else "text", f"{m.role}: {m.text}") for m in view.messages])
    yield from _part("saw", [Line("text", f"{one.name}: {one.text}") for one in view.panels])
    yield from _part("late results", [line for call in view.late for line in _call(call)])
    yield from _part("did", [line for call in view.calls for line in _call(call)] or [Line("text", "nothing")])
    yield from _part("noted", [Line("text", note) for note in view.notes])
    yield from _part("the reference policy would do", [Line("text", one) for one in view.reference])
    yield from _part("violations", [Line("bad", f"{one.name}: {one.text}") for one in view.violations])
    yield from _part("pressure", [Line("pressure", f"{one.name}, {one.more}: {one.text}") for one in view.adversaries])
    yield from _part("events", [Line("text", f"{one.name} {one.text}".rstrip()) for one in view.events])
    yield from _part("changed", [Line("text", f"{one.key}: {one.before} -> {one.after}") for one in view.changes])
    for note in view.left_out:
        yield Line("text", f"  {note}")


def _part(title: str, lines: Sequence[Line]) -> Iterator[Line]:
    if lines:
        yield Line("part", title)
    for line in lines:
        yield Line(line.kind, "\n".join(f"  {text}" for text in line.text.splitlines()))


def _call(call: CallView) -> Iterator[Line]:
    weight = "" if call.weight is None else f" [{call.weight:+.2g}]"
    status = "" if call.status == "ok" else f" {call.status}"
    bad = call.weight is not None and call.weight < 0.0
    result = f" -> {call.result}" if call.result else ""
    yield Line("bad" if bad else "text", f"{call.tool}({call.args}){weight}{status}{result}")
    for message in call.messages:
        yield Line("pressure" if message.pressure else "text", f"  {message.role}: {message.text}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.2f}"
