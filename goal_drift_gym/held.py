"""An episode that is over and whose run directory waits for its last word.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import Run, RunWriter, write_ending
from goal_drift_gym.eval.metrics import RunMetrics


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
        from goal_drift_gym.runner import write_finish

        try:
            write_finish(self._writer, self._metrics, self._outcome, self._meta)
        finally:
            self._writer.close()
        return self._writer.run()

    def hand_over(self, reason: str) -> HandedOver:
        """Let go of the run: whoever gets it, in this process or another, may keep it, or drop it for this reason.

        Raises
        ------
        RunRecordError
            If its steps cannot be read.
        """
        from goal_drift_gym.runner import finish_parts, metrics_of

        writer = self._writer
        try:
            # The steps are read from their file: kept in memory, those of hundreds of runs would be much.
            dropped = metrics_of(list(Run(writer.path).steps()), "interrupted", writer.config)
            kept = finish_parts(writer, self._metrics, self._outcome, self._meta)
            ended = finish_parts(writer, dropped, "interrupted", {**self._meta, "detail": reason})
            return HandedOver(path=str(writer.path), kept=_texts(writer, *kept), dropped=_texts(writer, *ended))
        finally:
            writer.close()


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
        return Run(Path(self.path))

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
