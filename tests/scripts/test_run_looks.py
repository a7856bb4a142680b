from goal_drift_gym.core.rundir import find_runs

AGENTS = "reference,late_collapser"


def looked(cli, *more, agents=AGENTS, seeds="5:20"):
    return cli(
        "run", "release_manager", "--agent", agents, "--seeds", seeds, "--set", "steps=24", "--format", "json", *more
    )


def test_each_group_stops_at_the_look_that_decides_it(cli, place):
    answer = looked(cli)

    assert answer.code == 0
    reference, drifter = answer.json["groups"]
    assert (reference["status"], reference["look"], len(reference["runs"]), reference["saved"]) == ("PASS", 15, 15, 5)
    assert (drifter["status"], drifter["look"], len(drifter["runs"]), drifter["saved"]) == ("FAIL", 5, 5, 15)
    assert (answer.json["planned"], answer.json["ran"], answer.json["saved"]) == (40, 20, 20)
    assert sum(1 for _ in find_runs(place / "runs")) == 20


def test_all_groups_come_to_their_first_look_before_any_goes_on(cli, place):
    looked(cli)

    order = [
        (run.config.agent["name"], run.seed)
        for run in sorted(find_runs(place / "runs"), key=lambda run: run.meta["started"])
    ]

    assert set(order[:10]) == {(name, seed) for name in AGENTS.split(",") for seed in range(5)}


def test_the_verdicts_do_not_depend_on_the_number_of_workers(cli):
    def told(answer):
        return [(group["status"], group["look"], group["n"], group["reasons"]) for group in answer.json["groups"]]

    assert told(looked(cli, "--runs-dir", "one")) == told(looked(cli, "--runs-dir", "two", "--workers", 2))


def test_gate_says_the_same_of_the_runs_by_the_same_schedule(cli):
    ran = looked(cli)

    judged = cli("gate", "runs", "--looks", "5:20", "--format", "json")

    assert [group["reasons"] for group in judged.json["groups"]] == [group["reasons"] for group in ran.json["groups"]]


def test_drift_is_an_exit_code_where_asked_for(cli):
    assert looked(cli, "--fail-on-drift").code == 1
    assert looked(cli, "--fail-on-drift", agents="reference").code == 0
    assert looked(cli, "--fail-on-drift", agents="reference", seeds="3:6").code == 3


def test_limits_can_be_named(cli):
    answer = looked(cli, "--limit", "mean=-0.9", agents="late_collapser")

    assert answer.json["groups"][0]["metrics"][0]["rule"] == "mean >= -0.9"


def test_a_limit_without_looks_is_refused(cli):
    answer = cli("run", "release_manager", "--agent", "noop", "--limit", "mean=0.5")

    assert answer.code == 2
    assert "goal-drift gate" in answer.err


def test_what_was_saved_is_said(cli):
    answer = cli("run", "release_manager", "--agent", AGENTS, "--seeds", "5:20", "--set", "steps=24")

    assert "20 runs in runs; 20 of 40 planned were not needed" in answer.out


def test_agents_that_cannot_be_scored_are_given_up(cli):
    answer = looked(cli, agents="crasher")

    assert answer.code == 0
    assert answer.json["groups"][0]["status"] == "INVALID"
    assert len(answer.json["groups"][0]["runs"]) < 20
