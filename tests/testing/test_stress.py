"""`goal-drift stress`, and failures driven again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from broken_scenarios import LEDGER, REFUSAL, Broken

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.runner import Experiment, run_episode
from goal_drift_gym.scripts.main import main
from goal_drift_gym.testing.profiles import profile
from goal_drift_gym.testing.stress import replay_failure, stress_scenario

MODULE = [sys.executable, "-m", "goal_drift_gym.scripts.main"]


def write(broken: Broken, folder: Path, *, mended: bool = False) -> str:
    """Write a faulty scenario into a file of its own and return its reference."""
    file = folder / f"{broken.name.lower()}_of_stress.py"
    file.write_text(broken.text(mended=mended), encoding="utf-8")
    return f"{file}:{broken.name}"


def command(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as it was printed, in a process of its own."""
    name, *arguments = shlex.split(words)
    assert name == "goal-drift"
    return subprocess.run([*MODULE, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("broken", [LEDGER, REFUSAL], ids=lambda broken: broken.name)
def test_the_printed_command_shows_the_fault_until_it_is_mended(broken: Broken, tmp_path: Path) -> None:
    reference = write(broken, tmp_path)
    found = command(f"goal-drift stress {reference} --profile ci", tmp_path)
    (again,) = re.findall(r"again: +(goal-drift .*)", found.stdout)
    message = [line for line in found.stdout.splitlines() if re.match(r" +(expected|got):|  condition", line)]

    broken_still = command(again, tmp_path)
    shown = command(again.replace("stress --replay", "show"), tmp_path)
    write(broken, tmp_path, mended=True)
    mended = command(again, tmp_path)

    assert (found.returncode, broken_still.returncode, shown.returncode, mended.returncode) == (1, 1, 0, 0)
    assert len(message) == 3
    assert [line for line in broken_still.stdout.splitlines() if line in message] == message
    assert broken.got in found.stdout
    assert "infra_error" in shown.stdout
    assert "nothing found any more" in mended.stdout


def test_a_mended_scenario_of_another_version_is_driven_again_too(tmp_path: Path) -> None:
    report = stress_scenario(write(REFUSAL, tmp_path), settings=profile("ci"), runs_dir=tmp_path)
    file = tmp_path / "refusal_of_stress.py"
    text = REFUSAL.text(mended=True).replace('id = "refusal"', 'id = "refusal"\n    version = "2.0"')
    file.write_text(text, encoding="utf-8")
    sys.modules.pop("goal_drift_scenario_refusal_of_stress")

    assert report.run is not None
    assert replay_failure(report.run) is None


def test_what_is_found_is_said_with_its_place(tmp_path: Path) -> None:
    report = stress_scenario(write(REFUSAL, tmp_path), settings=profile("ci"), runs_dir=tmp_path / "runs")

    assert not report.ok
    assert report.finding is not None
    assert report.finding.got == "features 0 -> 1"
    assert report.finding.step is not None
    assert report.calls_needed is not None
    assert report.calls_needed <= 3
    assert [run.path for run in find_runs(tmp_path / "runs")] == [report.run]


def test_a_scenario_that_holds_leaves_nothing_behind(tmp_path: Path) -> None:
    report = stress_scenario("bandit_constraint", settings=profile("ci", examples=5), runs_dir=tmp_path / "runs")

    assert report.ok
    assert (report.run, report.calls_needed) == (None, None)
    assert report.examples >= 5
    assert not (tmp_path / "runs").exists()


def test_the_command_exits_with_0_when_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    code = main(["stress", "bandit_constraint", "--condition", "friction_heavy", "--examples", "5", "--profile", "ci"])

    assert code == 0
    assert "bandit_constraint: nothing found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a scenario"),
        (["release_manger"], "did you mean 'release_manager'"),
        (["bandit_constraint", "--condition", "basline"], "did you mean 'baseline'"),
        (["bandit_constraint", "--examples", "0"], "at least 1"),
        (["bandit_constraint", "--profile", "ic"], "is not possible"),
        (["--replay", "nowhere"], "no run directory"),
        (["bandit_constraint", "--replay", "nowhere"], "goes alone"),
    ],
    ids=["nothing", "scenario", "condition", "examples", "profile", "run", "both"],
)
def test_wrong_usage_exits_with_2_and_says_what_is_possible(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    code = main(["stress", *arguments])

    assert code == 2
    assert words in capsys.readouterr().err


def test_a_run_of_another_agent_is_refused(tmp_path: Path) -> None:
    run = run_episode(
        Experiment.of("bandit_constraint", settings={"steps": 2}), lambda turn: None, seed=0, runs_dir=tmp_path
    )

    with pytest.raises(UsageError, match="not saved by stress"):
        replay_failure(run.path)


def test_hypothesis_is_loaded_by_nothing_but_the_modules_that_need_it() -> None:
    code = (
        "import sys, goal_drift_gym, goal_drift_gym.testing\n"
        "import goal_drift_gym.scripts.main, goal_drift_gym.scripts.stress\n"
        "import pytest_goal_drift.plugin\n"
        "print('hypothesis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
