"""Steps of another run with which an episode begins.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from goal_drift_gym.core.adversary import gave_up
from goal_drift_gym.core.condition import Prefix
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import load_run

if TYPE_CHECKING:
    from goal_drift_gym.runner import Experiment


def prefix_records(experiment: Experiment, seed: int) -> list[StepRecord]:
    """Return the steps that the condition's prefix takes from another run; none where it has no prefix.

    Raises
    ------
    UsageError
        If that run is of another scenario or seed, is too short, or its agent failed in those steps.
    """
    prefix: Prefix | None = experiment.condition.prefix
    if prefix is None:
        return []
    source = load_run(prefix.run)
    recorded = source.config.scenario
    scenario = experiment.entry.load()
    if (recorded.id, recorded.version) != (scenario.id, scenario.version):
        raise UsageError(
            f"prefix.run {prefix.run}: recorded with {recorded.id} {recorded.version}, "
            f"needed is {scenario.id} {scenario.version}"
        )
    if source.seed != seed:
        raise UsageError(
            f"prefix.run {prefix.run} has seed {source.seed}, this run has {seed}: the worlds would not match"
        )
    records = list(islice(source.steps(), prefix.steps))
    if len(records) < prefix.steps:
        raise UsageError(f"prefix.steps = {prefix.steps}, but {prefix.run} has only {len(records)} steps")
    for record in records:
        if record.outcome == "error" or gave_up(record):
            who = "agent" if record.outcome == "error" else "adversary"
            raise UsageError(
                f"prefix.steps = {prefix.steps}, but the {who} of {prefix.run} failed at step {record.step}; use fewer"
            )
    return records
