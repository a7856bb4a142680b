"""Step logs that others wrote, read as step records.

Two shapes are read. *Long*: one row a step (JSONL or CSV). *Wide*: one JSON object a run, with its scores in an array.
Either may be compressed (`.gz`).

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.errors import UsageError, did_you_mean
from goal_drift_gym.core.records import RUN_OUTCOMES, STEP_OUTCOMES, ActionRecord, Observation, Score, StepRecord
from goal_drift_gym.eval.external_rows import Row, read_rows
from goal_drift_gym.eval.triage import EVALUATION_PHASE

INSTRUMENTAL_PHASE = "instrumental"


class ExternalMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a foreign log means what."""

    run: tuple[str, ...]
    """Columns that together name a run; at least one."""
    score: str
    """Column of the step score; an array where `step` is None."""
    step: str | None = None
    """Column of the step index, for one row a step. None: one object a run, steps counted from 0."""
    score_range: tuple[float, float] = (-1.0, 1.0)
    """The scores that mean -1 and +1; the first may be the larger one, where the file holds drift."""
    outcome: str | None = None
    """Column of the run outcome, one of `RUN_OUTCOMES`. None: every run is completed."""
    step_outcome: str | None = None
    """Column of the step outcome, one of `STEP_OUTCOMES`; an array in wide files. None: every step is acted."""
    seed: str | None = None
    """Column of the seed, a whole number."""
    instrumental_steps: str | None = None
    """Column of the number of first steps that are not scored."""
    system_goal: str | None = None
    """Column that names the system goal."""
    competing_goal: str | None = None
    """Column that names the competing goal."""
    labels: tuple[str, ...] = ()
    """Further columns of the run to keep, such as the model."""
    state: tuple[str, ...] = ()
    """Further columns of the step to keep in its `state`; arrays in wide files."""

    def __post_init__(self) -> None:
        if not self.run:
            raise UsageError("the mapping names no run columns; without them runs cannot be told apart")
        low, high = self.score_range
        if not (math.isfinite(low) and math.isfinite(high)) or low == high:
            raise UsageError(f"score_range {self.score_range!r} must be two different finite numbers")

    def run_columns(self) -> list[str]:
        """Return the columns that hold one value a run, each once."""
        optional = (self.outcome, self.seed, self.instrumental_steps, self.system_goal, self.competing_goal)
        return list(dict.fromkeys((*self.run, *(name for name in optional if name is not None), *self.labels)))

    def step_columns(self) -> list[str]:
        """Return the columns that hold one value a step, each once."""
        optional = (self.step, self.score, self.step_outcome)
        return list(dict.fromkeys((*(name for name in optional if name is not None), *self.state)))


class ExternalRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a foreign log."""

    key: str
    """The values of the run columns, joined with "/"."""
    labels: dict[str, Any]
    """The values of the run columns and of the label columns, by column."""
    outcome: str
    """How the run ended."""
    seed: int | None
    """The seed, where the file gives one."""
    system_goal: str | None
    """Name of the system goal, where the file gives one."""
    competing_goal: str | None
    """Name of the competing goal, where the file gives one."""
    records: list[StepRecord]
    """One record a step, in order. A step without a score, or before the instrumental steps are over, has alignment
    None; the score the file gives an instrumental step is kept in its `state` under the score's column name."""


class LastStepsRow(msgspec.Struct, frozen=True, kw_only=True):
    """Mean drift at the end of the runs of one group."""

    group: dict[str, Any]
    """The labels the runs of this group share."""
    runs: int
    """Number of runs, >= 1."""
    mean: float
    """Mean over runs of the mean drift, in [0, 1]."""
    standard_error: float
    """Population standard deviation over runs / sqrt(runs), >= 0."""
    fewest_steps: int
    """Smallest number of scored steps any of the runs contributed."""


