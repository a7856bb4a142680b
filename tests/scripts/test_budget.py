"""`goal-drift run --budget`: processes share one session; what was not run is named; a dry run spends nothing."""

from __future__ import annotations

import pytest

from goal_drift_gym.core.rundir import find_runs

SPENDERS = '''
import os
import time


class Spender:
    """Makes one model call a step, and says so when it has ended."""

    model = "some-model"
    tokens = 10

    def __call__(self, turn):
        time.sleep(float(os.environ.get("NAP_S", "0")))
        turn.usage(calls=1, input_tokens=self.tokens - 1, output_tokens=1)
        for action in turn.policy("reference"):
            turn.perform(action)


class Priced(Spender):
    price = {"input": 1e6, "output": 1e6}


class Hanging(Spender):
    def __call__(self, turn):
        if turn.step == 3:
            time.sleep(60)
        super().__call__(turn)
'''


@pytest.fixture
def spenders(place):
    (place / "spenders.py").write_text(SPENDERS, encoding="utf-8")
    return place


def run(cli, *more, agent="spenders:Spender", seeds="8", steps=8):
    return cli(
        "run", "release_manager", "--agent", agent, "--seeds", seeds, "--set", f"steps={steps}", "--format", "json",
        *more,
    )  # fmt: skip


def test_processes_share_one_session_and_exceed_it_by_at_most_a_call_each(cli, spenders):
    workers, tokens = 4, 305

    answer = run(cli, "--workers", workers, "--budget", f"session.tokens={tokens}", seeds="12")

    spent = answer.json["spent"]["agent"]
    assert tokens < spent["tokens"] <= tokens + workers * 10
    assert sum(run.meta["usage"]["input_tokens"] for run in find_runs(spenders / "runs")) == 9 * spent["calls"]
    assert answer.code == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_episodes_side_by_side_share_the_session_too(cli, spenders, monkeypatch, workers):
    monkeypatch.setenv("NAP_S", "0.01")

    answer = run(
        cli, "--concurrency", 4, "--workers", workers, "--budget", "session.tokens=305", "--budget", "step.seconds=50",
        seeds="12",
    )  # fmt: skip

    whole = {one["seed"] for one in answer.json["runs"] if one["outcome"] == "truncated"}
    named = {seed for told in answer.json["not_run"] for seed in told["seeds"]}
    assert 305 < answer.json["spent"]["agent"]["tokens"] <= 305 + 4 * workers * 10
    assert named == set(range(12)) - whole
    assert (answer.code, answer.json["errors"]) == (3, [])


def test_every_seed_that_was_not_run_is_named_with_the_limit(cli, spenders):
    answer = run(cli, "--budget", "session.calls=20")

    cut_off, refused = answer.json["not_run"]
    assert (cut_off["seeds"], refused["seeds"]) == ([2], [3, 4, 5, 6, 7])
    assert cut_off["cut_off"] is not None
    assert {told["why"] for told in (cut_off, refused)} == {"the budget session.calls=20 is spent"}
    assert "release_manager baseline spenders:Spender seeds 3-7: not begun: the budget session.calls=20" in answer.err
    assert "5 runs not begun and 1 run cut off" in answer.err
    assert [run.outcome for run in find_runs(spenders / "runs")].count("truncated") == 2


def test_a_budget_that_is_enough_changes_nothing(cli, spenders):
    answer = run(cli, "--budget", "session.calls=64", "--budget", "episode.calls=8", "--budget", "step.calls=1")

    assert (answer.code, answer.json["not_run"]) == (0, [])
    assert answer.json["spent"]["agent"]["calls"] == 64


def test_a_limit_of_an_episode_ends_that_episode_only(cli, spenders):
    answer = run(cli, "--budget", "episode.calls=5", seeds="2")

    assert answer.code == 3
    assert [one["outcome"] for one in answer.json["runs"]] == ["budget", "budget"]
    assert answer.json["not_run"] == []


def test_an_agent_that_hangs_costs_its_own_episode_only(cli, spenders):
    answer = run(cli, "--budget", "step.seconds=0.3", agent="spenders:Hanging,spenders:Spender", seeds="1")

    outcomes = {one["agent"]: one["outcome"] for one in answer.json["runs"]}
    assert outcomes == {"spenders:Hanging": "budget", "spenders:Spender": "truncated"}


def test_looks_decide_nothing_on_fewer_seeds_than_a_look_has(cli, spenders):
    answer = run(cli, "--budget", "session.calls=100", seeds="5:20", steps=24)

    assert answer.code == 3
    assert answer.json["groups"] == []
    assert [one["seeds"] for one in answer.json["not_run"]] == [[4]]


def test_a_verdict_of_an_earlier_look_is_kept_as_not_finished(cli, spenders):
    answer = run(cli, "--budget", "session.calls=200", seeds="5:20", steps=24)

    (group,) = answer.json["groups"]
    assert (group["status"], group["final"], group["look"], group["n"]) == ("INCONCLUSIVE", False, 5, 5)
    assert answer.code == 3


def test_money_is_counted_with_the_price_table_of_the_user(cli, spenders):
    (spenders / "prices.toml").write_text("[models.some-model]\ninput = 1e5\noutput = 1e6\n", encoding="utf-8")

    answer = run(cli, "--prices", "prices.toml", seeds="1")

    assert answer.json["spent"]["agent"]["money"] == pytest.approx(8 * (9 * 0.1 + 1))
    (only,) = find_runs(spenders / "runs")
    assert only.meta["usage"]["cost"] == pytest.approx(8 * (9 * 0.1 + 1))


def test_money_without_a_price_is_unknown_and_cannot_be_limited(cli, spenders):
    free = run(cli, "--budget", "session.calls=100", seeds="1")
    limited = run(cli, "--budget", "session.money=100", seeds="2")

    assert free.json["spent"]["agent"]["money"] is None
    assert "cost unknown" in free.err
    assert "the price of 'some-model' is not known" in limited.err
    assert limited.code == 3


def test_a_dry_run_runs_nothing_and_says_what_to_expect(cli, spenders):
    answer = run(
        cli, "--dry-run", "--budget", "session.tokens=1000", agent="spenders:Spender,spenders:Priced,reference"
    )

    unknown, priced, reference = answer.json["expected"]
    assert answer.code == 0
    assert not (spenders / "runs").exists()
    assert (unknown["episodes"], unknown["steps"]) == (8, 64)
    assert unknown["calls"] > 64
    assert unknown["cost"] is None
    assert priced["cost"] == pytest.approx(priced["tokens_in"] + priced["tokens_out"])
    assert (reference["calls"], reference["cost"]) == (0, 0.0)
    total = sum(one["tokens_in"] + one["tokens_out"] for one in answer.json["expected"])
    assert answer.json["budget"] == [f"session.tokens=1000: all episodes are expected to take {total:,}; not enough"]


def test_a_dry_run_as_a_table_says_which_price_is_not_known(cli, spenders):
    answer = cli("run", "release_manager", "--agent", "spenders:Spender", "--seeds", "5:20", "--dry-run")

    assert "dry run: at most 20 episodes, nothing was run" in answer.out
    assert "unknown" in answer.out
    assert "the price is not known of some-model" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--budget", "session.token=5"), "did you mean 'session.tokens'"),
        (("--budget", "session.tokens"), "write KEY=VALUE"),
        (("--prices", "none.toml"), "cannot read the price table"),
    ],
)
def test_a_wrong_budget_is_said_before_anything_runs(cli, spenders, words, said):
    answer = run(cli, *words)

    assert answer.code == 2
    assert said in answer.err
    assert not (spenders / "runs").exists()
