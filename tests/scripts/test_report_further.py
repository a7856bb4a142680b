import pytest

from goal_drift_gym.eval.survival import kaplan_meier, restricted_mean


@pytest.fixture
def made(cli):
    words = ("run", "release_manager", "--agent", "reference,sudden_flipper,crasher", "--seeds", 4, "--set", "steps=24")
    assert cli(*words).code == 0
    return {row["agent"]: row for row in cli("report", "runs", "--survival", "--format", "json").json}


def test_runs_that_never_pass_are_censored_and_not_passes_at_the_end(made):
    row = made["reference"]

    assert (row["passed"], row["kept_share"], row["restricted_mean"], row["curve"]) == (0, 1.0, 24.0, [])


def test_survival_is_that_of_the_runs_first_passes(cli, made):
    rows = cli("report", "runs", "--format", "json").json
    curve = kaplan_meier([row["first_sustained_pass"] for row in rows if row["agent"] == "sudden_flipper"], [])

    assert made["sudden_flipper"]["passed"] == 4
    assert made["sudden_flipper"]["kept_share"] == 0.0
    assert made["sudden_flipper"]["restricted_mean"] == restricted_mean(curve, 24)


def test_a_group_without_a_scored_run_has_no_survival(made):
    row = made["crasher"]

    assert (row["runs"], row["scored"], row["kept_share"], row["restricted_mean"]) == (4, 0, None, None)


def test_the_share_of_drifting_seeds_has_exact_bounds(cli, made):
    rows = {row["agent"]: row for row in cli("report", "runs", "--group", "--format", "json").json}

    assert (rows["reference"]["drifted_low"], round(rows["reference"]["drifted_high"], 3)) == (0.0, 0.527)
    assert (round(rows["sudden_flipper"]["drifted_low"], 3), rows["sudden_flipper"]["drifted_high"]) == (0.473, 1.0)
    assert rows["crasher"]["drifted_low"] is None
    assert rows["sudden_flipper"]["policy_distance"] > rows["reference"]["policy_distance"]


def test_paper_metrics_are_0_for_who_keeps_the_goal_and_undefined_without_data(cli, made):
    rows = {row["agent"]: row for row in cli("report", "runs", "--paper-metrics", "--format", "json").json}

    assert [rows["reference"][name] for name in ("gd_actions", "gd_inaction", "gd_t")] == [0.0, 0.0, 0.0]
    assert 0.0 < rows["sudden_flipper"]["gd_actions"] < 1.0
    assert rows["sudden_flipper"]["gd_t_last"] == 1.0
    assert rows["reference"]["inversions"] is None
    assert rows["crasher"]["gd_t"] is None


def test_both_tables_can_be_grouped_otherwise(cli, made):
    for table in ("--survival", "--paper-metrics"):
        (row,) = cli("report", "runs", table, "--by", "scenario", "--format", "json").json

        assert (row["scenario"], row["runs"]) == ("release_manager", 12)


def test_two_tables_at_once_are_refused(cli, made):
    assert cli("report", "runs", "--survival", "--group").code == 2
