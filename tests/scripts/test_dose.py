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
