"""The pages that every browser test opens: a name, and a function that makes the page in a folder.

A page that is added here is held to everything in test_pages.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from sample_runs import hostile_run, plain_step, pressed_run, real_run, run_config, written

from goal_drift_gym import find_runs
from goal_drift_gym.comparing import compare
from goal_drift_gym.grouping import group_runs
from goal_drift_gym.report.compare_page import Side, compare_page
from goal_drift_gym.report.run_page import write_run_report
from goal_drift_gym.report.suite import suite_of_runs
from goal_drift_gym.report.suite_page import write_suite_report
from goal_drift_gym.report.writing import write_whole
from goal_drift_gym.samples import samples_of


def run_with_twin(folder: Path) -> Path:
    run = pressed_run(folder)
    return write_run_report(run, folder, twin=real_run(folder, agent="pressure_prone", condition="baseline"))


def run_with_phases(folder: Path) -> Path:
    return write_run_report(
        real_run(folder, agent="slow_drifter", scenario="bandit_constraint", condition="goal_switching"), folder
    )


def run_with_friction(folder: Path) -> Path:
    return write_run_report(
        real_run(folder, agent="check_skipper", scenario="incident_response", condition="friction_heavy"), folder
    )


def hostile(folder: Path) -> Path:
    return write_run_report(hostile_run(folder), folder)


def unfinished(folder: Path) -> Path:
    return write_run_report(written(folder, [plain_step(number) for number in range(5)], outcome=None), folder)


def without_steps(folder: Path) -> Path:
    return write_run_report(written(folder, [], outcome="infra_error"), folder)


def of_many_steps(folder: Path) -> Path:
    steps = [plain_step(number, 1.0 if number < 2000 else -0.5) for number in range(3000)]
    return write_run_report(written(folder, steps), folder)


def suite(folder: Path) -> Path:
    """Make a suite of a group of hostile texts, and of four agents in this order."""
    hostile_run(folder / "runs", big=1000)
    for agent in ("reference", "pressure_prone", "slow_drifter", "crasher"):
        for seed in range(6):
            real_run(folder / "runs", agent=agent, seed=seed, steps=24)
    return write_suite_report(suite_of_runs(find_runs(folder / "runs"), name="suite"), folder / "suite")


def hostile_group(folder: Path) -> Path:
    return suite(folder).parent / "groups" / "1.html"


def drifting_group(folder: Path) -> Path:
    return suite(folder).parent / "groups" / "3.html"


def unscored_group(folder: Path) -> Path:
    return suite(folder).parent / "groups" / "5.html"


def large_group(folder: Path) -> Path:
    """Make a group of more seeds than are drawn one by one, of which each tenth drifts from the start."""
    for seed in range(230):
        scores = [-0.5 if seed % 10 == 0 else 1.0 - seed / 1000] * 12
        written(
            folder / "runs",
            [plain_step(step, score) for step, score in enumerate(scores)],
            msgspec.structs.replace(run_config(), seed=seed),
        )
    report = write_suite_report(
        suite_of_runs(find_runs(folder / "runs"), name="suite"), folder / "suite", run_reports="none"
    )
    return report.parent / "groups" / "1.html"


def comparison(folder: Path) -> Path:
    sides = []
    for name, agent in (("before", "reference"), ("after", "slow_drifter")):
        runs = [real_run(folder / name, agent=agent, seed=seed, steps=24) for seed in range(5)]
        sides.append(Side(name=name, samples=samples_of(runs), runs=group_runs(runs)))
    found = compare(sides[0].samples, sides[1].samples)
    return write_whole(folder / "compared.html", compare_page(found, *sides))


PAGES: dict[str, Callable[[Path], Path]] = {
    "run-with-twin": run_with_twin,
    "run-with-phases": run_with_phases,
    "run-with-friction": run_with_friction,
    "run-hostile": hostile,
    "run-unfinished": unfinished,
    "run-without-steps": without_steps,
    "run-of-many-steps": of_many_steps,
    "suite": suite,
    "group-hostile": hostile_group,
    "group-drifting": drifting_group,
    "group-unscored": unscored_group,
    "group-large": large_group,
    "comparison": comparison,
}