def read_external(path: str | os.PathLike[str], mapping: ExternalMapping) -> Iterator[ExternalRun]:
    """Read the runs of a foreign step log, in the order in which they first occur.

    Parameters
    ----------
    path : path
        A file named `*.jsonl`, `*.csv`, `*.jsonl.gz` or `*.csv.gz`, in UTF-8.
    mapping : ExternalMapping
        Which column means what.

    Yields
    ------
    ExternalRun
        Scores are mapped to [-1, 1] by the straight line through `mapping.score_range`. An empty CSV cell, and null
        in JSON, is a step without a score. Long files are read whole first, wide files run by run.

    Raises
    ------
    UsageError
        With file, line and column: when a column is missing, a score is NaN, no number or out of range, a row or an
        array is too short or too long, a step or a run occurs twice, a run column changes within a run, or the file
        cannot be read.
    """
    rows = read_rows(Path(path), wide=mapping.step is None)
    return _wide_runs(rows, mapping) if mapping.step is None else _long_runs(rows, mapping, mapping.step)


def last_steps_table(runs: Iterable[ExternalRun], *, by: Sequence[str], last: int = 10) -> list[LastStepsRow]:
    """Tabulate the mean drift over the last steps, as Menon et al. 2026 do.

    Parameters
    ----------
    runs : iterable of ExternalRun
        The runs.
    by : sequence of str
        Labels that make a group; rows come in the order in which groups first occur.
    last : int, default 10
        How many steps at the end of each run are averaged; those without a score are left out.

    Returns
    -------
    list of LastStepsRow
        Drift of a step is (1 - score) / 2, in [0, 1]: one minus the alignment on [0, 1].

    Raises
    ------
    UsageError
        If a label is missing, `last` is below 1, or a run has no scored step among its last ones.

    References
    ----------
    .. [1] Menon et al. 2026, "Inherited Goal Drift", arXiv 2603.03258.
    """
    if last < 1:
        raise UsageError(f"last is {last!r}; at least 1 step must be averaged")
    groups: dict[tuple[Any, ...], list[list[float]]] = {}
    for run in runs:
        for name in by:
            if name not in run.labels:
                raise UsageError(f"run {run.key}: there is no label {name!r}; {did_you_mean(name, run.labels)}")
        scores = [record.score.alignment for record in run.records[-last:]]
        drift = [(1.0 - score) / 2.0 for score in scores if score is not None]
        if not drift:
            raise UsageError(f"run {run.key}: none of the last {last} steps has a score")
        groups.setdefault(tuple(run.labels[name] for name in by), []).append(drift)
    return [_last_steps_row(dict(zip(by, group, strict=True)), drifts) for group, drifts in groups.items()]


def _last_steps_row(group: dict[str, Any], drifts: list[list[float]]) -> LastStepsRow:
    means = [math.fsum(drift) / len(drift) for drift in drifts]
    mean = math.fsum(means) / len(means)
    variance = math.fsum((value - mean) ** 2 for value in means) / len(means)
    return LastStepsRow(
        group=group,
        runs=len(means),
        mean=mean,
        standard_error=math.sqrt(variance / len(means)),
        fewest_steps=min(len(drift) for drift in drifts),
    )


def _wide_runs(rows: Iterator[Row], mapping: ExternalMapping) -> Iterator[ExternalRun]:
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        _require_columns(row, [*mapping.run_columns(), *mapping.step_columns()])
        key = _run_key(row, mapping)
        if key in seen:
            raise UsageError(f"{row.where}: run {'/'.join(key)} occurs twice, first at {seen[key]}")
        seen[key] = row.where
        arrays = {name: _array(row, name) for name in mapping.step_columns()}
        length = len(arrays[mapping.score])
        for name, array in arrays.items():
            if len(array) != length:
                raise UsageError(
                    f"{row.where}: {name!r} has {len(array)} values and {mapping.score!r} has {length}; "
                    f"there must be one each step"
                )
        steps = [
            (step, Row(f"{row.where}, step {step}", {name: array[step] for name, array in arrays.items()}))
            for step in range(length)
        ]
        yield _run(key, row, steps, mapping)


def _long_runs(rows: Iterator[Row], mapping: ExternalMapping, step_column: str) -> Iterator[ExternalRun]:
    first: dict[tuple[str, ...], Row] = {}
    found: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in rows:
        _require_columns(row, [*mapping.run_columns(), *mapping.step_columns()])
        key = _run_key(row, mapping)
        head = first.setdefault(key, row)
        for name in mapping.run_columns():
            if row.values[name] != head.values[name]:
                raise UsageError(
                    f"{row.where}: {name!r} is {row.values[name]!r} and was {head.values[name]!r} at {head.where}; "
                    f"it must be one value in run {'/'.join(key)}"
                )
        step = _whole(row, step_column)
        steps = found.setdefault(key, {})
        if step in steps:
            raise UsageError(
                f"{row.where}: step {step} of run {'/'.join(key)} occurs twice, first at {steps[step].where}"
            )
        steps[step] = row
    for key, steps in found.items():
        yield _run(key, first[key], sorted(steps.items()), mapping)


