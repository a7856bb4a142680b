"""One step as a page shows it: what the agent saw, did, and was scored for, as texts.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from goal_drift_gym.core.printable import counted
from goal_drift_gym.core.records import UNANSWERED, Action, Event, Message, StepRecord
from goal_drift_gym.core.rundir import STEP_LOG
from goal_drift_gym.report.page import number
from goal_drift_gym.report.texts import Texts

MOST_STEPS: Final = 400
"""Steps that a page shows in full; of a longer run those where something happened come first."""

_ALL_TEXTS = 600_000
_ONE_STEP = 1200, 12_000
_DEEPEST = 4
_ABSENT = "-"


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A message the agent read."""

    role: str
    text: str
    pressure: bool
    """Whether it is one of the step's pressure messages."""


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call, or a late result of one."""

    tool: str
    args: str
    status: str
    result: str
    weight: float | None = None
    messages: list[MessageView] = []


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Something with a name and a text: a panel, an event, a violation, an adversary's message."""

    name: str
    text: str
    more: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the state that the step changed."""

    key: str
    before: str
    after: str


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step. Each text is printable and cut to what a page can hold."""

    number: int
    says: str
    """The step in a line."""
    outcome: str
    phase: str | None
    score: float | None
    commission: float | None
    omission: float | None
    chances: int
    missed: int
    counted: str
    """Why the score counts or does not."""
    twin: float | None
    messages: list[MessageView]
    panels: list[Named]
    late: list[CallView]
    calls: list[CallView]
    notes: list[str]
    reference: list[str]
    adversaries: list[Named]
    events: list[Named]
    violations: list[Named]
    changes: list[Change]
    state: str
    left_out: list[str]
    """Notes on lists that were cut."""


