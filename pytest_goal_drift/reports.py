"""Pages of what a session ran: one a run that is worth a look, and one of all its verdicts.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.printable import printable

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.report.suite import SuiteGroup
    from pytest_goal_drift.services import Services
    from pytest_goal_drift.settings import Settings
    from pytest_goal_drift.verdict import DriftDecision, DriftGroup, DriftSeed

FORMAT_VERSION = 1
SUITE = "suite.json"

_MOST_RUNS = 10
"""Runs of one failing test that get a page, the worst first."""
_INSTALL = "pip install 'pytest-goal-drift[report]'"


def check_installed(asked: str | None) -> None:
    """See that pages can be written, where somebody asked for them.

    Raises
    ------
    pytest.UsageError
        If Jinja2 is not installed.
    """
    if asked not in (None, "none") and not _can_write():
        raise pytest.UsageError(f"--drift-report={asked} needs the package jinja2: {_INSTALL}")


def wanted(settings: Settings, *, failed: bool) -> bool:
    """Return whether a verdict gets pages."""
    return settings.report == "all" or (settings.report == "failing" and failed)


def write_run_pages(
    group: DriftGroup, decision: DriftDecision, services: Services, *, failed: bool
) -> dict[int, Path] | str:
    """Write the pages of the runs of a verdict.

    Returns
    -------
    dict or str
        Seed to page, empty where none is wanted; or the reason why there are none.
    """
    if not wanted(services.settings, failed=failed):
        return {}
    if not _can_write():
        return f"no pages of the runs were written: {_INSTALL}"
    from goal_drift_gym.report.run_page import write_run_report
    from pytest_goal_drift.artifacts import ensure_directory

    directory = services.settings.artifacts_dir
    seeds = group.seeds if services.settings.report == "all" else worst_seeds(group, decision)[:_MOST_RUNS]
    pages: dict[int, Path] = {}
    try:
        if seeds:
            ensure_directory(directory)
        for seed in seeds:
            twin = None if seed.twin is None else _run(services, seed.twin.run)
            pages[seed.seed] = write_run_report(_run(services, seed.run), directory, twin=twin)
    except (GoalDriftError, OSError) as error:
        return f"the pages of the runs could not be written: {error}"
    return pages


def worst_seeds(group: DriftGroup, decision: DriftDecision) -> list[DriftSeed]:
    """Return the seeds that crossed a limit, then those that could not be decided; the worst first."""
    judged = group.looked_at(decision)
    worst = None if decision.verdict is None else decision.verdict.worst_seed
    return sorted([*judged.crossed, *judged.undecided], key=lambda seed: seed.seed != worst)


def entry(group: DriftGroup, decision: DriftDecision) -> dict[str, Any]:
    """Return what the page of a session needs of one verdict, as plain data."""
    from pytest_goal_drift.artifacts import verdict_facts

    return {
        **verdict_facts(group, decision),
        "runs": [seed.run for seed in group.seeds],
        "twins": [seed.twin.run for seed in group.seeds if seed.twin is not None],
    }


def write_session_page(name: str, entries: Iterable[Mapping[str, Any]], services: Services) -> str | None:
    """Write `<artifacts>/<name>/suite.json` and the page of a session beside it.

    Returns
    -------
    str or None
        A line that says where it is, or why there is none; None where no verdict is worth a page.
    """
    kept = list(entries)
    if not kept or not _can_write():
        return None
    from goal_drift_gym.report.suite import Suite
    from goal_drift_gym.report.suite_page import write_suite_report
    from goal_drift_gym.report.writing import write_whole
    from pytest_goal_drift.artifacts import ensure_directory

    folder = services.settings.artifacts_dir / name
    try:
        ensure_directory(services.settings.artifacts_dir)
        data = {"format_version": FORMAT_VERSION, "name": name, "groups": kept}
        write_whole(folder / SUITE, canonical_json(data) + b"\n")
        groups = [_suite_group(one, services) for one in kept]
        page = write_suite_report(Suite(name=name, groups=groups), folder, run_reports="none")
    except (GoalDriftError, OSError) as error:
        return printable(f"the report of this session could not be written: {error}")
    return printable(f"report: {services.shown(page)}")


def _suite_group(told: Mapping[str, Any], services: Services) -> SuiteGroup:
    from goal_drift_gym.eval.verdict_records import Verdict
    from goal_drift_gym.grouping import GroupKey, group_key
    from goal_drift_gym.report.suite import SuiteGroup

    runs = [_run(services, run) for run in told["runs"]]
    names = {name: told[name] for name in ("scenario", "condition", "agent")}
    unknown = GroupKey(version="", condition_hash="", agent_hash="", **names)
    evidence = told["evidence"]
    return SuiteGroup(
        title=told["test"].replace("[all_seeds]", ""),
        key=group_key(runs[0]) if runs else unknown,
        runs=runs,
        twins=[_run(services, run) for run in told["twins"]],
        limits=dict(told["limits"]),
        word=told["verdict"],
        reason=told["reason"],
        verdict=None if evidence is None else msgspec.convert(evidence, Verdict),
        missing={int(seed): why for seed, why in told["missing"].items()},
    )


def _run(services: Services, path: str) -> Run:
    from goal_drift_gym.core.rundir import load_run

    return load_run(services.config.rootpath / path)


def _can_write() -> bool:
    return importlib.util.find_spec("jinja2") is not None