def _run(key: tuple[str, ...], head: Row, steps: Sequence[tuple[int, Row]], mapping: ExternalMapping) -> ExternalRun:
    instrumental = _whole(head, mapping.instrumental_steps) if mapping.instrumental_steps is not None else 0
    return ExternalRun(
        key="/".join(key),
        labels={name: _kept(head, name) for name in dict.fromkeys((*mapping.run, *mapping.labels))},
        outcome=_choice(head, mapping.outcome, RUN_OUTCOMES, "completed"),
        seed=_whole(head, mapping.seed, lowest=None) if mapping.seed is not None else None,
        system_goal=_text(head, mapping.system_goal),
        competing_goal=_text(head, mapping.competing_goal),
        records=[
            _record(step, row, mapping, phase=_phase(position, instrumental))
            for position, (step, row) in enumerate(steps)
        ],
    )


def _phase(position: int, instrumental: int) -> str | None:
    if not instrumental:
        return None
    return INSTRUMENTAL_PHASE if position < instrumental else EVALUATION_PHASE


def _record(step: int, row: Row, mapping: ExternalMapping, *, phase: str | None) -> StepRecord:
    score = _score(row, mapping)
    state = {name: _kept(row, name) for name in mapping.state}
    if phase == INSTRUMENTAL_PHASE:
        state.setdefault(mapping.score, row.values[mapping.score])
        score = None
    outcome: Any = _choice(row, mapping.step_outcome, STEP_OUTCOMES, "acted")
    return StepRecord(
        step=step,
        observation=Observation(),
        action=ActionRecord(),
        score=Score(alignment=score, commission=None, omission=None),
        outcome=outcome,
        phase=phase,
        state=state,
    )


def _score(row: Row, mapping: ExternalMapping) -> float | None:
    value = row.values[mapping.score]
    if value is None or value == "":
        return None
    number = _number(row, mapping.score)
    low, high = mapping.score_range
    if not min(low, high) <= number <= max(low, high):
        raise UsageError(
            f"{row.where}: {mapping.score!r} is {number!r}, outside score_range {low!r} to {high!r}; "
            f"give the range the scores of this file have"
        )
    return 2.0 * (number - low) / (high - low) - 1.0


def _number(row: Row, column: str) -> float:
    value = row.values[column]
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{row.where}: {column!r} is {value!r} ({type(value).__name__}), not a finite number")
    return number


def _whole(row: Row, column: str, *, lowest: int | None = 0) -> int:
    value = row.values[column]
    number: int | None = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = int(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or (isinstance(value, float) and number != value) or (lowest is not None and number < lowest):
        kind = "a whole number" if lowest is None else f"a whole number >= {lowest}"
        raise UsageError(f"{row.where}: {column!r} is {value!r} ({type(value).__name__}), not {kind}")
    return number


def _kept(row: Row, column: str) -> Any:
    value = row.values[column]
    return _number(row, column) if isinstance(value, float) else value


def _choice(row: Row, column: str | None, known: tuple[str, ...], default: str) -> str:
    if column is None:
        return default
    value = row.values[column]
    if value not in known:
        raise UsageError(f"{row.where}: {column!r} is {value!r}; {did_you_mean(str(value), known)}")
    return str(value)


def _text(row: Row, column: str | None) -> str | None:
    if column is None or row.values[column] is None:
        return None
    return str(row.values[column])


def _array(row: Row, column: str) -> list[Any]:
    value = row.values[column]
    if not isinstance(value, list):
        raise UsageError(
            f"{row.where}: {column!r} is {value!r} ({type(value).__name__}), not an array with one value a step; "
            f"a file with one row a step needs a step column in the mapping"
        )
    return value


def _run_key(row: Row, mapping: ExternalMapping) -> tuple[str, ...]:
    return tuple(str(row.values[name]) for name in mapping.run)


def _require_columns(row: Row, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in row.values:
            raise UsageError(f"{row.where}: there is no column {name!r}; {did_you_mean(name, row.values)}")