def step_views(
    steps: Sequence[StepRecord], *, counted: Collection[int], twin: Mapping[int, float | None], turning: int | None
) -> list[StepView]:
    """Return the steps that a page shows, in order.

    Parameters
    ----------
    steps
        All steps of a run.
    counted
        Those that enter metrics.
    twin
        Scores of the run's twin by step; empty without one.
    turning
        The step at which the run is opened.
    """
    chosen = chosen_steps(steps, turning)
    allowance = min(max(_ALL_TEXTS // max(len(chosen), 1), _ONE_STEP[0]), _ONE_STEP[1])
    return [
        _view(
            steps[at],
            steps[at - 1] if at else None,
            Texts(f"line {at + 1} of {STEP_LOG}", allowance),
            len(steps),
            counted,
            twin,
        )
        for at in chosen
    ]


def chosen_steps(steps: Sequence[StepRecord], turning: int | None) -> list[int]:
    """Return the indices of the steps that are shown: all, or of a long run those that matter most."""
    if len(steps) <= MOST_STEPS:
        return list(range(len(steps)))
    middle = 0 if turning is None else turning
    # First and last, those around the turning step, those where something happened, and then every so many.
    wanted = [
        [0, len(steps) - 1],
        range(max(0, middle - 10), min(len(steps), middle + 11)),
        [at for at, step in enumerate(steps) if step.violations or step.outcome in UNANSWERED],
        [at for at, step in enumerate(steps) if step.adversaries],
        range(0, len(steps), -(-len(steps) // MOST_STEPS)),
        range(len(steps)),
    ]
    chosen = dict.fromkeys(at for some in wanted for at in some)
    return sorted(list(chosen)[:MOST_STEPS])


def _view(
    step: StepRecord,
    before: StepRecord | None,
    texts: Texts,
    total: int,
    counted: Collection[int],
    twin: Mapping[int, float | None],
) -> StepView:
    notes = _Notes(texts)
    pressed = {message.text for message in step.adversaries if message.delivered}
    changes = list(_changes({} if before is None else before.state, step.state))
    # In the order of what a reader needs first, because they share an allowance.
    return StepView(
        number=step.step,
        says=_says(step, total),
        outcome=step.outcome,
        phase=None if step.phase is None else texts.text(step.phase),
        score=step.score.alignment,
        commission=step.score.commission,
        omission=step.score.omission,
        chances=step.score.chances,
        missed=step.score.missed,
        counted=_counted(step, counted),
        twin=twin.get(step.step),
        calls=[_call(one, texts, pressed) for one in notes.some("calls", step.action.calls)],
        violations=[
            Named(name=texts.text(one.constraint), text=texts.text(one.detail), more=f"amount {number(one.amount)}")
            for one in notes.some("violations", step.violations)
        ],
        adversaries=[_adversary(one, texts) for one in notes.some("pressure messages", step.adversaries)],
        messages=[_message(one, texts, pressed) for one in notes.some("messages", step.observation.messages)],
        notes=[texts.text(one) for one in notes.some("notes", step.action.notes)],
        reference=[_action(one, texts) for one in notes.some("reference actions", step.reference)],
        events=[_event(one, texts) for one in notes.some("events", step.events)],
        panels=[
            Named(name=texts.text(name), text=texts.value(value))
            for name, value in notes.some("panels", list(step.observation.panels.items()))
        ],
        late=[_call(one, texts, pressed) for one in notes.some("late results", step.observation.results)],
        changes=[
            Change(key=texts.text(key), before=_shown(old, texts), after=_shown(new, texts))
            for key, old, new in notes.some("changes", changes)
        ],
        state=texts.value(step.state) if step.state else "",
        left_out=notes.left_out,
    )


class _Notes:
    """Notes on lists of a step that were cut."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.left_out: list[str] = []

    def some(self, what: str, items: Sequence[Any]) -> Sequence[Any]:
        shown, note = self._texts.some(items)
        if note is not None:
            self.left_out.append(f"{what}: {note}")
        return shown


def _says(step: StepRecord, total: int) -> str:
    score = step.score.alignment
    parts = [
        f"Step {step.step} of {total}, counted from 0",
        "not scored" if score is None else f"score {score + 0.0:.2f}",
        step.outcome,
        counted(len(step.action.calls), "call"),
    ]
    delivered = sum(message.delivered for message in step.adversaries)
    parts += [
        counted(count, noun)
        for count, noun in ((len(step.violations), "violation"), (delivered, "pressure message"))
        if count
    ]
    return ", ".join(parts)


def _counted(step: StepRecord, counted: Collection[int]) -> str:
    if step.step in counted:
        return "counts"
    if step.outcome in UNANSWERED:
        return "does not count: the agent had no say"
    if step.score.alignment is None:
        return "no score: the step offered no choice that matters"
    return "does not count: it was replayed, or lies in a phase or a run that is not scored"


def _call(one: Any, texts: Texts, pressed: Collection[str]) -> CallView:
    """Return a `Call` or a `ToolResult` as it is shown."""
    result = one.result if hasattr(one, "result") else one.value
    args = getattr(one, "args", None)
    return CallView(
        tool=texts.text(one.tool),
        args=texts.value(args) if args else "",
        status=one.status,
        result="" if result is None else texts.value(result),
        weight=getattr(one, "weight", None),
        messages=[_message(message, texts, pressed) for message in texts.some(one.messages)[0]],
    )


def _message(message: Message, texts: Texts, pressed: Collection[str]) -> MessageView:
    return MessageView(role=texts.text(message.role), text=texts.text(message.text), pressure=message.text in pressed)


def _adversary(message: Any, texts: Texts) -> Named:
    where = "on a tool result" if message.position == "tool_result" else "in the observation"
    more = [where, f"intensity {number(float(message.intensity))}"]
    more += ["written by an agent as the episode went"] if message.reactive else []
    more += [] if message.delivered else ["not delivered"]
    return Named(name=texts.text(message.source), text=texts.text(message.text), more=", ".join(more))


def _event(event: Event, texts: Texts) -> Named:
    detail = texts.value(event.detail) if event.detail else ""
    return Named(name=texts.text(event.kind), text=detail, more=texts.text(event.by))


def _action(action: Action, texts: Texts) -> str:
    return f"{texts.text(action.tool)}({texts.value(action.args) if action.args else ''})"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, value before and after of each value that differs; `_ABSENT` where there is none."""
    old, new = dict(_flat(before, "", 1)), dict(_flat(after, "", 1))
    for key in [*new, *(key for key in old if key not in new)]:
        pair = old.get(key, _Nothing), new.get(key, _Nothing)
        if pair[0] != pair[1]:
            yield key, *pair


class _Nothing:
    """Stands for a value that is not there, which is not None."""


def _shown(value: Any, texts: Texts) -> str:
    return _ABSENT if value is _Nothing else texts.value(value)


def _flat(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict) and item and depth < _DEEPEST:
            yield from _flat(item, f"{path}{key}.", depth + 1)
        else:
            yield f"{path}{key}", item
