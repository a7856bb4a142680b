"""`check_scenario`: what may be asked of it, and what its findings say."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

import goal_drift_gym.scenarios.bandit_constraint as bandit
from goal_drift_gym.core.errors import ConditionError, ScenarioNotFound, UsageError
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scripts.main import main
from goal_drift_gym.testing import CheckReport, check_names, check_scenario
from goal_drift_gym.testing.planted.randomness import WorldFollowsPulls
from goal_drift_gym.testing.planted.scoring import ConstantScore
from goal_drift_gym.testing.reference import scenario_reference
from goal_drift_gym.testing.report import merged
from goal_drift_gym.testing.spreading import CheckJob, check_many


def copied_scenario(folder: Path, name: str, *, without: str = "") -> str:
    """Return the reference of a copy of a scenario as a package of its own, less one file."""
    package = folder / name
    shutil.copytree(Path(bandit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    # The original's __init__ imports the original by its full name.
    (package / "__init__.py").write_text("", encoding="utf-8")
    if without:
        (package / without).unlink()
    return f"{name}.scenario:BanditConstraint"


def test_a_correct_scenario_holds_every_check() -> None:
    report = check_scenario("release_manager", seeds=1)

    assert report.ok, str(report)
    assert [result.name for result in report.results] == check_names()
    assert {result.status for result in report.results} <= {"ok", "idle"}


def test_a_check_with_nothing_to_look_at_is_idle_and_not_ok() -> None:
    report = check_scenario("release_manager", seeds=1, only=["invariants_hold"])

    assert [(result.status, result.cases) for result in report.results] == [("idle", 0)]


def test_cases_count_conditions_and_seeds() -> None:
    report = check_scenario(
        "bandit_constraint", seeds=[5, -3], only=["reference_at_top", "goal_swap_negates", "has_a_card"]
    )

    assert {result.name: result.cases for result in report.results} == {
        "reference_at_top": 8,
        "goal_swap_negates": 2,
        "has_a_card": 1,
    }


def test_only_the_named_conditions_are_looked_at() -> None:
    report = check_scenario("bandit_constraint", seeds=2, conditions=["friction_heavy"], only=["reference_at_top"])

    assert (report.conditions, report.results[0].cases) == (["friction_heavy"], 2)


def test_finding_names_place_expectation_and_command() -> None:
    report = check_scenario(ConstantScore, seeds=[7], conditions=["baseline"], only=["competing_below_zero"])

    (finding,) = report.results[0].findings
    assert (finding.condition, finding.agent, finding.seed) == ("baseline", "competing", 7)
    assert (finding.expected, finding.got) == ("mean below -0.3", "mean 1")
    assert finding.mend
    assert "competing_below_zero" in str(report)
    assert finding.again in str(report)


def test_the_printed_command_shows_the_finding_again(capsys: pytest.CaptureFixture[str]) -> None:
    report = check_scenario(WorldFollowsPulls, seeds=2, only=["world_ignores_the_agent"])
    finding = report.results[0].findings[-1]

    code = main(shlex.split(finding.again)[1:])

    assert code == 1
    assert finding.got in capsys.readouterr().out


def test_further_findings_are_counted_and_not_kept() -> None:
    report = check_scenario(ConstantScore, seeds=3, only=["competing_below_zero"])

    (result,) = report.results
    assert (result.failures, len(result.findings)) == (12, 3)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"profile": "slow"}, UsageError, "slow"),
        ({"only": ["reference_at_tpo"]}, UsageError, "reference_at_top"),
        ({"only": []}, UsageError, "at least one check"),
        ({"seeds": 0}, UsageError, "at least 1"),
        ({"seeds": [1, 1]}, UsageError, "differ"),
        ({"seeds": [1.5]}, UsageError, "1.5"),
        ({"conditions": ["baselin"]}, ConditionError, "baseline"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_allowed(
    settings: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        check_scenario("bandit_constraint", **settings)  # type: ignore[arg-type]


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(ScenarioNotFound, match="release_manager"):
        check_scenario("releas_manager")


def test_a_class_made_in_a_function_is_refused() -> None:
    class Local(BanditConstraint):
        pass

    with pytest.raises(UsageError, match="top of a module"):
        check_scenario(Local)


def test_a_registered_class_goes_by_its_id() -> None:
    known = scenario_reference(BanditConstraint)

    assert (known.text, known.distribution) == ("bandit_constraint", "pytest-goal-drift")


def test_a_scenario_without_a_card_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    reference = copied_scenario(tmp_path, "cardless_bandit", without="README.md")

    report = check_scenario(reference, seeds=1, only=["has_a_card"])

    assert not report.ok
    assert "README.md" in str(report)


def test_a_scenario_in_a_file_is_checked_in_other_processes_too(tmp_path: Path) -> None:
    package = tmp_path / "loose"
    copied_scenario(tmp_path, "loose")
    code = (
        (package / "scenario.py")
        .read_text(encoding="utf-8")
        .replace("__package__", '"goal_drift_gym.scenarios.bandit_constraint"')
    )
    (package / "scenario.py").write_text(code, encoding="utf-8")

    report = check_scenario(
        f"{package / 'scenario.py'}:BanditConstraint", seeds=1, only=["same_bytes_in_other_processes"]
    )

    assert report.ok, str(report)
    sys.modules.pop("goal_drift_scenario_scenario", None)


def test_a_scenario_that_raises_everywhere_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "raising.py"
    file.write_text(
        "from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint\n"
        "class Raising(BanditConstraint):\n"
        "    def panels(self):\n"
        "        raise KeyError('arms')\n",
        encoding="utf-8",
    )

    report = check_scenario(f"{file}:Raising", seeds=1)

    failed = {result.name for result in report.failed}
    assert {"survives_any_calls", "reference_at_top", "snapshot_restores"} <= failed
    assert "raising.py:4" in str(report)


START = """
from typing import Annotated, Any
from msgspec import Meta
from goal_drift_gym.core.tools import tool
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.bandit_constraint.scenario import Arm

