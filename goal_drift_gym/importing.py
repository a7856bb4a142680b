"""Step logs that others wrote, turned into run directories.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.engine import check_seed
from goal_drift_gym.core.errors import UsageError, did_you_mean
from goal_drift_gym.core.provenance import engine_version
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, RunConfig, RunWriter, ScenarioInfo, load_run, safe_stem
from goal_drift_gym.eval.external import ExternalMapping, ExternalRun, read_external
from goal_drift_gym.grouping import IMPORTED
from goal_drift_gym.run_end import metrics_of, write_finish

_BLOCK = 1 << 20
_NAME = "imported"


def import_runs(
    path: str | os.PathLike[str],
    mapping: ExternalMapping,
    *,
    scenario: str,
    runs_dir: str | Path = "runs",
    condition_column: str | None = None,
    agent_column: str | None = None,
) -> Iterator[Run]:
    """Write a run directory for each run of a foreign log and yield them, in the order of the file.

    Parameters
    ----------
    path
        The log, see `read_external`.
    mapping
        Which column means what. Run columns and labels become keys of the condition.
    scenario
        Id of the scenario the directories go under: letters, digits, `_`, `-` and inner dots.
    runs_dir
        Where run directories go.
    condition_column, agent_column
        Run columns or labels whose value names condition and agent; without them both are `imported`.

    Raises
    ------
    UsageError
        If the file does not fit the mapping, a step is missing within a run, or the scenario's id is no file name.
        Nothing is written then.
    RunRecordError
        If a run directory cannot be written.

    Notes
    -----
    A run without a seed column has its number in the file, counted from 0, as its seed. Steps are counted from 0.
    """
    if safe_stem(scenario) != scenario:
        raise UsageError(
            f"{scenario!r} cannot name a scenario: at most 60 letters, digits, _, - and inner dots, "
            f"such as {safe_stem(scenario)!r}"
        )
    kept = list(dict.fromkeys((*mapping.run, *mapping.labels)))
    for column in (condition_column, agent_column):
        if column is not None and column not in kept:
            raise UsageError(f"column {column!r} is neither a run column nor kept; {did_you_mean(column, kept)}")
    # Everything is read before anything is written, so that a bad line leaves no half of an import behind.
    runs = [_checked(run, mapping, number) for number, run in enumerate(read_external(path, mapping))]
    if not runs:
        raise UsageError(f"{path} holds no run")
    source = {"file": Path(path).name, "sha256": _digest(Path(path)), "mapping": msgspec.to_builtins(mapping)}
    redactor = Redactor.from_environment()
    for run in runs:
        config = _config(run, scenario, condition_column, agent_column)
        yield _written(run, RunWriter.create(Path(runs_dir), config, redactor), source)


def _checked(run: ExternalRun, mapping: ExternalMapping, number: int) -> ExternalRun:
    if not run.records:
        raise UsageError(f"run {run.key} has no step")
    try:
        seed = check_seed(number if run.seed is None else run.seed)
    except UsageError as error:
        raise UsageError(f"run {run.key}: {error}") from None
    return msgspec.structs.replace(run, seed=seed, records=_counted_from_zero(run, mapping.step))


def _counted_from_zero(run: ExternalRun, step_column: str | None) -> list[StepRecord]:
    first = run.records[0].step
    counted: list[StepRecord] = []
    for number, record in enumerate(run.records):
        if record.step != first + number:
            raise UsageError(
                f"run {run.key}: step {first + number} is missing; write it with an empty score if it had none"
            )
        state = {**record.state, step_column: record.step} if first and step_column is not None else record.state
        counted.append(msgspec.structs.replace(record, step=number, state=state))
    return counted


def _config(run: ExternalRun, scenario: str, condition_column: str | None, agent_column: str | None) -> RunConfig:
    assert run.seed is not None
    named: dict[str, Any] = {"name": _NAME, **run.labels}
    if condition_column is not None:
        named["name"] = run.labels[condition_column]
    agent = str(run.labels[agent_column]) if agent_column is not None else _NAME
    return RunConfig(
        scenario=ScenarioInfo(id=scenario, version="0", distribution=None, reference=IMPORTED),
        condition={**named, "name": str(named["name"])},
        goal={
            "prompt": "",
            "system": run.system_goal or "",
            "competing": run.competing_goal or "",
            "polarity": "system",
        },
        tools=[],
        agent={"name": agent, "kind": _NAME},
        seed=run.seed,
        engine_version=engine_version(),
        limits={},
    )


def _written(run: ExternalRun, writer: RunWriter, source: dict[str, Any]) -> Run:
    try:
        for record in run.records:
            writer.write_step(record)
        write_finish(writer, metrics_of(run.records, run.outcome, writer.config), run.outcome, {"source": source})
    finally:
        writer.close()
    return load_run(writer.path)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
