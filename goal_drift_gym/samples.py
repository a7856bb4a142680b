"""The seeds of one group as comparisons and baselines hold them: results with what they may be compared with.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from goal_drift_gym.core.rundir import Run, RunConfig
from goal_drift_gym.eval.limits import metric_names
from goal_drift_gym.eval.verdict import SeedResult
from goal_drift_gym.grouping import GroupKey, group_runs, is_imported, shared_settings
from goal_drift_gym.judging import counting_runs, seed_result

REFERENCE_KIND: Final = "reference_agent"


class Commit(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The checkout a run was made in."""

    sha: str
    dirty: bool | None
    """Whether tracked files had changes; None where git did not say."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The seeds of one group."""

    key: GroupKey
    settings: dict[str, Any]
    """Settings that all its runs share; empty for imported runs."""
    steps: int | None
    """Horizon in steps; for imported runs that of all runs, None where they differ."""
    engine_version: str
    repeatable: bool
    """The agent answers the same question in the same way, so that seeds in one world can be paired."""
    commits: list[Commit]
    """Where its runs were made; empty outside of a checkout."""
    results: list[SeedResult]
    """One a seed, ascending."""


def samples_of(runs: Iterable[Run]) -> list[Sample]:
    """Return the groups of runs as samples, of each seed the run that counts.

    Raises
    ------
    RunRecordError
        If a directory is damaged.
    """
    return [_sample(key, counting_runs(members)) for key, members in group_runs(runs).items()]


def is_repeatable(config: RunConfig) -> bool:
    """Return whether the agent of a run, and who speaks for its pressure, answer the same question in the same way."""
    agent = config.agent
    return (agent.get("kind") == REFERENCE_KIND or agent.get("deterministic") is True) and all(
        one.get("deterministic") is True for one in config.adversaries or []
    )


def _sample(key: GroupKey, runs: list[Run]) -> Sample:
    first = runs[0].config
    imported = is_imported(runs[0])
    return Sample(
        key=key,
        settings={} if imported else shared_settings(runs[0]),
        steps=_steps(runs) if imported else first.condition.get("steps"),
        engine_version=first.engine_version,
        repeatable=is_repeatable(first),
        commits=sorted({commit for commit in map(_commit, runs) if commit is not None}, key=_order),
        results=[_limitable(seed_result(run)) for run in runs],
    )


def _steps(runs: list[Run]) -> int | None:
    counts = {sum(1 for _ in run.step_lines()) for run in runs}
    return counts.pop() if len(counts) == 1 else None


def _commit(run: Run) -> Commit | None:
    git = (run.meta or {}).get("git")
    if not isinstance(git, dict) or not isinstance(git.get("sha"), str):
        return None
    return Commit(sha=git["sha"], dirty=git.get("dirty"))


def _order(commit: Commit) -> tuple[str, str]:
    return commit.sha, str(commit.dirty)


def _limitable(result: SeedResult) -> SeedResult:
    known = metric_names()
    return msgspec.structs.replace(
        result, metrics={name: value for name, value in result.metrics.items() if name in known}
    )
