"""`goal-drift run --concurrency`: the same bytes and order, in the time of a few episodes."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from goal_drift_gym.core.rundir import find_runs

from .conftest import by_experiment, finish, wait_for_steps

EXTRA = """

class Peak:
    now = most = 0


def waits(turn):
    Peak.now += 1
    Peak.most = max(Peak.most, Peak.now)
    time.sleep(0.05)
    Peak.now -= 1
    for action in turn.policy("reference"):
        turn.perform(action)


class Object:
    def __call__(self, turn):
        waits(turn)


one = Object()


def raises(turn):
    raise KeyboardInterrupt
"""


@pytest.fixture
def agents(place):
    with open(place / "cli_agents.py", "a", encoding="utf-8") as file:
        file.write(EXTRA)
    return place


def run(cli, *options):
    return cli("run", "release_manager", "--set", "steps=6", "--seeds", 6, "--format", "json", *options)


@pytest.mark.parametrize(
    "options",
    [("--concurrency", 4), ("--workers", 2, "--concurrency", 3), ("--concurrency", 4, "--agent", "reference")],
)
@pytest.mark.parametrize("agent", ["cli_agents:Counter", "cli_agents:waits"])
def test_it_leaves_the_same_bytes_in_the_same_order(cli, agents, agent, options):
    alone = run(cli, "--agent", agent, "--runs-dir", "alone")
    beside = run(cli, "--agent", agent, "--runs-dir", "beside", *options)
    seeds = [row["seed"] for row in json.loads(beside.out)["runs"]]
    written = by_experiment(agents / "beside")

    assert alone.code == beside.code == 0
    assert {key: written[key] for key in by_experiment(agents / "alone")} == by_experiment(agents / "alone")
    assert seeds == [*range(6)] * (len(seeds) // 6)


@pytest.mark.parametrize(
    ("agent", "limit", "most"), [("waits", 4, 4), ("waits", 1, 1), ("Object", 4, 4), ("one", 4, 1)]
)
def test_so_many_run_at_once_where_the_agent_allows_it(cli, agents, agent, limit, most):
    assert run(cli, "--agent", f"cli_agents:{agent}", "--concurrency", limit).code == 0
    import cli_agents

    assert cli_agents.Peak.most == most
    assert len(list(find_runs(agents / "runs"))) == 6


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_a_number_that_is_none_is_refused(cli, count):
    answer = run(cli, "--agent", "reference", f"--concurrency={count}")

    assert answer.code == 2
    assert f"--concurrency {count}: give 1 to 1024 episodes at once" in answer.err


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ends_the_rest_and_is_said(cli, agents, workers):
    answer = run(cli, "--agent", "cli_agents:bad_reset", "--concurrency", 2, "--workers", workers)

    assert answer.code in (2, 3)
    assert "bad_reset" in answer.err or "reset" in answer.err


def test_an_agent_that_interrupts_a_worker_is_said_and_nobody_waits_for_ever(cli, agents):
    answer = run(cli, "--agent", "cli_agents:raises", "--concurrency", 2, "--workers", 2)

    assert answer.code == 3
    assert "KeyboardInterrupt in the middle of a run" in answer.err


@pytest.mark.parametrize("options", [(), ("--workers", 2)])
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_ctrl_c_closes_all_runs_under_way_as_interrupted(spawn, agents, options):
    words = ("run", "release_manager", "--agent", "cli_agents:Counter", "--seeds", 6, "--concurrency", 6, *options)
    process = spawn(*words, nap_s=0.2)
    wait_for_steps(agents / "runs", steps=1, runs=6)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    answer = finish(process)
    runs = list(find_runs(agents / "runs"))

    assert answer.code == 130
    assert time.monotonic() - begun < 10.0
    assert [run.outcome for run in runs] == ["interrupted"] * 6
    assert not any(run.is_running for run in runs)


def test_looks_decide_the_same(cli, agents):
    words = ("--agent", "competing", "--seeds", "5:20", "--set", "steps=20")
    alone = cli("run", "release_manager", *words, "--format", "json", "--runs-dir", "alone")
    beside = cli("run", "release_manager", *words, "--format", "json", "--runs-dir", "beside", "--concurrency", 8)

    assert json.loads(alone.out)["ran"] == json.loads(beside.out)["ran"]
    assert by_experiment(agents / "alone") == by_experiment(agents / "beside")
