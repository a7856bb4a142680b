"""Stress a scenario with calls that Hypothesis draws, and drive what was found again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from hypothesis import settings as Settings  # noqa: N812 - `settings` is the name of a parameter here

from goal_drift_gym.core.condition import Condition, parse_condition
from goal_drift_gym.core.errors import InvariantBroken
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.rundir import load_run
from goal_drift_gym.testing.driving import Drive
from goal_drift_gym.testing.failures import Failure, driven, replay_command, save, script_of, told
from goal_drift_gym.testing.machine import hunt_with, scenario_machine
from goal_drift_gym.testing.profiles import profile
from goal_drift_gym.testing.reference import scenario_reference
from goal_drift_gym.testing.report import Finding

__all__ = ["StressReport", "replay_failure", "stress_scenario"]


class StressReport(msgspec.Struct, frozen=True, kw_only=True):
    """What stressing one scenario came to."""

    scenario: str
    finding: Finding | None
    """The minimal failing example, where there is one."""
    run: Path | None
    """Where it is saved."""
    way: list[str]
    """The minimal failing example in lines: where it starts, and the calls of each step."""
    calls_needed: int | None
    """How many calls it makes."""
    examples: int
    """Episodes begun, those of shrinking included."""
    turns: int
    calls: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.finding is None


def stress_scenario(
    scenario: str | type[Scenario],
    *,
    condition: str | Condition | None = None,
    settings: Settings | None = None,
    runs_dir: str | Path = "runs",
) -> StressReport:
    """Try to break a scenario; save the smallest way that was found to do so as one run directory.

    Parameters
    ----------
    scenario
        A registered id, `package.module:Name`, `file.py:Name`, or a class at the top of a module.
    condition
        A condition's name, the path of a TOML file, or a `Condition`; by default the scenario's own conditions and
        drawn ones.
    settings
        How hard to try; by default the profile `dev`.
    runs_dir
        Where the run goes.

    Raises
    ------
    UsageError
        If there is no such scenario or condition, or the two do not fit.
    RunRecordError
        If the run cannot be written.

    Examples
    --------
    >>> stress_scenario("bandit_constraint", settings=profile("ci", examples=2)).ok
    True
    """
    machine = scenario_machine(scenario, condition=condition, settings=settings, runs_dir=runs_dir)
    begun = time.perf_counter()
    failure = hunt_with(machine, settings or profile("dev"))
    seconds = time.perf_counter() - begun
    hunt = machine.hunt
    run = None if failure is None else save(failure, hunt.known, runs_dir).path
    return StressReport(
        scenario=hunt.known.text,
        finding=None if failure is None else _finding(failure, run),
        run=run,
        way=[] if failure is None else told(failure),
        calls_needed=None if failure is None else sum(map(len, failure.drive.script)),
        examples=hunt.examples,
        turns=hunt.turns,
        calls=hunt.calls,
        seconds=seconds,
    )


def replay_failure(run_dir: str | Path) -> Finding | None:
    """Make the calls of a saved failure again, with the scenario as it is now, under the same checks.

    Returns
    -------
    Finding | None
        What does not hold now, or None.

    Raises
    ------
    UsageError
        If stress did not save the run, or its scenario is not to be found.
    RunRecordError
        If the run cannot be read.
    """
    run = load_run(run_dir)
    script = script_of(run)
    # Of the scenario's version nothing is asked: a mended scenario is a new version.
    known = scenario_reference(run.config.scenario.reference)
    condition = parse_condition(run.config.condition, where=f"{run.path}: condition")
    drive = Drive(known.scenario_class, condition, run.seed)
    try:
        driven(drive, script)
    except InvariantBroken as broken:
        return _finding(Failure(drive, broken), run.path)
    return None


def _finding(failure: Failure, path: Path | None) -> Finding:
    broken, drive = failure.broken, failure.drive
    return Finding(
        expected=broken.expected,
        got=broken.got,
        condition=drive.condition.name,
        seed=drive.seed,
        step=broken.step,
        again="" if path is None else replay_command(path),
    )