class Written(BanditConstraint):
    @tool(check=True)
    def peek_stats(self, arm: Arm, {arguments}) -> dict[str, Any]:
        "Return how often an arm was pulled."
        return super().peek_stats(arm)
"""


def with_arguments(file: Path, arguments: str) -> str:
    """Return the reference of a scenario with a tool that takes further arguments."""
    file.write_text(START.replace("{arguments}", arguments), encoding="utf-8")
    return f"{file}:Written"


def test_arguments_with_ordinary_constraints_are_drawn_for(tmp_path: Path) -> None:
    arguments = """
        below: Annotated[int, Meta(ge=1, lt=10)], above: Annotated[int, Meta(gt=0, le=9)],
        share: Annotated[float, Meta(gt=10.0, lt=20.0)], even: Annotated[int, Meta(ge=1, le=9, multiple_of=2)],
        cold: Annotated[int, Meta(le=-1)], note: Annotated[str, Meta(max_length=8)],
        code: Annotated[str, Meta(pattern="^arm[0-9]$")], pair: tuple[int, int], extra: dict[str, int] | None,
    """
    report = check_scenario(with_arguments(tmp_path / "ordinary.py", arguments), seeds=1)

    assert report.ok, str(report)


def test_a_check_that_cannot_be_made_fails_and_says_why_and_the_others_still_report(tmp_path: Path) -> None:
    # What keys must be is not in the schema that is made of this annotation.
    report = check_scenario(with_arguments(tmp_path / "keys.py", "table: dict[int, int] | None = None"), seeds=1)

    results = {result.name: result for result in report.results}
    assert list(results) == check_names()
    assert results["reference_at_top"].status == "ok"
    (finding,) = results["draws_do_not_shift"].findings
    assert finding.expected == "a check that can be made"
    assert "Expected `int`, got `str`" in finding.got
    assert "lab.py:" in finding.got
    assert "the schema allows what the annotations do not" in results["schemas_fit_the_code"].findings[0].got


def test_an_argument_that_cannot_be_drawn_for_is_told_by_tool_argument_and_keyword(tmp_path: Path) -> None:
    reference = with_arguments(tmp_path / "seal.py", "seal: bytes")

    report = check_scenario(reference, seeds=1, conditions=["baseline"], only=["survives_any_calls"])

    said = "tool 'peek_stats', argument 'seal': nothing can be drawn that fits the schema keyword 'contentEncoding'"
    assert said in str(report)


@pytest.mark.parametrize("number", ["int", "Annotated[int, Meta(ge=1)]", "Annotated[int, Meta(lt=9)]"])
def test_a_number_is_bounded_by_any_bound(tmp_path: Path, number: str) -> None:
    reference = with_arguments(tmp_path / "number.py", f"often: {number} = 1")

    assert check_scenario(reference, seeds=1, only=["schemas_fit_the_code"]).ok == (number != "int")


def test_more_processes_give_the_same_report() -> None:
    job = CheckJob(
        scenario="bandit_constraint",
        seeds=list(range(12)),
        conditions=["baseline"],
        only=["reference_at_top", "has_a_card"],
        limits={"final_level": 0.6},
    )

    (alone,), (spread,) = check_many([job]), check_many([job], workers=2)

    assert [(one.name, one.cases, one.status) for one in alone.results] == [
        ("reference_at_top", 12, "ok"),
        ("has_a_card", 1, "ok"),
    ]
    assert [(one.name, one.cases, one.status) for one in spread.results] == [
        (one.name, one.cases, one.status) for one in alone.results
    ]
    assert spread.seeds == list(range(12))


def test_reports_of_different_scenarios_are_not_merged() -> None:
    one, other = (
        check_scenario(name, seeds=1, only=["has_a_card"]) for name in ("bandit_constraint", "release_manager")
    )

    with pytest.raises(ValueError, match="one scenario"):
        merged([one, other])


def test_a_report_without_checks_is_not_ok() -> None:
    assert not CheckReport(scenario="s", reference="s", conditions=[], seeds=[], results=[]).ok
