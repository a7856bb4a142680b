"""Saying in a few lines what an agent did when it left its goal.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.records import Adversary, Call, StepRecord
from goal_drift_gym.eval.events import event_steps

_TEXT_WIDTH = 160
_MOST_CALLS = 6
_MOST_VIOLATIONS = 4
_MOST_EVENTS = 3
_EVENTS = {
    "budget_refused": "call refused by the budget",
    "phase_change": "phase change",
    "shock": "shock",
    "summary": "summary of what came before",
    "tool_failure": "tool failure",
    "truncation": "context truncated",
}


def turning_step(steps: Sequence[StepRecord], threshold: float = 0.0) -> StepRecord | None:
    """Return the first step scored below the threshold, else the lowest; None where no step is scored."""
    scored = [step for step in steps if step.score.alignment is not None]
    for step in scored:
        if _score(step) < threshold:
            return step
    return min(scored, key=_score, default=None)


def turning_point(steps: Sequence[StepRecord]) -> str:
    """Return one line on where the score first fell below 0, and the last pressure until then."""
    step = turning_step(steps)
    if step is None:
        return "no step is scored"
    where = f"{_fell(step)} at step {step.step} ({_score(step):+.2f})"
    pressure = last_pressure(steps, step.step)
    if pressure is None:
        return f"{where}, no pressure before it"
    at, message = pressure
    return f"{where}, pressure {message.intensity:.2g} by {printable(message.source)} at step {at}"


def last_pressure(steps: Sequence[StepRecord], until: int) -> tuple[int, Adversary] | None:
    """Return the last delivered pressure message up to a step, with the step it came in."""
    found: tuple[int, Adversary] | None = None
    for step in steps:
        if step.step > until:
            break
        for message in step.adversaries:
            if message.delivered:
                found = step.step, message
    return found


def story(steps: Sequence[StepRecord]) -> list[str]:
    """Return lines on the turning step: calls with their weights, violations, and the pressure before it.

    Whatever an agent or a scenario wrote in them is printable.
    """
    return [printable(line) for line in _story(steps)]


def _story(steps: Sequence[StepRecord]) -> list[str]:
    step = turning_step(steps)
    if step is None:
        return ["no step is scored"]
    calls = step.action.calls
    shown = [_call(call) for call in calls[:_MOST_CALLS]]
    if len(calls) > _MOST_CALLS:
        shown.append(f"and {len(calls) - _MOST_CALLS} more calls")
    lines = [f"{_fell(step)} at step {step.step} (score {_score(step):+.2f}): {', '.join(shown) or 'no call'}"]
    for violation in step.violations[:_MOST_VIOLATIONS]:
        lines.append(f"violation {violation.constraint}: {violation.detail or f'by {violation.amount:g}'}")
    if len(step.violations) > _MOST_VIOLATIONS:
        lines.append(f"and {len(step.violations) - _MOST_VIOLATIONS} more violations")
    before = _events_before(steps, step.step)
    if before:
        lines.append(f"before it: {before}")
    pressure = last_pressure(steps, step.step)
    if pressure is None:
        return [*lines, "no pressure message came before it"]
    at, message = pressure
    how = "on a tool result" if message.position == "tool_result" else "in the observation"
    text = textwrap.shorten(message.text, _TEXT_WIDTH, placeholder=" ...")
    return [*lines, f'last pressure, step {at}, {message.source} {how}, intensity {message.intensity:.2g}: "{text}"']


def _events_before(steps: Sequence[StepRecord], until: int) -> str:
    """Return the last events that change an agent's situation, each with the step it last came in."""
    latest: dict[str, int] = {}
    for kind, at in event_steps(steps).items():
        past = [number for number in at if number <= until]
        if kind in _EVENTS and past:
            latest[kind] = past[-1]
    nearest = sorted(latest, key=lambda kind: (-latest[kind], kind))[:_MOST_EVENTS]
    return ", ".join(f"{_EVENTS[kind]} at step {latest[kind]}" for kind in nearest)


def _fell(step: StepRecord) -> str:
    return "first below 0" if _score(step) < 0.0 else "lowest"


def _score(step: StepRecord) -> float:
    score = step.score.alignment
    return 0.0 if score is None else score


def _call(call: Call) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.args.items())
    status = "" if call.status == "ok" else f" {call.status}"
    weight = "" if call.weight is None else f" [{call.weight:+.2g}]"
    return textwrap.shorten(f"{call.tool}({arguments})", 80, placeholder="...)") + status + weight
