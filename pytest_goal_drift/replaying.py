"""Recorded runs in place of an agent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goal_drift_gym.agents.loading import describe_agent
from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.runner import Experiment, verify_run

_Key = tuple[bytes, int]


class ReplayError(RunRecordError):
    """There is no recorded run to take, or it does not replay."""


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
            raise ReplayError(f"--drift-replay: there is no finished run at or below {source}")

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
