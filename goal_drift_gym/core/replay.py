"""Driving a scenario again with the answers a run recorded: no agent needed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from goal_drift_gym.core.adversary import nobody
from goal_drift_gym.core.canonical import line_json
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.engine import Episode, Limits, Replayed, Unusable
from goal_drift_gym.core.errors import RunRecordError, UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action, StepRecord
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.core.turn import Turn

_FAULTS = frozenset({"agent_silent", "agent_unavailable", "agent_out_of_budget", "agent_error", "limit_reached"})


class Recorded:
    """An agent that gives recorded answers again."""

    runs_inline = True

    def __init__(self, records: Sequence[StepRecord]) -> None:
        self.records = records

    def __call__(self, turn: Turn) -> Any:
        """Make the recorded calls of this step; fail as recorded where the agent failed."""
        record = self.records[turn.step]
        for call in record.action.calls:
            turn.perform(Action(call.tool, call.args))
        for note in record.action.notes:
            turn.note(note)
        for event in record.events:
            if event.by == "agent" and event.kind in _FAULTS:
                raise Replayed(event.kind, event.detail)
            if event.by == "agent" and event.kind == "unusable_answer":
                return Unusable(event.detail["type"])
        return None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where a replay does not agree with the record."""

    file: str
    step: int | None
    """`None` where the difference is in no step."""
    field: str
    """Dotted path of the field."""
    recorded: str
    replayed: str

    def __str__(self) -> str:
        where = self.file if self.step is None else f"{self.file}, step {self.step}"
        return f"{where}, field {self.field}: recorded {self.recorded}, replayed {self.replayed}"


class _EndOfRecord(BaseException):
    """All recorded answers have been given."""


def _stop(turn: Turn) -> None:
    raise _EndOfRecord


def replayed_lines(run: Run, scenario: Scenario) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Drive `scenario` with the answers of `run`; yield (recorded line, replayed line) step by step.

    Either is None where the other side has more steps.
    """
    records = list(run.steps())
    lines: list[bytes] = []
    config = run.config
    condition = parse_condition(config.condition)
    # Adversaries say what they said; one that would be asked beyond the record is asked in vain.
    episode = Episode(scenario, condition, seed=config.seed, limits=recorded_limits(run), adversaries=nobody)
    prefix = prefix_length(records)

    def keep(record: StepRecord) -> None:
        lines.append(episode.redactor.line(line_json(record)))

    try:
        episode.run(_stop, keep, prefix=records[:prefix], recorded=records)
    except _EndOfRecord:
        pass
    yield from zip_longest(run.step_lines(), lines)


def prefix_length(records: Sequence[StepRecord]) -> int:
    """Return how many records are steps of another run that this one began with."""
    return sum(1 for record in records if any(event.kind == "prefix" for event in record.events))


def reproduce(run: Run, scenario: Scenario) -> Difference | None:
    """Return the first difference between a run's step log and its replay, or None.

    Raises
    ------
    RunRecordError
        If the run cannot be read or has no step.
    """
    number = -1
    try:
        for number, (recorded, replayed) in enumerate(replayed_lines(run, scenario)):
            if recorded != replayed:
                return _difference(number, recorded, replayed)
    except RunRecordError as error:
        damaged = _damaged_line(run)
        if damaged is None:
            raise
        return Difference(
            file="step_log.jsonl", step=damaged, field="(line)", recorded=f"unreadable: {error}", replayed="-"
        )
    if number < 0:
        raise RunRecordError(f"{run.path} has no recorded step: there is nothing to verify")
    return None


def recorded_limits(run: Run) -> Limits:
    """Return the limits a run was made with, without those that cannot change what is recorded.

    Raises
    ------
    RunRecordError
        If its config is damaged.
    """
    try:
        return msgspec.convert(run.config.limits, Limits)
    except (msgspec.ValidationError, UsageError) as error:
        raise RunRecordError(f"config.json: limits are damaged: {error}") from error


def _damaged_line(run: Run) -> int | None:
    whole = 0
    try:
        for _ in run.steps():
            whole += 1
    except RunRecordError:
        return whole
    return None


def _difference(step: int, recorded: bytes | None, replayed: bytes | None) -> Difference:
    if recorded is None or replayed is None:
        have = ("no such step" if line is None else "a step" for line in (recorded, replayed))
        return Difference(file="step_log.jsonl", step=step, field="(step)", recorded=next(have), replayed=next(have))
    place = _first_difference(msgspec.json.decode(recorded), msgspec.json.decode(replayed), "")
    if place is None:
        # The values agree; only their spelling differs, such as spaces or the order of keys.
        place = ("(bytes)", _short(recorded), _short(replayed))
    return Difference(file="step_log.jsonl", step=step, field=place[0], recorded=place[1], replayed=place[2])


def _first_difference(left: Any, right: Any, path: str) -> tuple[str, str, str] | None:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if key not in left or key not in right:
                return f"{path}.{key}".lstrip("."), _short(left.get(key, "absent")), _short(right.get(key, "absent"))
            found = _first_difference(left[key], right[key], f"{path}.{key}")
            if found is not None:
                return found
        return None
    if isinstance(left, list) and isinstance(right, list):
        for index, (one, other) in enumerate(zip(left, right, strict=False)):
            found = _first_difference(one, other, f"{path}[{index}]")
            if found is not None:
                return found
        if len(left) != len(right):
            return f"{path}.length".lstrip("."), str(len(left)), str(len(right))
        return None
    if type(left) is type(right) and left == right:
        return None
    return path.lstrip("."), _short(left), _short(right)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
