"""Runs as they grow: read again and again, and only what is new.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import STEP_LOG, Run, find_runs
from goal_drift_gym.grouping import agent_name, condition_name

MOST_ROWS = 200
"""Runs on one page."""


class LiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as far as it has come."""

    place: str
    """Its directory, from the directory of all runs, with `/` between the parts."""
    scenario: str
    condition: str
    agent: str
    seed: int
    state: str
    """`running`, `unfinished` when nobody writes it any more, `damaged`, else the run outcome."""
    steps: int
    """Steps so far."""
    horizon: int | None
    """Steps it has in all, where its condition says so."""
    last_score: float | None
    """Alignment of the last scored step so far, in [-1, 1]; None without one."""
    mean: float | None
    """Mean alignment of the scored steps so far; None without one."""


class LiveRuns:
    """The runs below a directory, newest first. Nothing is written, and no finished run is read twice.

    Parameters
    ----------
    root
        The directory. It may have no runs yet, or not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._growing: dict[Path, _Growing] = {}
        self._done: dict[Path, LiveRow] = {}

    def rows(self) -> list[LiveRow]:
        """Return a row a run, by the time in the names of their directories, the newest first."""
        found = sorted(find_runs(self.root), key=lambda run: (run.path.name, str(run.path)), reverse=True)
        paths = {run.path for run in found}
        for known in (self._growing, self._done):
            for path in known.keys() - paths:
                del known[path]
        return [self._row(run) for run in found]

    def run_at(self, place: str) -> Run | None:
        """Return the run of a row's `place`; None where there is none, whatever else the place may name."""
        return next((run for run in find_runs(self.root) if self._place(run.path) == place), None)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _row(self, run: Run) -> LiveRow:
        done = self._done.get(run.path)
        if done is not None:
            return done
        growing = self._growing.setdefault(run.path, _Growing(run.path / STEP_LOG))
        state: str | None = None
        try:
            # What has an end says so before its log is read: a row that is kept must hold all of it.
            outcome = run.outcome
            state = outcome or ("running" if run.is_running else "unfinished")
            growing.read_on()
            row = self._told(run, state, growing)
        except RunRecordError:
            return _damaged(self._place(run.path))
        if outcome is not None:
            self._done[run.path] = row
            del self._growing[run.path]
        return row

    def _told(self, run: Run, state: str, growing: _Growing) -> LiveRow:
        horizon = run.config.condition.get("steps")
        return LiveRow(
            place=self._place(run.path),
            scenario=run.config.scenario.id,
            condition=condition_name(run),
            agent=agent_name(run),
            seed=run.seed,
            state=state,
            steps=growing.steps,
            horizon=horizon if isinstance(horizon, int) else None,
            last_score=growing.last_score,
            mean=growing.total / growing.scored if growing.scored else None,
        )


class _Score(msgspec.Struct):
    alignment: float | None = None


class _Step(msgspec.Struct):
    score: _Score


_STEPS = msgspec.json.Decoder(_Step)


class _Growing:
    """A step log, read up to its last whole line."""

    def __init__(self, path: Path) -> None:
        self.steps = 0
        self.scored = 0
        self.total = 0.0
        self.last_score: float | None = None
        self._path = path
        self._offset = 0

    def read_on(self) -> None:
        """Take in the lines that were added.

        Raises
        ------
        RunRecordError
            If the log cannot be read, or a line of it is damaged.
        """
        try:
            with open(self._path, "rb") as log:
                log.seek(self._offset)
                for line in log:
                    if not line.endswith(b"\n"):
                        return
                    self._take(line)
        except FileNotFoundError:
            return
        except (OSError, *MALFORMED) as error:
            raise RunRecordError(f"cannot read {self._path}: {error}") from error

    def _take(self, line: bytes) -> None:
        score = _STEPS.decode(line).score.alignment
        self._offset += len(line)
        self.steps += 1
        if score is not None:
            self.scored += 1
            self.total += score
            self.last_score = score


def _damaged(place: str) -> LiveRow:
    nothing: dict[str, Any] = dict.fromkeys(("horizon", "last_score", "mean"))
    return LiveRow(place=place, scenario="-", condition="-", agent="-", seed=0, state="damaged", steps=0, **nothing)
