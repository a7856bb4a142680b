"""One row a step, for tables and data frames: read from the step logs as they go by, never held.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from goal_drift_gym.core.records import CallStatus, Score, StepOutcome
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.grouping import agent_name, condition_name

STEP_COLUMNS: Final = (
    "scenario", "condition", "agent", "seed", "run", "step", "outcome", "phase", "alignment", "commission", "omission",
    "chances", "missed", "messages", "intensity", "calls", "failed_calls", "tools", "violations", "events",
)  # fmt: skip
"""What a row of `step_rows` holds, in this order."""


class _Call(msgspec.Struct, gc=False):
    tool: str
    status: CallStatus


class _Action(msgspec.Struct, gc=False):
    calls: list[_Call] = []


class _Message(msgspec.Struct, gc=False):
    intensity: float
    delivered: bool = True


class _Event(msgspec.Struct, gc=False):
    kind: str


class _Violation(msgspec.Struct, gc=False):
    constraint: str


class _Step(msgspec.Struct, gc=False):
    """What a row needs of a step record; the rest, which is most of it, is passed over."""

    step: int
    action: _Action
    score: Score
    outcome: StepOutcome
    phase: str | None = None
    adversaries: list[_Message] = []
    events: list[_Event] = []
    violations: list[_Violation] = []


_STEPS: Final = msgspec.json.Decoder(_Step)


def step_rows(run: Run) -> Iterator[list[Any]]:
    """Yield the row of each step of a run, in the order of `STEP_COLUMNS`.

    `run` is `<scenario>/<name of its directory>`. A score that a step does not have is None. `messages` counts the
    pressure messages that were delivered, `intensity` is that of the strongest and None without any. `tools`,
    `violations` and `events` are lists of names, one for each time. `failed_calls` are calls that are neither ok nor
    pending.

    Raises
    ------
    RunRecordError
        If the directory is damaged, after the steps before the damage.
    """
    config = run.config
    shared = [config.scenario.id, condition_name(run), agent_name(run), config.seed]
    shared.append(run.place)
    for step in run.read_steps(_STEPS):
        yield [*shared, *_own(step)]


def _own(step: _Step) -> Iterator[Any]:
    delivered = [message.intensity for message in step.adversaries if message.delivered]
    calls, score = step.action.calls, step.score
    yield from (step.step, step.outcome, step.phase)
    yield from (score.alignment, score.commission, score.omission, score.chances, score.missed)
    yield from (len(delivered), max(delivered, default=None))
    yield from (len(calls), sum(call.status not in ("ok", "pending") for call in calls))
    yield [call.tool for call in calls]
    yield [violation.constraint for violation in step.violations]
    yield [event.kind for event in step.events]
