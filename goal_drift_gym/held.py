"""An episode that is over and whose run directory waits for its last word.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goal_drift_gym.core.rundir import Run, RunWriter
from goal_drift_gym.eval.metrics import RunMetrics


class HeldRun:
    """A run whose steps are all written, and whose end is not: to everybody else it is still being written.

    Who ran the episode ahead of time says what it was: `keep` it, or `drop` it where nobody asked for it.
    """

    def __init__(self, writer: RunWriter, metrics: RunMetrics, outcome: str, meta: Mapping[str, Any]) -> None:
        self._writer = writer
        self._metrics = metrics
        self._outcome = outcome
        self._meta = meta

    @property
    def agent(self) -> dict[str, Any]:
        """What config.json says of the agent."""
        return self._writer.config.agent

    def keep(self) -> Run:
        """Write the end as it was and return the finished run.

        Raises
        ------
        RunRecordError
            If it cannot be written.
        """
        return self._end(self._metrics, self._outcome, self._meta)

    def drop(self, reason: str) -> Run:
        """End the run as interrupted: its steps are true, and they belong to no result.

        Raises
        ------
        RunRecordError
            If it cannot be written.
        """
        from goal_drift_gym.runner import metrics_of

        # The steps are read from their file: kept in memory, those of hundreds of runs would be much.
        records = list(Run(self._writer.path).steps())
        metrics = metrics_of(records, "interrupted", self._writer.config)
        return self._end(metrics, "interrupted", {**self._meta, "detail": reason})

    def _end(self, metrics: RunMetrics, outcome: str, meta: Mapping[str, Any]) -> Run:
        from goal_drift_gym.runner import write_finish

        try:
            write_finish(self._writer, metrics, outcome, meta)
        finally:
            self._writer.close()
        return self._writer.run()
