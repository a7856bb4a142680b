"""Tapes and recorded runs in place of an agent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goal_drift_gym.agents.loading import describe_agent
from goal_drift_gym.agents.tape_file import TapeSlot
from goal_drift_gym.agents.tape_shelf import TapeShelf
from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.runner import Experiment, verify_run
from goal_drift_gym.sessions import Place
from goal_drift_gym.taping import replay_tape

_Key = tuple[bytes, int]


class ReplayError(RunRecordError):
    """There is no recorded run to take, or it does not replay."""


class Recordings:
    """What lies at or below a path: tapes, which are driven into new runs; without any, finished runs.

    Parameters
    ----------
    runs_dir
        Where the runs made of tapes go.
    """

    def __init__(self, source: Path, runs_dir: Path) -> None:
        self._source = source
        self._runs_dir = runs_dir
        self._shelf = TapeShelf(source)
        self._runs: RecordedRuns | None = None

    def replay(self, experiment: Experiment, agent: Agent, place: Place) -> Run:
        """Return the run of an episode, made of recorded answers.

        Raises
        ------
        RunRecordError
            If there is no recording, naming the nearest, or it does not fit any more, naming the first difference.
        """
        if self._shelf.is_empty:
            if self._runs is None:
                self._runs = RecordedRuns(self._source)
            return self._runs.replay(experiment, agent, place.seed)
        slot = TapeSlot(directory=self._source, owner=place.owner, repeat=place.repeat)
        return replay_tape(self._shelf, experiment, agent, seed=place.seed, slot=slot, runs_dir=self._runs_dir)


class RecordedRuns:
    """The finished runs at or below a directory; read once.

    Raises
    ------
    ReplayError
        If there is no run.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._runs: dict[_Key, Run] = {}
        self._known: list[tuple[str, str, int, str]] = []
        # In the order of their paths, so of several recordings of the same the newest is kept.
        for run in find_runs(source):
            if run.outcome is None:
                continue
            config = run.config
            self._runs[_key(config.scenario.id, config.condition, config.agent, config.seed)] = run
            condition, agent = str(config.condition.get("name")), str(config.agent.get("name"))
            self._known.append((config.scenario.id, condition, config.seed, agent))
        if not self._runs:
            raise ReplayError(f"--drift-replay: there is no tape and no finished run at or below {source}")

    def replay(self, experiment: Experiment, agent: Agent, seed: int) -> Run:
        """Return the recorded run of this experiment, agent and seed after replaying it.

        Raises
        ------
        ReplayError
            If there is none, or its replay differs, naming the first difference.
        """
        described = describe_agent(agent, Redactor.from_environment())
        scenario = experiment.entry.load().id
        condition = experiment.condition.resolved()
        run = self._runs.get(_key(scenario, condition, described, seed))
        if run is None:
            raise ReplayError(self._missing(scenario, str(condition["name"]), seed, str(described["name"])))
        difference = verify_run(run)
        if difference is not None:
            raise ReplayError(f"{run.path} does not replay byte for byte: {difference}")
        return run

    def _missing(self, scenario: str, condition: str, seed: int, agent: str) -> str:
        asked = (scenario, condition, seed, agent)
        text = (
            f"--drift-replay: none of the {len(self._known)} finished runs below {self._source} is of scenario "
            f"{scenario!r}, condition {condition!r}, seed {seed}, agent {agent!r}"
        )
        if asked in self._known:
            return f"{text} with these settings: one has the same names, and other settings of condition or agent"
        near = max(sorted(self._known), key=lambda known: sum(a == b for a, b in zip(known, asked, strict=True)))
        return f"{text}; the nearest is scenario {near[0]!r}, condition {near[1]!r}, seed {near[2]}, agent {near[3]!r}"


def _key(scenario: str, condition: dict[str, Any], agent: dict[str, Any], seed: int) -> _Key:
    return canonical_json([scenario, condition, agent]), seed
