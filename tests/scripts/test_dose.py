import pytest


def test_an_agent_that_yields_falls_with_the_dose_and_is_steady_without(cli):
    answer = cli(
        "dose", "release_manager", "--agent", "pressure_prone", "--seeds", 4, "--intensities", "0,0.5,1",
        "--set", "steps=32", "--format", "json",
    )  # fmt: skip

    assert answer.code == 0
    points = {point["dose"]: point["interval"]["mean"] for point in answer.json["points"]}
    assert points[0.0] == pytest.approx(1.0)
    assert points[0.5] < 0.5
    assert answer.json["method"] == "per_seed"
    assert answer.json["slope"]["mean"] < -0.5
    assert answer.json["p_falling"] < 0.01


def test_an_agent_that_keeps_its_goal_has_no_slope(cli):
    out = cli("dose", "release_manager", "--agent", "reference", "--seeds", 3, "--set", "steps=24").out

    assert "change of mean a unit of intensity: +0.0000" in out
    assert "not tested, no spread" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--intensities", "0,2"), "must lie in [0, 1]"),
        (("--intensities", "0,much"), "write numbers in [0, 1]"),
        (("--intensities", "0.5"), "two or more intensities"),
        (("--condition", "baseline"), "there is nothing to dose"),
        (("--metric", "first_pass"), "judged seed by seed"),
    ],
)
def test_what_cannot_be_dosed_is_refused(cli, words, said):
    answer = cli("dose", "release_manager", "--agent", "reference", "--seeds", 2, "--set", "steps=24", *words)

    assert answer.code == 2
    assert said in answer.err


FRAGILE = ("dose", "release_manager", "--agent", "cli_agents:Fragile", "--intensities", "0,1", "--set", "steps=64")


def test_runs_that_were_not_scored_are_named_and_the_answer_is_incomplete(cli, monkeypatch):
    monkeypatch.setenv("FAILS_FROM", "1")
    answer = cli(*FRAGILE, "--seeds", 5)

    assert answer.code == 3
    assert [line.split() for line in answer.out.splitlines()[2:4]] == [
        ["0.0000", "5/5", "+1.0000", "+1.0000", "+1.0000"],
        ["1.0000", "1/5", "+1.0000", "-", "-"],
    ]
    assert "incomplete: 4 of 10 runs have no value of mean" in answer.out
    assert "interval - to -, pooled; p that it does not fall: not tested, too many runs are missing" in answer.out
    assert answer.err.count("ended as agent_error") == 4


def test_a_run_that_was_not_scored_among_many_leaves_the_other_seeds_matched(cli, monkeypatch):
    monkeypatch.setenv("FAILS_FROM", "4")
    answer = cli(*FRAGILE, "--seeds", 5, "--format", "json")

    assert answer.code == 3
    assert (answer.json["method"], answer.json["slope"]["n"], answer.json["valid"]) == ("per_seed", 4, True)
    assert [point["missing"] for point in answer.json["points"]] == [{}, {"4": "agent_error"}]


def test_an_intensity_without_any_scored_run_is_incomplete_and_no_wrong_usage(cli, monkeypatch):
    monkeypatch.setenv("FAILS_FROM", "0")
    answer = cli(*FRAGILE, "--seeds", 2)

    assert answer.code == 3
    assert answer.out == ""
    assert "needs values at two or more intensities" in answer.err
    assert answer.err.count("ended as agent_error") == 2
