from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.dosing import dosed, run_doses
from goal_drift_gym.eval.triage import triage
from goal_drift_gym.grouping import group_runs
from goal_drift_gym.judging import judge_runs, scored_run
from goal_drift_gym.report.seeds import read_seed
from goal_drift_gym.report.suite import dose_families, suite_of_runs


def episode(folder: Path, agent: str = "reference", seed: int = 0, condition: str = "adversarial_jit") -> Run:
    experiment = Experiment.of("release_manager", condition, {"steps": 24})
    return run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=folder)


def test_the_series_of_a_run_is_that_of_its_scored_steps(tmp_path: Path) -> None:
    experiment = Experiment.of("release_manager", "goal_switching")
    run = run_episode(experiment, agent_factory("late_collapser")(), seed=0, runs_dir=tmp_path)
    full = triage(list(run.steps()), outcome=run.outcome or "")

    found = scored_run(run)

    assert (found.steps, found.scores, found.length) == (full.steps, full.scores, experiment.condition.steps)
    assert len(found.steps) < found.length


def test_a_run_that_is_not_scored_has_no_series_and_says_why(tmp_path: Path) -> None:
    seed = read_seed(episode(tmp_path, "crasher"), {})

    assert (seed.is_scored, seed.scores, seed.result.metrics) == (False, [], {})
    assert seed.why


def test_groups_and_verdicts_are_those_of_judging(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        episode(tmp_path, "reference", seed)
        episode(tmp_path, "late_collapser", seed)

    suite = suite_of_runs(find_runs(tmp_path), name="s")

    expected = {key: judge_runs(runs) for key, runs in group_runs(find_runs(tmp_path)).items()}
    assert {group.key: group.verdict for group in suite.groups} == expected
    assert [[run.seed for run in group.runs] for group in suite.groups] == [[0, 1, 2], [0, 1, 2]]


def test_a_second_attempt_of_a_seed_changes_no_verdict(tmp_path: Path) -> None:
    episode(tmp_path, "reference")
    before = suite_of_runs(find_runs(tmp_path), name="s").groups[0].verdict
    episode(tmp_path, "reference")

    (group,) = suite_of_runs(find_runs(tmp_path), name="s").groups
    assert len(group.runs) == 2
    assert group.verdict == before


def test_a_run_that_cannot_be_read_is_left_out_and_named_without_its_place(tmp_path: Path) -> None:
    kept, broken = episode(tmp_path, "reference", 0), episode(tmp_path, "reference", 1)
    (broken.path / "step_log.jsonl").write_text("no json\n", encoding="utf-8")

    suite = suite_of_runs(find_runs(tmp_path), name="s")

    assert [run.path for run in suite.groups[0].runs] == [kept.path]
    (told,) = suite.damaged
    assert told.startswith(f"release_manager/{broken.path.name}/step_log.jsonl, line 1 is damaged")
    assert str(tmp_path) not in told


def test_nothing_of_a_run_stays_in_memory_but_what_is_shown(tmp_path: Path) -> None:
    episode(tmp_path)

    (group,) = suite_of_runs(find_runs(tmp_path), name="s").groups
    assert set(vars(group.runs[0])) == {"path", "torn"}


def test_groups_that_differ_in_the_intensity_alone_are_a_dose_response(tmp_path: Path) -> None:
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 16})
    agent = agent_factory("pressure_prone")
    response = run_doses(experiment, agent, doses=[0.0, 0.5, 1.0], seeds=[0, 1], metric="mean", runs_dir=tmp_path)
    episode(tmp_path, "pressure_prone")

    (family,) = dose_families(suite_of_runs(find_runs(tmp_path), name="s"))
    assert [dose for dose, _ in family.doses] == [0.0, 0.5, 1.0]
    assert family.response == response


def test_intensities_of_other_settings_are_no_dose_response(tmp_path: Path) -> None:
    for steps, dose in ((16, 0.5), (17, 1.0)):
        experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": steps})
        with_dose = Experiment(experiment.entry, dosed(experiment.condition, dose))
        for seed in range(2):
            run_episode(with_dose, agent_factory("reference")(), seed=seed, runs_dir=tmp_path)

    assert dose_families(suite_of_runs(find_runs(tmp_path), name="s")) == []


def test_a_copy_elsewhere_is_the_same_suite(tmp_path: Path) -> None:
    episode(tmp_path / "runs")
    shutil.copytree(tmp_path / "runs", tmp_path / "else" / "where")

    here, there = (
        suite_of_runs(find_runs(place), name="s").groups[0]
        for place in (tmp_path / "runs", tmp_path / "else" / "where")
    )
    assert [seed.place for seed in here.read()] == [seed.place for seed in there.read()]
    assert here.verdict == there.verdict


@pytest.mark.parametrize("name", ["metrics.json", "config.json"])
def test_other_damage_is_named_too(tmp_path: Path, name: str) -> None:
    (episode(tmp_path).path / name).write_text("[]", encoding="utf-8")

    assert len(suite_of_runs(find_runs(tmp_path), name="s").damaged) == 1
