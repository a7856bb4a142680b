import os
import re
import subprocess
from pathlib import Path

import pytest

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.scenarios.discovery import conditions_of, find_scenario, scenario_entries

from .conftest import COMMAND, PATIENCE_S, by_experiment, finish


def test_all_means_every_scenario_condition_and_reference_agent(cli, place):
    answer = cli("run", "all", "--condition", "all", "--agent", "all", "--set", "steps=33", "--timeout", "0.2")

    assert answer.code == 0
    expected = {
        (scenario, condition, agent, 0)
        for scenario, entry in scenario_entries().items()
        for condition in conditions_of(entry.load())
        for agent in REFERENCE_AGENTS
    }
    assert set(by_experiment(place / "runs")) == expected


def test_lists_and_repeated_options_multiply(cli, place):
    (place / "own.toml").write_text("steps = 4\n", encoding="utf-8")

    answer = cli(
        "run", "release_manager,bandit_constraint", "--condition", "baseline,friction_heavy", "--condition", "own.toml",
        "--agent", "noop", "--agent", "reference,competing", "--seeds", "3,-5", "--set", "steps=4", "--format", "json",
    )  # fmt: skip

    assert len(answer.json["runs"]) == 2 * 3 * 3 * 2
    assert len(answer.json["groups"]) == 2 * 3 * 3
    assert {run["seed"] for run in answer.json["runs"]} == {3, -5}
    assert {run["condition"] for run in answer.json["runs"]} == {"baseline", "friction_heavy", "own"}


def test_statistics_of_a_group_are_those_of_its_runs(cli):
    answer = cli("run", "release_manager", "--agent", "slow_drifter", "--seeds", 4, "--format", "json").json

    (group,), runs = answer["groups"], answer["runs"]
    finals = [run["final_level"] for run in runs]
    assert (group["runs"], group["scored"]) == (4, 4)
    assert (group["final_level_min"], group["final_level_max"]) == (min(finals), max(finals))
    assert group["final_level_mean"] == pytest.approx(sum(finals) / 4)
    assert group["mean"] == pytest.approx(sum(run["mean"] for run in runs) / 4)
    assert group["drifted_share"] == sum(1 for run in runs if run["crossed"]) / 4 == 1.0


def test_report_group_says_the_same_as_run(cli):
    ran = cli("run", "release_manager", "--agent", "slow_drifter,reference", "--seeds", 3)

    reported = cli("report", "runs", "--group")

    lines = list(zip(reported.out.splitlines(), ran.out.splitlines(), strict=False))
    assert len(lines) == 4
    assert all(longer.startswith(shorter) for longer, shorter in lines)


def test_conditions_of_one_name_with_other_settings_are_kept_apart(cli):
    for steps in (8, 9):
        cli("run", "release_manager", "--agent", "noop", "--set", f"steps={steps}")

    groups = cli("report", "runs", "--group", "--format", "csv").out.splitlines()[1:]

    names = [line.split(",")[1] for line in groups]
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"baseline#[0-9a-f]{8}", name) for name in names)


def test_a_condition_has_one_label_whoever_the_agent_is_in_every_output(cli):
    for steps in (8, 9):
        cli("run", "release_manager", "--agent", "noop,reference", "--set", f"steps={steps}")

    rows = cli("report", "runs", "--group", "--format", "json").json
    table = {(row["agent"], row["condition"]) for row in (row.get("group", row) for row in rows)}
    gated = cli("gate", "runs").out
    written = cli("report", "runs", "--format", "markdown").out

    assert len(table) == 4
    assert len({condition for _, condition in table}) == 2
    for agent, condition in table:
        assert f"condition {condition}, agent {agent}" in gated
        assert re.search(rf"`{condition}` \| `{agent}`", written)


@pytest.mark.parametrize(
    ("agent", "options", "code"),
    [
        ("reference", [], 0),
        ("competing", [], 0),
        ("competing", ["--fail-on-drift"], 1),
        ("reference", ["--fail-on-drift"], 0),
        ("reference", ["--fail-on-drift", "--set", "steps=2"], 3),
        ("crasher", ["--fail-on-drift"], 0),
        ("babbler", [], 0),
        ("cli_agents:raiser", [], 3),
    ],
)
def test_exit_codes(cli, place, agent, options, code):
    with open(place / "cli_agents.py", "a", encoding="utf-8") as file:
        file.write("\n\ndef raiser(turn):\n    raise ValueError('no')\n")

    assert cli("run", "release_manager", "--agent", agent, *options).code == code


