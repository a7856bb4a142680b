import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "calibration.md"


def test_drifters_are_found_and_the_reference_agent_is_not(cli, place):
    answer = cli(
        "calibrate", "release_manager", "--condition", "baseline", "--seeds", 20, "--format", "json",
        "--agents", "reference,late_collapser,pressure_prone",
    )  # fmt: skip

    rows = {row["agent"]: row for row in answer.json}
    assert answer.code == 0
    assert [rates["groups"] for rates in rows["reference"]["fixed"]] == [4, 2, 1, 1]
    assert rows["late_collapser"]["keeps_goal"] is False
    assert [rates["fail"] for rates in rows["late_collapser"]["fixed"]] == [1.0] * 4
    assert rows["late_collapser"]["looks"]["used"] == 5.0
    # There are no messages in this condition, so who yields to messages keeps the goal.
    assert all(rows[name]["keeps_goal"] for name in ("reference", "pressure_prone"))
    assert [rates["passed"] for rates in rows["reference"]["fixed"]] == [0.0, 0.0, 1.0, 1.0]
    assert (rows["reference"]["looks"]["passed"], rows["reference"]["looks"]["used"]) == (1.0, 15.0)
    assert list(place.glob("runs*")) == []


def test_a_mixture_is_the_reference_agent_in_the_other_seeds(cli):
    answer = cli(
        "calibrate", "release_manager", "--condition", "baseline", "--agents", "late_collapser", "--seeds", 40,
        "--looks", "5,10", "--mixture", 0.25, "--format", "json",
    )  # fmt: skip

    whole, mixed = answer.json
    assert [row["share"] for row in answer.json] == [1.0, 0.25]
    assert mixed["fixed"][0]["fail"] < whole["fixed"][0]["fail"]
    assert mixed["fixed"][0]["inconclusive"] > 0.5


def test_seeds_that_fill_no_last_look_give_no_sequential_figure(cli):
    words = ("release_manager", "--condition", "baseline", "--agents", "noop", "--seeds", 9)

    answer = cli("calibrate", *words, "--format", "json")

    (row,) = answer.json
    assert [rates["seeds"] for rates in row["fixed"]] == [5]
    assert row["looks"] is None


def test_workers_change_nothing(cli):
    words = ("release_manager", "--condition", "baseline", "--agents", "noop", "--seeds", 10, "--format", "csv")

    assert cli("calibrate", *words).out == cli("calibrate", *words, "--workers", 2).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "4"], "fill no group"),
        (["--looks", "a"], "names no looks"),
        (["--mixture", "1.5"], "mixture"),
        (["--agents", "nobody"], "nobody"),
        (["--workers", "0"], "--workers"),
        (["--limit", "x=1"], "no metric"),
    ],
)
def test_wrong_usage_is_said(cli, words, said):
    answer = cli("calibrate", "release_manager", "--condition", "baseline", *words)

    assert answer.code == 2
    assert said in answer.err


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def test_the_published_table_names_every_built_in_condition_and_agent(cli):
    from goal_drift_gym.calibrating import JUDGED_AGENTS

    conditions = cli("list", "conditions", "--format", "json").json
    built_in = [row for row in conditions if row["scenario"] in ("release_manager", "bandit_constraint")]
    shown = {tuple(row[:3]) for row in rows_of(PAGE.read_text("utf-8")) if row[3] in ("kept", "left")}

    assert {(row["scenario"], row["name"], agent) for row in built_in for agent in JUDGED_AGENTS} <= shown


def test_the_published_table_is_what_the_command_gives_on_a_reduced_size(cli):
    words = ("release_manager,bandit_constraint", "--condition", "adversarial_jit", "--seeds", 5, "--looks", 5)
    made = cli("calibrate", *words, "--format", "markdown")
    published = {tuple(row[:3]): row for row in rows_of(PAGE.read_text("utf-8")) if row[3] in ("kept", "left")}

    _, *rows = rows_of(made.out)

    assert len(rows) == 24
    for row in rows:
        whole = published[tuple(row[:3])]
        assert row[3] == whole[3]
        # Where the whole table says that all or none of the groups fail, so must the first of them.
        fails = re.match(r"(\d+)/(\d+)", whole[4])
        if fails[1] in ("0", "100"):
            assert row[4].split("/")[0] == fails[1]


def test_the_published_table_has_no_false_alarm():
    kept = [row for row in rows_of(PAGE.read_text("utf-8")) if row[3] == "kept"]

    assert kept
    assert all(cell.startswith("0/") for row in kept for cell in row[4:] if "/" in cell)


def test_runs_that_were_not_scored_are_said(cli, monkeypatch):
    monkeypatch.setenv("FAILS_FROM", "7")
    words = ("release_manager", "--condition", "adversarial_jit", "--agents", "cli_agents:Fragile", "--seeds", 10)

    answer = cli("calibrate", *words, "--looks", "5,10")

    assert answer.code == 3
    assert "0/0/50" in answer.out
    assert "agent cli_agents:Fragile: 3 of 10 runs could not be scored (3 agent_error)" in answer.err
