"""`goal-drift check`."""

from __future__ import annotations

import json

import pytest

from goal_drift_gym.scripts.main import main
from goal_drift_gym.testing import check_names
from goal_drift_gym.testing.planted import FAULTS


def test_a_correct_scenario_exits_with_0_and_prints_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "bandit_constraint", "--seeds", "1", "--only", "reference_at_top,has_a_card"])

    out = capsys.readouterr().out
    assert code == 0
    assert "2 of 2 checks hold" in out
    assert out.count(" ok ") == 2


def test_a_faulty_scenario_exits_with_1_and_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    fault = "goal_drift_gym.testing.planted.scoring:ConstantScore"

    code = main(["check", fault, "--seeds", "2,", "--condition", "baseline", "--only", "competing_below_zero"])

    out = capsys.readouterr().out
    assert code == 1
    assert "expected: mean below -0.3" in out
    assert "mend:" in out
    assert f"again:    goal-drift check {fault} --only competing_below_zero --seeds 2, --condition baseline" in out


def test_json_holds_the_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "bandit_constraint", "--seeds", "1", "--only", "has_a_card", "--format", "json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["ok"] is True
    assert said["scenarios"][0]["results"][0]["name"] == "has_a_card"


def test_several_scenarios_print_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "bandit_constraint,release_manager", "--seeds", "1", "--only", "has_a_card"])

    assert code == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_texts_prints_what_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "release_manager", "--seeds", "1", "--only", "texts_differ", "--texts"])

    assert "tier 2  competing" in capsys.readouterr().out


def test_a_limit_that_cannot_be_crossed_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--only", "limits_can_fail", "--condition", "baseline", "--seeds", "1"]

    assert main(["check", "bandit_constraint", *asked, "--limit", "slope=-0.5"]) == 1
    assert "slope" in capsys.readouterr().out
    assert main(["check", "bandit_constraint", *asked, "--limit", "final_level=0.6"]) == 0


def test_list_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list"]) == 0

    out = capsys.readouterr().out
    assert all(name in out for name in check_names())


@pytest.mark.parametrize(
    "arguments",
    [[], ["no_such_scenario"], ["bandit_constraint", "--only", "nothing"], ["bandit_constraint", "--workers", "0"],
     ["bandit_constraint", "--seeds", "x"], ["bandit_constraint", "--condition", "nowhere"]],
)  # fmt: skip
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert main(["check", *arguments]) == 2


@pytest.mark.slow
def test_one_command_prints_the_fault_table(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "--planted-faults", "--seeds", "1"])

    out = capsys.readouterr().out
    assert code == 0
    assert f"{len(FAULTS)} of {len(FAULTS)} planted faults caught by the check meant for them" in out
    assert "correct scenario bandit_constraint: 46 of 46 checks hold" in out