QUITS = """
import sys


class Bad:
    def __call__(self, turn):
        for action in turn.policy("competing"):
            turn.perform(action)


class QuitsAfterwards(Bad):
    def end_episode(self):
        sys.exit(0)


class QuitsAtReset(Bad):
    def reset(self, seed):
        sys.exit(0)


class QuitsDescribed(Bad):
    def describe(self):
        sys.exit(0)


class QuitsWhenMade(Bad):
    def __init__(self):
        sys.exit(0)


class Aborts(Bad):
    def __call__(self, turn):
        if turn.step == 3:
            raise BaseException("sdk abort")
        super().__call__(turn)
"""


@pytest.mark.parametrize("concurrency", ["1", "2"])
@pytest.mark.parametrize(
    ("agent", "code"),
    [
        ("QuitsAfterwards", 1),
        ("QuitsAtReset", 3),
        ("QuitsDescribed", 3),
        ("QuitsWhenMade", 3),
        ("Aborts", 3),
    ],
)
def test_no_agent_ends_the_command_with_a_code_of_its_own(cli, place, agent, code, concurrency):
    (place / "quits.py").write_text(QUITS, encoding="utf-8")

    answer = cli(
        "run", "release_manager", "--agent", f"quits:{agent}", "--seeds", "3", "--set", "steps=8",
        "--fail-on-drift", "--concurrency", concurrency,
    )  # fmt: skip

    assert answer.code == code
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("who", ["agent", "scenario"])
def test_a_module_that_exits_when_it_is_imported_cannot_be_loaded(cli, place, who):
    (place / "exits.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    words = ("release_manager", "--agent", "exits:Bot") if who == "agent" else ("exits:World", "--agent", "noop")

    answer = cli("run", *words)

    assert answer.code in (2, 3)
    assert "cannot load" in answer.err


def test_a_run_that_is_not_scored_is_named(cli):
    answer = cli("run", "release_manager", "--agent", "reference", "--set", "friction.token_budget=50")

    assert answer.code == 3
    assert "ended as budget" in answer.err


def test_hanger_gets_a_short_timeout_and_it_is_said(cli):
    answer = cli("run", "release_manager", "--agent", "hanger", "--set", "steps=4")

    (run,) = find_runs("runs")
    assert "0.5 s" in answer.err
    assert run.meta["step_timeout_s"] == 0.5


def test_a_given_timeout_holds_for_hanger_too(cli):
    answer = cli("run", "release_manager", "--agent", "hanger", "--set", "steps=4", "--timeout", "0.1")

    (run,) = find_runs("runs")
    assert "0.5 s" not in answer.err
    assert run.meta["step_timeout_s"] == 0.1


def test_two_workers_leave_the_same_bytes_and_table_as_one(cli, place):
    words = ["run", "all", "--agent", "slow_drifter,random,crasher,cli_agents:Counter", "--seeds", 2]
    words[1] = "release_manager"

    one = cli(*words, "--runs-dir", "one")
    two = cli(*words, "--runs-dir", "two", "--workers", 2)

    assert (one.code, two.code) == (0, 0)
    assert one.out.replace(" one", " two") == two.out
    assert by_experiment(place / "one") == by_experiment(place / "two")


def test_json_results_come_in_the_planned_order_from_several_workers(cli):
    answer = cli(
        "run", "release_manager", "--agent", "random,noop", "--seeds", "7,1,4", "--workers", 2, "--format", "json"
    )

    order = [(run["agent"], run["seed"]) for run in answer.json["runs"]]
    assert order == [(agent, seed) for agent in ("random", "noop") for seed in (7, 1, 4)]


def test_a_worker_that_dies_is_said_and_the_others_runs_stay(cli, place):
    with open(place / "cli_agents.py", "a", encoding="utf-8") as file:
        file.write("\n\ndef killer(turn):\n    os._exit(7)\n")

    answer = cli("run", "release_manager", "--agent", "noop,cli_agents:killer", "--workers", 2)

    assert answer.code == 3
    assert "exit code 7" in answer.err
    assert "1 run in" in answer.out


def test_no_progress_bar_where_there_is_no_terminal(cli):
    answer = cli("run", "release_manager", "--agent", "noop", "--seeds", 20, "--set", "steps=2")

    assert "\r" not in answer.err
    assert "20/20" in answer.err
    assert len(answer.err.splitlines()) == 10


def test_nothing_is_written_when_one_of_many_conditions_does_not_fit(cli, place):
    (place / "bad.toml").write_text("[friction.tools.no_such_tool]\nlatency = 2\n", encoding="utf-8")

    answer = cli("run", "release_manager", "--agent", "noop", "--condition", "baseline", "--condition", "bad.toml")

    assert answer.code == 2
    assert "no_such_tool" in answer.err
    assert not (place / "runs").exists()


def test_a_runs_dir_that_cannot_be_made_is_a_message(cli, place):
    (place / "file").write_text("", encoding="utf-8")

    answer = cli("run", "release_manager", "--agent", "noop", "--runs-dir", "file/runs")

    assert answer.code == 3
    assert "cannot write" in answer.err
    assert "Traceback" not in answer.err


ROOT = os.name == "posix" and os.geteuid() == 0


@pytest.mark.skipif(os.name != "posix" or (ROOT and not Path("/sys").is_dir()), reason="needs permissions that hold")
def test_a_read_only_runs_dir_is_a_message(cli, place):
    (place / "runs").mkdir(mode=0o555)

    # Root may write where permissions forbid it, but nobody makes a directory in /sys.
    answer = cli("run", "release_manager", "--agent", "noop", "--runs-dir", "/sys/runs" if ROOT else "runs")

    assert answer.code == 3
    assert "cannot write" in answer.err


def test_nothing_is_written_outside_the_runs_dir(cli, place):
    cli("run", "release_manager", "--agent", "noop", "--runs-dir", "deep/er/runs", "--set", "steps=3")
    for words in (["report"], ["metrics"], ["verify"], ["resume"]):
        cli(*words, "deep")

    names = {path.name for path in place.iterdir()} - {"__pycache__"}
    assert names == {"cli_agents.py", "deep"}
    assert sorted(path.name for path in (place / "deep/er/runs").iterdir()) == [
        ".gitignore",
        ".sessions",
        "release_manager",
    ]


def test_two_processes_share_a_runs_dir(spawn, cli, place):
    words = ("run", "release_manager", "--agent", "random,noop", "--seeds", 10)

    answers = [finish(process) for process in [spawn(*words), spawn(*words)]]

    assert [answer.code for answer in answers] == [0, 0]
    assert sum(1 for _ in find_runs(place / "runs")) == 40
    assert cli("verify", "runs").code == 0


@pytest.mark.parametrize("limit", [300, 30_000])
def test_a_full_disk_is_a_message_and_leaves_whole_lines(spawn, place, limit):
    pytest.importorskip("resource")
    full = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    )

    answer = finish(spawn("run", "release_manager", "--agent", "reference", "--seeds", 3, before=full))

    assert answer.code == 3
    assert "cannot write" in answer.err
    assert "Traceback" not in answer.err
    for run in find_runs(place / "runs"):
        assert len(list(run.steps())) > 0
        assert not run.torn


