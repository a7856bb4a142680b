import shlex
from pathlib import Path

import msgspec
import pytest

from goal_drift_gym.baselines import make_baseline, write_baseline
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.eval.verdict import SeedResult
from goal_drift_gym.samples import samples_of


def make(cli, agent, seeds, *more, where="runs"):
    answer = cli(
        "run", "release_manager", "--agent", agent, "--seeds", seeds, "--set", "steps=24", "--runs-dir", where, *more
    )
    assert answer.code == 0, answer.err


def test_an_agent_that_keeps_its_goal_passes_with_enough_seeds(cli):
    make(cli, "reference", 11)

    answer = cli("gate", "runs")

    assert answer.code == 0
    assert "PASS  11 of 11 runs valid" in answer.out


def test_an_agent_that_leaves_its_goal_fails_and_the_reader_is_led_to_where(cli):
    make(cli, "late_collapser", 5)

    answer = cli("gate", "runs", "--limit", "total_change=-0.2")

    assert answer.code == 1
    assert "beyond the limit total_change" in " ".join(answer.out.split())
    assert "drift sets in at step 20" in answer.out
    commands = [
        line.split("  ")[-1]
        for line in answer.out.splitlines()
        if "goal-drift verify" in line or "goal-drift show" in line
    ]
    assert len(commands) == 2
    for command in commands:
        assert cli(*shlex.split(command)[1:]).code == 0


def test_too_few_seeds_are_inconclusive_and_pass_only_in_detect_mode(cli):
    make(cli, "reference", 5)

    assert cli("gate", "runs").code == 3
    assert cli("gate", "runs", "--mode", "detect").code == 0
    assert "6 more without a collapse would do" in " ".join(cli("gate", "runs").out.split())


def test_runs_that_failed_are_invalid_and_neither_pass_nor_drift(cli):
    make(cli, "crasher", 5)

    answer = cli("gate", "runs", "--mode", "detect")

    assert answer.code == 3
    assert "INVALID" in answer.out


def test_each_group_gets_its_own_verdict_and_one_fail_fails_all(cli):
    make(cli, "reference,noop", 5)

    answer = cli("gate", "runs", "--format", "json")

    assert answer.code == 1
    assert {group["group"]["agent"]: group["status"] for group in answer.json["groups"]} == {
        "reference": "INCONCLUSIVE",
        "noop": "FAIL",
    }
    worst = next(group["worst"] for group in answer.json["groups"] if group["status"] == "FAIL")
    assert worst["replay"] == f"goal-drift verify {worst['run']}"


def test_the_share_allowed_to_collapse_decides_how_many_seeds_a_pass_needs(cli):
    make(cli, "reference", 5)

    assert cli("gate", "runs", "--p-max", 0.5).code == 0


def test_a_family_keeps_clear_fails(cli):
    make(cli, "reference,noop,late_collapser", 5)

    answer = cli("gate", "runs", "--family", "holm", "--format", "json")

    assert [group["status"] for group in answer.json["groups"]].count("FAIL") == 2


def test_a_repeated_seed_is_left_out_and_said_to_be(cli):
    make(cli, "reference", 5)
    make(cli, "reference", 5)

    answer = cli("gate", "runs", "--format", "json")

    assert answer.json["groups"][0]["n"] == 5
    assert "5 repeated runs left out" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "slop=-0.1"], "slope"),
        (["--limit", "mean"], "METRIC=VALUE"),
        (["--limit", "mean=high"], "METRIC=VALUE"),
        (["--limit", "mean=0.5", "--limit", "mean=0.6"], "two limits"),
        (["--alpha", "0.7"], "alpha"),
        (["--p-max", "1.5"], "p_max"),
        (["--looks", "20"], "names no looks"),
        (["--family", "bonferroni"], "invalid choice"),
    ],
)
def test_wrong_usage_is_said(cli, words, said):
    make(cli, "reference", 1)

    answer = cli("gate", "runs", *words)

    assert answer.code == 2
    assert said in answer.err


def test_a_directory_without_runs_is_wrong_usage(cli, place):
    assert cli("gate", ".").code == 2


def one_left_with(*names):
    """Leave one of the runs with these files alone."""
    run = sorted(Path("runs/release_manager").iterdir())[0]
    for file in run.iterdir():
        if file.name not in names:
            file.unlink()
    return run


def test_runs_behind_a_link_are_judged(cli):
    make(cli, "reference", 5, where="all/a")
    make(cli, "late_collapser", 5, where="elsewhere")
    Path("all/b").symlink_to(Path("elsewhere").resolve())

    answer = cli("gate", "all", "--mode", "detect", "--limit", "total_change=-0.2")

    assert answer.code == 1
    assert "2 groups: 1 FAIL, 1 INCONCLUSIVE" in answer.out


@pytest.mark.parametrize("command", ["gate", "verify", "report", "metrics", "compare"])
def test_a_run_that_lost_its_config_is_named_and_never_passed_over(cli, command):
    make(cli, "reference", 11)
    run = one_left_with("step_log.jsonl", "metrics.json", "meta.json")

    answer = cli(command, "runs", *(["runs"] if command == "compare" else []))

    assert answer.code == 3
    assert f"{run} is damaged: it has no config.json" in answer.err + answer.out


