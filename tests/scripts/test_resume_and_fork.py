import os
import signal

import pytest

from goal_drift_gym.core.rundir import find_runs

from .conftest import PATIENCE_S, by_experiment, contents, finish, wait_for_steps

SLOW_REFERENCE = """
import time
import goal_drift_gym.agents.reference as reference
fast = reference.SlowDrifter.policy_at
def slow(self, turn):
    time.sleep(0.02)
    return fast(self, turn)
reference.SlowDrifter.policy_at = slow
"""
SEEDED = ["run", "release_manager", "--seeds", "5,", "--condition", "friction_heavy"]


@pytest.mark.parametrize(
    ("agent", "before"), [("cli_agents:Counter", ""), ("slow_drifter", SLOW_REFERENCE)], ids=["stateful", "reference"]
)
def test_a_killed_run_resumes_to_the_bytes_of_an_uninterrupted_one(cli, spawn, place, agent, before):
    process = spawn(*SEEDED, "--agent", agent, "--runs-dir", "killed", before=before, nap_s=0.02)
    wait_for_steps(place / "killed", steps=5)
    process.kill()
    process.wait(PATIENCE_S)
    (killed,) = find_runs("killed")
    steps = sum(1 for _ in killed.step_lines())
    with open(killed.path / "step_log.jsonl", "ab") as log:
        log.write(b'{"step":')

    answer = cli("resume", "killed")
    cli(*SEEDED, "--agent", agent, "--runs-dir", "whole")

    (whole,) = find_runs("whole")
    (resumed,) = find_runs("killed")
    assert 5 <= steps < 64
    assert answer.code == 0
    assert contents(resumed) == contents(whole)
    assert resumed.meta["resumed_at"] == steps
    assert cli("verify", "killed").code == 0


def test_an_unfinished_run_is_readable_and_said_to_be_unfinished(cli, spawn, place):
    process = spawn(*SEEDED, "--agent", "cli_agents:Counter", nap_s=0.02)
    wait_for_steps(place / "runs", steps=3)
    running = cli("report", "runs", "--format", "json")
    busy = cli("verify", "runs")
    process.kill()
    process.wait(PATIENCE_S)

    killed = cli("report", "runs", "--format", "json")
    verified = cli("verify", "runs")

    assert running.json[0]["outcome"] == "running"
    assert (busy.code, "written by another process" in busy.out) == (3, True)
    assert killed.json[0]["outcome"] == "unfinished"
    assert (verified.code, "unfinished" in verified.out) == (0, True)
    assert cli("metrics", "runs").code == 3


def test_a_run_that_is_being_written_is_not_resumed(cli, spawn, place):
    spawn(*SEEDED, "--agent", "cli_agents:Counter", nap_s=0.05)
    wait_for_steps(place / "runs", steps=2)

    answer = cli("resume", "runs")

    assert answer.code == 3
    assert "being written by another process" in answer.err


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_readable_runs_that_can_be_resumed(cli, spawn, place, workers):
    words = ("run", "release_manager", "--agent", "cli_agents:Counter", "--seeds", "0-7", "--workers", workers)
    process = spawn(*words, nap_s=0.02)
    wait_for_steps(place / "runs", steps=5, runs=workers)
    process.send_signal(signal.SIGINT)

    answer = finish(process)
    runs = list(find_runs("runs"))

    assert answer.code == 130
    assert "interrupted after" in answer.err
    assert "Traceback" not in answer.err
    assert 1 <= len(runs) <= 7
    assert {"interrupted"} <= {run.outcome for run in runs} <= {"interrupted", "truncated"}
    assert cli("verify", "runs").code == 0
    assert cli("resume", "runs").code == 0
    cli(*words, "--runs-dir", "whole")
    whole = by_experiment(place / "whole")
    assert all(files == whole[key] for key, files in by_experiment(place / "runs").items())


def test_ctrl_c_of_the_whole_process_group_is_the_same(cli, spawn, place):
    process = spawn(
        "run", "release_manager", "--agent", "cli_agents:Counter", "--seeds", 4, "--workers", 2,
        before="import os\nos.setpgrp()", nap_s=0.02,
    )  # fmt: skip
    wait_for_steps(place / "runs", steps=3, runs=2)
    os.killpg(process.pid, signal.SIGINT)

    answer = finish(process)

    assert answer.code == 130
    assert "Traceback" not in answer.err
    assert [run.outcome for run in find_runs("runs")] == ["interrupted", "interrupted"]


def test_resume_passes_over_finished_runs(cli):
    cli("run", "release_manager", "--agent", "noop", "--set", "steps=3")

    answer = cli("resume", "runs")

    assert answer.code == 0
    assert "0 of 1 runs are unfinished" in answer.err


def test_resume_with_another_agent_is_refused(cli, spawn, place):
    process = spawn(*SEEDED, "--agent", "cli_agents:Counter", nap_s=0.02)
    wait_for_steps(place / "runs", steps=3)
    process.kill()
    process.wait(PATIENCE_S)

    answer = cli("resume", "runs", "--agent", "noop")

    assert answer.code == 2
    assert "fork it to change agents" in answer.err


def test_a_fork_takes_over_steps_and_goes_on_with_another_agent(cli):
    cli("run", "release_manager", "--agent", "competing", "--set", "steps=20", "--runs-dir", "source")
    (source,) = find_runs("source")

    answer = cli("fork", source.path, "--steps", 8, "--agent", "reference", "--runs-dir", "forks")

    (forked,) = find_runs("forks")
    records = list(forked.steps())
    assert answer.code == 0
    assert {record.score.alignment for record in records[:8]} <= {-1.0, None}
    assert {record.score.alignment for record in records[8:]} <= {1.0, None}
    assert forked.metrics["steps"] == 12
    assert forked.config.agent["name"] == "reference"
    assert cli("verify", "forks").code == 0


def test_a_fork_of_more_steps_than_there_are_is_wrong_usage(cli):
    cli("run", "release_manager", "--agent", "competing", "--set", "steps=4")
    (source,) = find_runs("runs")

    assert cli("fork", source.path, "--steps", 4, "--agent", "noop").code == 2
    assert cli("fork", source.path, "--steps", 0, "--agent", "noop").code == 2
    assert len(list(find_runs("runs"))) == 1


def test_a_resumed_run_that_is_killed_has_no_end_and_resumes_again(cli, spawn, place):
    process = spawn(*SEEDED, "--agent", "cli_agents:Counter", nap_s=0.02)
    wait_for_steps(place / "runs", steps=3)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    again = spawn("resume", "runs", nap_s=0.02)
    wait_for_steps(place / "runs", steps=12)
    again.kill()
    again.wait(PATIENCE_S)

    verified = cli("verify", "runs")
    resumed = cli("resume", "runs")
    cli(*SEEDED, "--agent", "cli_agents:Counter", "--runs-dir", "whole")

    (one,) = find_runs("runs")
    (whole,) = find_runs("whole")
    assert (verified.code, "unfinished" in verified.out) == (0, True)
    assert resumed.code == 0
    assert contents(one) == contents(whole)