def test_the_scenario_can_be_named_by_its_module(cli):
    reference = "goal_drift_gym.scenarios.release_manager:ReleaseManager"

    answer = cli("run", reference, "--agent", "noop", "--set", "steps=3")

    assert answer.code == 0
    assert cli("verify", "runs").code == 0
    assert find_scenario(reference).reference == reference


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_agent_prints_does_not_mix_with_the_output(spawn, place, workers):
    with open(place / "cli_agents.py", "a", encoding="utf-8") as file:
        file.write("\n\ndef chatty(turn):\n    print('hello')\n")

    answer = finish(
        spawn("run", "release_manager", "--agent", "cli_agents:chatty", "--seeds", 2, "--workers", workers,
              "--set", "steps=3", "--format", "json")
    )  # fmt: skip

    assert len(answer.json["runs"]) == 2
    assert answer.err.count("hello") == 6


def test_a_bar_is_drawn_on_a_terminal(place):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "release_manager", "--agent", "noop", "--seeds", "4", "--set", "steps=2"],
        stdout=subprocess.DEVNULL, stderr=theirs, cwd=place,
    )  # fmt: skip
    process.wait(PATIENCE_S)
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)

    assert "\r[######------------------] 1/4 " in drawn
    assert "\n" not in drawn
    assert drawn.endswith("\r")
