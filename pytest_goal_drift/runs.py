"""What a test gets to look at: one run, or the runs of all seeds.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import msgspec

from goal_drift_gym.core.errors import GoalDriftError, did_you_mean
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import Run, RunConfig
from goal_drift_gym.eval.metrics import RunMetrics, Scalar
from goal_drift_gym.eval.verdict import SeedResult
from goal_drift_gym.judging import ScoredRun

_ALWAYS = frozenset({"status", "reason", "threshold", "floor", "steps", "scored_steps", "step_outcomes", "tool_usage"})


class NotScored(GoalDriftError, AssertionError):
    """A metric was asked of a run that has none: it is dead, or did not end in a way that is scored."""


class Metrics:
    """The metrics of one run by attribute, nested ones too: `metrics.slope`, `metrics.violations.count`.

    A metric that is undefined is None. In a run that is not scored every metric raises `NotScored`, so that an
    assertion such as `metrics.first_pass is None` cannot pass by mistake; `status`, `reason`, `steps`,
    `scored_steps`, `step_outcomes` and `tool_usage` are there in any case.
    """

    def __init__(self, values: RunMetrics, run: DriftRun) -> None:
        self._values = values
        self._run = run

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in RunMetrics.__struct_fields__:
            raise AttributeError(f"there is no metric {name!r}; {did_you_mean(name, RunMetrics.__struct_fields__)}")
        if name not in _ALWAYS and self._values.status != "scored":
            raise NotScored(f"{name} is undefined: {self._run.why_not_scored}")
        return getattr(self._values, name)

    def __getitem__(self, name: str) -> Scalar:
        """Return a metric by its dotted name, as limits name it: `metrics["violations.count"]`."""
        flat = self.flat()
        if name not in flat:
            # A kind of event that did not happen has no entry, and no value.
            if name.startswith("event_deltas."):
                return None
            raise KeyError(f"there is no metric {name!r}; {did_you_mean(name, flat)}")
        if name.partition(".")[0] not in _ALWAYS and self._values.status != "scored":
            raise NotScored(f"{name} is undefined: {self._run.why_not_scored}")
        return flat[name]

    def __dir__(self) -> list[str]:
        return [*RunMetrics.__struct_fields__, "flat"]

    def __repr__(self) -> str:
        return f"<metrics of {self._run.summary}>"

    def flat(self) -> dict[str, Scalar]:
        """Return every number and flag under a dotted name."""
        return self._values.flat()


class DriftRun:
    """One finished run.

    Its metrics are plain numbers, so assertions need no helpers. When one fails, pytest shows the value and this
    object, which names the run directory, the step at which the score first fell below 0 and the pressure at that time.
    """

    twin: DriftRun | None = None
    """The run of the same seed and world without the pressure; None unless the test asks for twins."""

    def __init__(self, run: Run, shown: str | None = None) -> None:
        self._run = run
        self._shown = str(run.path) if shown is None else shown

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._run.path

    @property
    def seed(self) -> int:
        """The seed."""
        return self._run.config.seed

    @property
    def config(self) -> RunConfig:
        """Everything the run was made from."""
        return self._run.config

    @property
    def meta(self) -> dict[str, Any]:
        """What varies from run to run: times, versions, what was spent."""
        return dict(self._run.meta or {})

    @property
    def outcome(self) -> str:
        """How the run ended: `truncated` at the horizon, `terminated`, `completed`, `agent_error`, ..."""
        return str(self._run.outcome)

    @cached_property
    def values(self) -> RunMetrics:
        """The metrics as a record, None where undefined; `metrics` is the safer way to look at them."""
        return msgspec.convert(self._run.metrics, RunMetrics)

    @cached_property
    def result(self) -> SeedResult:
        """What the run brings to a verdict."""
        return self._scored.result

    @cached_property
    def _scored(self) -> ScoredRun:
        from goal_drift_gym.judging import scored_run

        return scored_run(self._run)

    @cached_property
    def course(self) -> list[float | None]:
        """Mean score of each of sixteen parts of the episode; None where no step of a part is scored."""
        from goal_drift_gym.report.sparkline import course

        return course(self._run, self._scored)

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics by attribute."""
        return Metrics(self.values, self)

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        """The step records, in order."""
        return tuple(self._run.steps())

    @property
    def scores(self) -> list[float | None]:
        """Alignment of each step, in [-1, 1]; None where it is not scored."""
        return [record.score.alignment for record in self.steps]

    @property
    def is_scored(self) -> bool:
        """Whether the run has metrics. If not, it is neither a pass nor drift."""
        return self.values.status == "scored"

    @property
    def why_not_scored(self) -> str:
        """Why there are no metrics, as a sentence part; empty where there are."""
        if self.is_scored:
            return ""
        detail = str((self._run.meta or {}).get("detail") or "")
        told = [f"the run {self._shown} ended as {self.outcome}", detail, self.values.reason or ""]
        return printable(": ".join(part for part in told if part))

    @property
    def replay_command(self) -> str:
        """The command that drives the scenario again with the recorded answers and compares every byte."""
        return f"goal-drift verify {self._shown}"

    @property
    def summary(self) -> str:
        """The run directory and where the agent first left its goal."""
        from goal_drift_gym.report.story import turning_point

        return f"{self._shown}: {turning_point(self.steps)}" if self.is_scored else self.why_not_scored

    def __repr__(self) -> str:
        return f"<DriftRun seed {self.seed}, {self.outcome}, {self._shown}>"


class DriftRuns(Sequence[DriftRun]):
    """The runs of all seeds of a test, in the order of the seeds."""

    def __init__(self, runs: Sequence[DriftRun]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, index: int) -> DriftRun: ...
    @overload
    def __getitem__(self, index: slice) -> DriftRuns: ...
    def __getitem__(self, index: int | slice) -> DriftRun | DriftRuns:
        """Return a run by its position, not its seed."""
        return DriftRuns(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[DriftRun]:
        return iter(self._runs)

    def __repr__(self) -> str:
        outcomes = ", ".join(f"{run.seed} {run.outcome}" for run in self._runs[:8])
        return f"<DriftRuns of {len(self)} seeds: {outcomes}{', ...' if len(self) > 8 else ''}>"

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return [run.seed for run in self._runs]

    def by_seed(self, seed: int) -> DriftRun:
        """Return the run of a seed.

        Raises
        ------
        KeyError
            If it was not run.
        """
        for run in self._runs:
            if run.seed == seed:
                return run
        raise KeyError(f"seed {seed} was not run; seeds: {self.seeds}")

    def values(self, name: str) -> list[Scalar]:
        """Return a metric of every seed, by its dotted name; None where it is undefined.

        Raises
        ------
        KeyError
            If there is no such metric.
        NotScored
            If one of the runs is not scored.
        """
        return [run.metrics[name] for run in self._runs]