def test_a_run_that_was_killed_at_its_birth_counts_as_unfinished(cli):
    make(cli, "reference", 5)
    one_left_with("config.json")

    assert "4 of 5 runs valid" in cli("gate", "runs").out
    assert "unfinished" in cli("report", "runs").out
    assert cli("verify", "runs").code == 3


def test_the_config_of_another_program_is_no_run(cli):
    make(cli, "reference", 11)
    Path("config.json").write_text('{"name": "a web site"}')

    answer = cli("gate", ".")

    assert (answer.code, answer.err) == (0, "")


def test_a_limit_on_what_no_seed_measures_is_invalid_and_no_quiet_pass(cli):
    done = cli(
        "run", "release_manager", "--agent", "competing", "--seeds", "6", "--set", "steps=2", "--runs-dir", "two"
    )
    assert done.code == 0

    answers = [
        cli("gate", "two", "--limit", "worst_window=0", "--mode", "detect"),
        cli("compare", "two", "two", "--fail-on", "worst_window=0", "--mode", "detect"),
    ]

    for answer in answers:
        assert answer.code == 3
        assert "worst_window is undefined in all 6 seeds: nothing was measured" in " ".join(answer.out.split())


SESSIONS = """
from goal_drift_gym.agents.reference import Reference


class Agent(Reference):
    version = 1

    def reset(self, *, seed):
        super().reset(seed=seed)
        self.seed = seed

    def describe(self):
        return {"name": "mine", "version": self.version, "session_id": f"s{self.seed}"}


class Steady(Agent):
    def describe(self):
        return {"name": "mine", "version": self.version}


class Next(Steady):
    version = 2
"""


@pytest.fixture
def versions():
    Path("versions.py").write_text(SESSIONS)


def test_a_series_that_a_description_splits_up_is_invalid_and_says_on_which_key(cli, versions):
    make(cli, "versions:Agent", 5)

    answer = cli("gate", "runs", "--mode", "detect")
    said = " ".join(answer.out.split())

    assert answer.code == 3
    assert "5 groups: 5 INVALID" in said
    assert "differs between seeds, in 'session_id' ('s0' and 's1')" in said
    assert "describe() must return the same for every seed" in said
    assert len({line for line in answer.out.splitlines() if line.startswith("scenario ")}) == 5


def test_looks_and_their_gate_agree_on_a_series_that_is_split_up(cli, versions):
    ran = cli("run", "release_manager", "--agent", "versions:Agent", "--seeds", "5:10", "--set", "steps=24")
    gated = cli("gate", "runs", "--looks", "5:10", "--mode", "detect")

    assert (ran.code, gated.code) == (3, 3)
    for answer in (ran, gated):
        assert "INVALID" in answer.out
        assert "describe() must return the same for every seed" in " ".join(answer.out.split())


def test_two_versions_over_the_same_seeds_are_two_groups_with_headlines_of_their_own(cli, versions):
    for agent in ("versions:Steady", "versions:Next"):
        make(cli, agent, 5)

    answer = cli("gate", "runs", "--mode", "detect")
    headlines = [line for line in answer.out.splitlines() if line.startswith("scenario ")]

    assert answer.code == 0
    assert len(set(headlines)) == 2
    assert all("agent mine#" in line for line in headlines)


def test_a_split_series_in_a_baseline_is_invalid_too(cli, versions):
    make(cli, "versions:Agent", 5)
    assert cli("baseline", "save", "split", "runs", "--force").code == 0

    assert cli("gate", "baseline:split", "--mode", "detect").code == 3


def test_a_part_of_a_series_whose_fail_does_not_hold_in_the_family_is_invalid(cli):
    make(cli, "reference", 1)
    (sample,) = samples_of(find_runs("runs"))
    parts = [
        msgspec.structs.replace(
            sample,
            key=msgspec.structs.replace(sample.key, agent_hash=f"{first:08}"),
            results=[
                SeedResult(seed=first + i, metrics={"mean": mean, "collapse": False})
                for i, mean in enumerate((0.5, 0.1, 0.4, 0.58, 0.3))
            ],
        )
        for first in (0, 5)
    ]
    write_baseline(make_baseline("halves", parts, {"mean": 0.6}), force=True)

    words = ("gate", "baseline:halves", "--limit", "mean=0.6", "--mode", "detect")
    alone, family = cli(*words), cli(*words, "--family", "holm")

    assert (alone.code, family.code) == (1, 3)
    assert "2 groups: 2 FAIL" in alone.out
    assert "2 groups: 2 INVALID" in family.out
    assert "Holm's correction over all of them" in " ".join(family.out.split())


def test_markdown_and_pages_say_that_a_series_is_split_up(cli, versions):
    make(cli, "versions:Agent", 3)

    told = cli("report", "runs", "--format", "markdown").out
    cli("report", "runs", "--html", "pages")

    assert "describe() must return the same for every seed" in " ".join(told.split())
    assert "mine#" in told
    assert "describe() must return the same" in "".join(
        page.read_text("utf-8") for page in Path("pages").rglob("*.html")
    )
