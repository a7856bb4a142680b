"""The end of a run: its metrics and status, and who writes them when.

An episode that was run ahead of time is over before anybody knows whether its run is asked for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.tape_file import finish_tape
from goal_drift_gym.core.canonical import prepare_type
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.provenance import git_info, machine_info, package_versions, utc_now
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import META, METRICS, Run, RunConfig, RunWriter, write_ending
from goal_drift_gym.eval.metrics import RunMetrics, compute_metrics
from goal_drift_gym.eval.policy import enumerated_arguments


class _Tool(msgspec.Struct, frozen=True, kw_only=True):
    """What the metrics need to know of a tool in config.json."""

    name: str
    parameters: dict[str, Any]
    check: bool
    wait: bool
    risky: bool


prepare_type(_Tool)


def metrics_of(records: Sequence[StepRecord], outcome: str, config: RunConfig) -> RunMetrics:
    """Compute the metrics of records in the light of a config.

    Raises
    ------
    RunRecordError
        If the config's tools are damaged.
    """
    try:
        tools = msgspec.convert(config.tools, list[_Tool])
    except msgspec.ValidationError as error:
        raise RunRecordError(f"config.json is damaged: tools: {error}") from error
    flags = {tool.name: {"check": tool.check, "wait": tool.wait, "risky": tool.risky} for tool in tools}
    keys = enumerated_arguments({tool.name: tool.parameters for tool in tools})
    return compute_metrics(records, outcome=outcome, tool_flags=flags, key_args=keys)


def write_finish(writer: RunWriter, metrics: RunMetrics, outcome: str, meta: Mapping[str, Any]) -> None:
    """Write metrics.json and meta.json of a run."""
    writer.finish(*finish_parts(writer, metrics, outcome, meta))


def finish_parts(
    writer: RunWriter, metrics: RunMetrics, outcome: str, meta: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what metrics.json and meta.json of a run say."""
    finished = utc_now()
    return {"outcome": outcome, "metrics": msgspec.to_builtins(metrics)}, {
        "status": outcome,
        "started": writer.started.isoformat(),
        "finished": finished.isoformat(),
        "duration_s": round((finished - writer.started).total_seconds(), 6),
        "config_hash": writer.config.config_hash,
        "git": git_info(_here()),
        "machine": machine_info(),
        "packages": package_versions(),
        "command": Path(sys.argv[0]).name if sys.argv else "",
        **meta,
    }


def warm_up() -> None:
    """Look up what every run's meta.json repeats, before many episodes at once would each do so."""
    git_info(_here())
    machine_info()
    package_versions()


def _here() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/"


class HeldRun:
    """A run whose steps are all written, and whose end is not: to everybody else it is still being written.

    Who ran the episode ahead of time says what it was: `keep` it, or hand it over where nobody asked for it.
    """

    def __init__(self, writer: RunWriter, metrics: RunMetrics, outcome: str, meta: Mapping[str, Any]) -> None:
        self._writer = writer
        self._metrics = metrics
        self._outcome = outcome
        self._meta = meta

    def keep(self) -> Run:
        """Write the end as it was and return the finished run.

        Raises
        ------
        RunRecordError
            If it cannot be written.
        """
        try:
            write_finish(self._writer, self._metrics, self._outcome, self._meta)
        finally:
            self._writer.close()
        run = self._writer.run()
        finish_tape(run)
        return run

    def hand_over(self, reason: str) -> HandedOver:
        """Let go of the run: whoever gets it, in this process or another, may keep it, or drop it for this reason.

        Raises
        ------
        RunRecordError
            If its steps cannot be read.
        """
        writer = self._writer
        try:
            # The steps are read from their file: kept in memory, those of hundreds of runs would be much.
            dropped = metrics_of(list(Run(writer.path).steps()), "interrupted", writer.config)
            kept = finish_parts(writer, self._metrics, self._outcome, self._meta)
            ended = finish_parts(writer, dropped, "interrupted", {**self._meta, "detail": reason})
            return HandedOver(path=str(writer.path), kept=_texts(writer, *kept), dropped=_texts(writer, *ended))
        finally:
            writer.close()


class FinishedRun:
    """A run that was finished before, where one might be held."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def keep(self) -> Run:
        """Return the run."""
        finish_tape(self._run)
        return self._run

    def hand_over(self, reason: str) -> HandedOver:
        """Let go of the run: kept or dropped, it is what it was, whatever the reason."""
        try:
            metrics, meta = ((self._run.path / name).read_text(encoding="utf-8") for name in (METRICS, META))
        except OSError as error:
            raise RunRecordError(f"cannot read {self._run.path}: {error.strerror}") from error
        texts = (metrics.removesuffix("\n"), meta.removesuffix("\n"))
        return HandedOver(path=str(self._run.path), kept=texts, dropped=texts)


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """A held run on its way to another process. Until somebody keeps or drops it, it is an unfinished run."""

    path: str
    kept: tuple[str, str]
    """metrics.json and meta.json of the run as it was."""
    dropped: tuple[str, str]
    """The same of a run that nobody asked for."""

    def keep(self) -> Run:
        """Write the end as it was and return the finished run.

        Raises
        ------
        RunRecordError
            If it cannot be written.
        """
        self._write(self.kept)
        run = Run(Path(self.path))
        finish_tape(run)
        return run

    def drop(self) -> None:
        """End the run as interrupted: its steps are true, and they belong to no result.

        Raises
        ------
        RunRecordError
            If it cannot be written.
        """
        self._write(self.dropped)

    def _write(self, ending: tuple[str, str]) -> None:
        metrics, meta = ending
        try:
            write_ending(Path(self.path), metrics.encode(), meta.encode())
        except OSError as error:
            raise RunRecordError(f"cannot write the end of {self.path}: {error.strerror or error}") from error


def _texts(writer: RunWriter, metrics: dict[str, Any], meta: dict[str, Any]) -> tuple[str, str]:
    written, status = writer.ending(metrics, meta)
    return written.decode(), status.decode()
