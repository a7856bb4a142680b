"""Failures that stress found, kept as run directories that can be shown and driven again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import msgspec

from goal_drift_gym.core.errors import InvariantBroken, RunRecordError, UsageError
from goal_drift_gym.core.rundir import Run, RunWriter
from goal_drift_gym.core.turn import Turn
from goal_drift_gym.run_end import metrics_of, write_finish
from goal_drift_gym.runner import Experiment
from goal_drift_gym.scenarios.discovery import ScenarioEntry
from goal_drift_gym.testing.driving import Drive, ScriptedCall, Seat
from goal_drift_gym.testing.invariants import said
from goal_drift_gym.testing.reference import ScenarioReference

AGENT = "stress"
"""Name of the agent in config.json of a run that stress saved."""

Script = list[list[ScriptedCall]]
"""The calls of each turn."""


class Failure(msgspec.Struct, frozen=True):
    """A drive that ended in something broken."""

    drive: Drive
    broken: InvariantBroken


def save(failure: Failure, known: ScenarioReference, runs_dir: str | Path) -> Run:
    """Write a failure as a run directory and return it.

    Its agent is described by its whole script, so that config.json holds every call, also of a turn that never came
    to its end. The run ends as `infra_error`: it says something of the scenario and nothing of an agent.

    Raises
    ------
    RunRecordError
        If it cannot be written.
    """
    drive = failure.drive
    entry = ScenarioEntry(drive.scenario_class.id, known.distribution, known.text, known.text)
    config = Experiment(entry, drive.condition).config(drive.episode, _scripted)
    agent = {"name": AGENT, "kind": "script", "turns": msgspec.to_builtins(drive.script)}
    writer = RunWriter.create(Path(runs_dir), msgspec.structs.replace(config, agent=agent), drive.episode.redactor)
    try:
        for record in drive.records:
            writer.write_step(record)
        meta = {"detail": str(failure.broken), "redactions": drive.episode.redactor.count}
        write_finish(writer, metrics_of(drive.records, "infra_error", writer.config), "infra_error", meta)
    finally:
        writer.close()
    return writer.run()


def script_of(run: Run) -> Script:
    """Return the script of a run that stress saved.

    Raises
    ------
    UsageError
        If something else made the run.
    RunRecordError
        If its config is damaged.
    """
    agent = run.config.agent
    if agent.get("name") != AGENT or agent.get("kind") != "script":
        raise UsageError(
            f"{run.path} was not saved by stress but made by the agent {agent.get('name')!r}; "
            "goal-drift verify drives any run again"
        )
    try:
        return msgspec.convert(agent.get("turns"), Script)
    except msgspec.ValidationError as error:
        raise RunRecordError(f"{run.path}: config.json is damaged: agent.turns: {error}") from error


def driven(drive: Drive, script: Script) -> None:
    """Make the calls of a script in a fresh drive and check everything.

    Raises
    ------
    InvariantBroken
        If anything does not hold.
    """
    for planned in script:
        drive.turn(partial(_make_all, planned))
    drive.finish()


def told(failure: Failure) -> list[str]:
    """Return the way to a failure as lines: where it starts, and the calls of each turn."""
    drive = failure.drive
    lines = [f"condition {drive.condition.name}, seed {drive.seed}"]
    for step, planned in enumerate(drive.script):
        lines.append(f"step {step}: " + (", ".join(map(said, planned)) or "no call"))
    return lines


def replay_command(path: Path) -> str:
    """Return the command that drives a saved failure again."""
    return f"goal-drift stress --replay {shlex.quote(str(path))}"


def _make_all(planned: list[ScriptedCall], seat: Seat) -> None:
    for call in planned:
        seat.make(call)


def _scripted(turn: Turn) -> None:
    """Stand for the script where an agent is described."""
