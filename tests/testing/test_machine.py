"""The state machine: what it checks, what it leaves on disk, and how it works as a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broken_scenarios import ALL, CRASH, REFUSAL, Broken

from goal_drift_gym.core.condition import Condition, Prefix, parse_condition
from goal_drift_gym.core.errors import InvariantBroken, UsageError
from goal_drift_gym.core.records import StepScore, Violation
from goal_drift_gym.core.rundir import find_runs, load_run
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.discovery import conditions_of
from goal_drift_gym.scenarios.release_manager import ReleaseManager
from goal_drift_gym.testing.driving import Drive, Seat
from goal_drift_gym.testing.invariants import check_score
from goal_drift_gym.testing.machine import run_machine, scenario_machine
from goal_drift_gym.testing.planted.contract import PlansTheImpossible
from goal_drift_gym.testing.profiles import profile

pytest_plugins = ["pytester"]

BUILT_IN = [ReleaseManager, BanditConstraint]
SUITE = """
from goal_drift_gym.testing.machine import scenario_machine
from goal_drift_gym.testing.profiles import profile

TestStress = scenario_machine("{scenario}", settings=profile("ci", examples={examples})).TestCase
"""


def write(broken: Broken, folder: Path, *, mended: bool = False) -> str:
    """Write a faulty scenario into a file of its own and return its reference."""
    file = folder / f"{broken.name.lower()}_scenario.py"
    file.write_text(broken.text(mended=mended), encoding="utf-8")
    return f"{file}:{broken.name}"


def follow_reference(seat: Seat) -> None:
    for action in seat.plan("reference"):
        seat.perform(action)


@pytest.mark.parametrize("scenario", ["release_manager", "bandit_constraint"])
def test_a_built_in_scenario_survives(scenario: str, tmp_path: Path) -> None:
    machine = scenario_machine(scenario)

    run_machine(machine, settings=profile("ci", examples=40), runs_dir=tmp_path / "runs")

    assert machine.hunt.calls > 40
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("scenario_class", BUILT_IN)
def test_every_condition_of_a_scenario_can_be_driven_to_the_end(scenario_class: type[Any]) -> None:
    for condition in conditions_of(scenario_class).values():
        drive = Drive(scenario_class, condition, 3)
        while not drive.over:
            drive.turn(follow_reference)
        drive.finish()

        assert len(drive.records) == condition.steps


@pytest.mark.parametrize("broken", ALL, ids=lambda broken: broken.name)
def test_a_fault_is_found_and_shrunk_to_at_most_three_calls(broken: Broken, tmp_path: Path) -> None:
    machine = scenario_machine(write(broken, tmp_path))

    with pytest.raises(InvariantBroken) as caught:
        run_machine(machine, settings=profile("ci"), runs_dir=tmp_path / "runs")

    (run,) = find_runs(tmp_path / "runs")
    turns = run.config.agent["turns"]
    assert broken.got in str(caught.value)
    assert sum(len(calls) for calls in turns) <= broken.most_calls <= 3
    assert run.outcome == "infra_error"
    assert f"again: goal-drift stress --replay {run.path}" in "".join(caught.value.__notes__)


def test_the_turn_that_failed_is_kept_with_the_call_that_never_came_back(tmp_path: Path) -> None:
    machine = scenario_machine(write(CRASH, tmp_path))

    with pytest.raises(InvariantBroken):
        run_machine(machine, settings=profile("ci"), runs_dir=tmp_path / "runs")

    (run,) = find_runs(tmp_path / "runs")
    last = run.config.agent["turns"][-1][-1]
    assert last["tool"] == "deploy"
    assert len(list(run.steps())) == len(run.config.agent["turns"]) - 1


@pytest.mark.parametrize("workers", ["0", "2"])
def test_three_lines_make_a_test(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makepyfile(SUITE.format(scenario="bandit_constraint", examples=3))

    result = pytester.runpytest_subprocess("-n", workers, "-q")

    result.assert_outcomes(passed=1)


def test_several_processes_leave_one_run_each_and_nothing_else(pytester: pytest.Pytester) -> None:
    reference = write(REFUSAL, pytester.path)
    suite = SUITE.format(scenario=reference, examples=100)
    pytester.makepyfile(test_one=suite, test_two=suite)

    result = pytester.runpytest_subprocess("-n", "2", "-q")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*InvariantBroken: step *changes nothing; got: features 0 -> 1", "*step 0: *", "*--replay *"]
    )
    assert len(list(find_runs(pytester.path / "runs"))) == 2
    assert not (pytester.path / ".hypothesis" / "goal-drift").exists()


def test_what_the_dev_profile_keeps_lies_in_a_place_per_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        places.append(repr(profile("dev").database))

    assert "gw0" in places[0]
    assert "gw1" in places[1]


def test_a_class_made_inside_a_function_is_refused() -> None:
    class Local(BanditConstraint):
        pass

    with pytest.raises(UsageError, match="another process"):
        scenario_machine(Local)


def test_a_condition_that_begins_with_another_run_is_refused() -> None:
    with pytest.raises(UsageError, match="steps of another run"):
        scenario_machine("bandit_constraint", condition=Condition(prefix=Prefix(run="runs/x", steps=2)))


def test_a_condition_that_does_not_fit_is_refused_at_once() -> None:
    condition = parse_condition({"panels": {"hidden": ["no_such_panel"]}})

    with pytest.raises(UsageError, match="no_such_panel"):
        scenario_machine("bandit_constraint", condition=condition)


def test_a_condition_that_was_asked_for_is_kept_when_the_failure_shrinks(tmp_path: Path) -> None:
    machine = scenario_machine(write(REFUSAL, tmp_path), condition=Condition(name="mine", steps=9))

    with pytest.raises(InvariantBroken):
        run_machine(machine, settings=profile("ci"), runs_dir=tmp_path / "runs")

    (run,) = find_runs(tmp_path / "runs")
    assert (run.config.condition["name"], run.config.condition["steps"]) == ("mine", 9)


@pytest.mark.parametrize(
    ("name", "words"), [("thorough", "did you mean|known: "), ("de", "did you mean 'dev'")], ids=["unknown", "near"]
)
def test_an_unknown_profile_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        profile(name)


def test_profiles_are_passed_on_and_never_registered() -> None:
    from hypothesis import settings

    before = settings.default
    ci, dev = profile("ci"), profile("dev", examples=3)

    assert settings.default is before
    assert (ci.derandomize, ci.database, ci.deadline, dev.deadline, dev.max_examples) == (True, None, None, None, 3)
    assert ci.max_examples > profile("dev").max_examples


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (StepScore(0.5, missed=2, chances=1), "at most its chances"),
        (StepScore(None, commission=0.5), "where there is no score"),
        (StepScore(None, violations=(Violation("cap"),)), "where there is no score"),
        (StepScore(0.9, commission=0.5), "aligned share"),
        (StepScore(-0.9, commission=0.5), "aligned share"),
        (StepScore(float("nan")), "lies in"),
        (StepScore(0.5, restraint=0.75), "restraint is part"),
    ],
    ids=["missed", "no score", "violation", "too much", "too little", "NaN", "restraint"],
)
def test_parts_of_a_score_that_do_not_fit_together_are_found(score: StepScore, words: str) -> None:
    with pytest.raises(InvariantBroken, match=words):
        check_score(score, 0)


def test_a_policy_that_plans_what_no_tool_takes_is_found(tmp_path: Path) -> None:
    machine = scenario_machine(PlansTheImpossible)

    with pytest.raises(InvariantBroken, match="what a policy plans fits the tools"):
        run_machine(machine, settings=profile("ci", examples=50), runs_dir=tmp_path / "runs")


def test_a_saved_failure_is_a_run_like_any_other(tmp_path: Path) -> None:
    machine = scenario_machine(write(REFUSAL, tmp_path))
    with pytest.raises(InvariantBroken):
        run_machine(machine, settings=profile("ci", examples=100), runs_dir=tmp_path / "runs")
    (found,) = find_runs(tmp_path / "runs")

    run = load_run(found.path)

    assert run.config.agent["name"] == "stress"
    assert run.meta is not None
    assert "features 0 -> 1" in run.meta["detail"]
    assert run.metrics_file is not None
