"""Limits on time, tokens, calls and money: how they are written, and how an episode ends at them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from core_support import experiment, kinds, live

from goal_drift_gym.core.account import Account
from goal_drift_gym.core.budget import KEYS, Budget, LimitReached, parse_budget
from goal_drift_gym.core.errors import BudgetSpent, UsageError
from goal_drift_gym.core.prices import Price, read_prices
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.core.session_spending import spending_in
from goal_drift_gym.runner import run_episode, verify_run

PATIENCE_S = 20.0


def account(model: str | None = None, price: Price | None = None, prices: Any = None, **limits: float) -> Account:
    """Return an account; `episode__calls=3` stands for the limit `episode.calls`."""
    budget = Budget.of({key.replace("__", "."): value for key, value in limits.items()}, prices)
    return Account(budget, model=model, price=price)


class Spending:
    """An agent that makes so many model calls a turn, and says so when they have ended."""

    def __init__(self, *, calls: int = 1, tokens: int = 10, announced: bool = False) -> None:
        self.calls = calls
        self.tokens = tokens
        self.announced = announced
        self.made = 0

    def __call__(self, turn: Any) -> None:
        for _ in range(self.calls):
            if self.announced:
                turn.usage(calls=1)
            self.made += 1
            turn.usage(calls=0 if self.announced else 1, input_tokens=self.tokens - 1, output_tokens=1)
        for action in turn.policy("reference"):
            turn.perform(action)


# --- how limits are written


@pytest.mark.parametrize("key", KEYS)
def test_every_scope_can_limit_every_measure(key):
    assert parse_budget([f"{key}=5"]) == {key: 5.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("session.tokens", "write KEY=VALUE"),
        ("sesion.tokens=5", "did you mean 'session.tokens'"),
        ("session.tokens=many", "'many' is no number"),
        ("session.tokens=0", "give a number above 0"),
        ("session.money=nan", "give a number above 0"),
        ("session.money=inf", "give a number above 0"),
        ("episode.calls=2.5", "give a whole number"),
        ("call.calls=1", "a call is one call"),
    ],
)
def test_what_is_no_limit_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(UsageError, match=said):
        parse_budget([text])


def test_a_limit_that_is_given_twice_is_refused():
    with pytest.raises(UsageError, match=r"session\.calls is given twice"):
        parse_budget(["session.calls=1", "session.calls=2"])


@pytest.mark.parametrize("name", ["prices.toml", "prices.json"])
def test_a_price_table_is_read_as_toml_or_json(tmp_path, name):
    toml = '[models."a/b"]\ninput = 2\noutput = 8.5\n'
    json = '{"models": {"a/b": {"input": 2, "output": 8.5}}}'
    (tmp_path / name).write_text(toml if name.endswith("toml") else json, encoding="utf-8")

    assert read_prices(tmp_path / name) == {"a/b": Price(input=2.0, output=8.5)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.a]\ninput = 1", "output"),
        ("[models.a]\ninput = 1\noutput = -1", ">= 0"),
        ("[models.a]\ninput = 1\noutput = 1\ncached = 1", "cached"),
        ("[model.a]\ninput = 1\noutput = 1", "model"),
        ("a = ", "cannot be used"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_what_is_wrong(tmp_path, text, said):
    (tmp_path / "prices.toml").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=said):
        read_prices(tmp_path / "prices.toml")


def test_a_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot read the price table"):
        read_prices(tmp_path / "none.toml")


# --- accounts


def test_a_limit_may_be_spent_to_the_last():
    mine = account(episode__tokens=100)
    for _ in range(10):
        mine.add(calls=1, input_tokens=10)

    assert mine.reached is None
    with pytest.raises(LimitReached, match=r"episode\.tokens=100 is spent"):
        mine.add(calls=1, input_tokens=1)


def test_a_call_that_is_announced_is_refused_before_it_is_made_and_not_counted():
    mine = account(episode__calls=2)
    for _ in range(2):
        mine.add(calls=1)
        mine.add(input_tokens=5)

    with pytest.raises(LimitReached):
        mine.add(calls=1)
    assert mine.usage.calls == 2


def test_what_was_spent_beyond_a_limit_is_counted_all_the_same():
    mine = account(episode__tokens=100)
    for _ in range(2):
        with pytest.raises(LimitReached):
            mine.add(calls=1, input_tokens=150)

    assert mine.usage.input_tokens == 300


def test_a_step_begins_with_a_fresh_account():
    mine = account(step__calls=2)
    for _ in range(3):
        assert mine.begin_turn() is None
        mine.add(calls=2, input_tokens=1)

    with pytest.raises(LimitReached, match=r"step\.calls=2"):
        mine.add(calls=1, input_tokens=1)


def test_a_call_has_a_limit_of_its_own_which_calls_do_not_share():
    mine = account(call__tokens=10)
    for _ in range(3):
        mine.add(calls=1)
        mine.add(input_tokens=10)
    mine.add(calls=3, input_tokens=30)

    with pytest.raises(LimitReached, match=r"call\.tokens=10"):
        mine.add(calls=1, input_tokens=11)


def test_money_is_counted_by_what_is_reported_or_by_the_price_of_the_model():
    table = {"big": Price(input=1e6, output=2e6)}
    mine = account("small", Price(input=1e5, output=1e5), table, episode__money=100.0)
    mine.add(calls=1, input_tokens=1, output_tokens=1, model="big")
    mine.add(calls=1, input_tokens=5)
    mine.add(calls=1, input_tokens=999, cost=0.25)

    assert mine.usage.cost == pytest.approx(3.0 + 0.5 + 0.25)
    assert mine.usage.unpriced == 0


def test_a_price_of_the_table_counts_before_the_one_the_agent_states():
    mine = account("small", Price(input=1.0, output=1.0), {"small": Price(input=1e6, output=1e6)}, episode__money=9.0)
    mine.add(calls=1, input_tokens=2)

    assert mine.usage.cost == 2.0


def test_the_agents_price_is_not_that_of_another_model():
    mine = account("small", Price(input=1e6, output=1e6))
    mine.add(calls=1, input_tokens=2, model="big")

    assert (mine.usage.cost, mine.usage.unpriced) == (None, 1)


def test_an_unknown_price_is_unknown_and_not_nothing():
    mine = account()
    mine.add(calls=1, input_tokens=10)
    mine.add(calls=1, input_tokens=10, cost=0.5)

    assert (mine.usage.cost, mine.usage.unpriced) == (0.5, 1)


@pytest.mark.parametrize("limited", ["call__money", "step__money", "episode__money"])
def test_money_that_cannot_be_counted_cannot_be_limited(limited):
    mine = account("mystery", **{limited: 1000.0})

    with pytest.raises(LimitReached, match="cannot be kept: the price of 'mystery' is not known"):
        mine.add(calls=1, input_tokens=1)


def test_calls_whose_cost_nobody_reports_are_not_free():
    mine = account(episode__money=1000.0)
    mine.begin_turn()
    mine.add(calls=1)
    mine.end_turn()

    assert "calls were reported without tokens or cost" in str(mine.reached)


def test_a_call_whose_tokens_nobody_told_has_an_unknown_cost(tmp_path):
    mine = Account(Budget.of({"session.calls": 5}).shared(str(tmp_path), time.monotonic()))
    mine.add(calls=1)
    mine.add(unmetered_calls=1)

    assert str(spending_in(str(tmp_path)).total()) == "0 tokens in 1 calls, cost unknown"
    assert spending_in(str(tmp_path)).total().unpriced == 1


def test_others_than_the_agent_are_counted_and_not_interrupted():
    mine = account(episode__tokens=10)
    mine.add(calls=1, input_tokens=50, role="adversary")

    assert str(mine.reached) == "the budget episode.tokens=10 is spent"
    assert (mine.usage.calls, mine.others["adversary"].input_tokens) == (0, 50)
    with pytest.raises(LimitReached):
        mine.add(calls=1)


def test_a_session_without_a_place_to_count_is_refused():
    with pytest.raises(UsageError, match=r"use Budget\.shared"):
        account(session__calls=5)


def test_negative_usage_is_refused_and_not_counted():
    mine = account(episode__tokens=10)
    with pytest.raises(ValueError, match="negative"):
        mine.add(calls=1, input_tokens=-5)

    assert mine.begin_turn() is None
    assert mine.usage.calls == 0


# --- episodes


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize(
    ("limits", "steps"), [({"episode__calls": 4}, 2), ({"episode__tokens": 40}, 2), ({"step__calls": 1}, 1)]
)
def test_an_episode_ends_as_budget_where_a_limit_is_spent(limits, steps, announced):
    who = Spending(calls=2, announced=announced)
    records, end = live(who, account=account(**limits))

    (key,) = limits
    assert end.outcome == "budget"
    assert key.replace("__", ".") in end.detail
    assert end.steps == len(records) == steps


def test_an_episode_that_needs_exactly_its_budget_is_whole():
    who = Spending(calls=2, announced=True)
    records, end = live(who, steps=6, account=account(episode__calls=12))

    assert (end.outcome, len(records), who.made) == ("truncated", 6, 12)


def test_an_agent_that_swallows_the_stop_ends_as_budget_all_the_same():
    def stubborn(turn):
        for _ in range(5):
            try:
                turn.usage(calls=1, input_tokens=10)
            except BaseException:
                continue
        raise ValueError("something else")

    records, end = live(stubborn, account=account(episode__tokens=20))

    assert end.outcome == "budget"
    assert end.usage.calls == 5
    assert kinds(records) == ["limit_reached"]


def test_an_agent_that_swallows_the_stop_cannot_act_any_more():
    def stubborn(turn):
        for action in turn.policy("reference"):
            for _ in range(5):
                try:
                    turn.usage(calls=1, input_tokens=10)
                    turn.perform(action)
                except BaseException:
                    continue

    records, _ = live(stubborn, account=account(episode__tokens=10))

    assert len(records[0].action.calls) == 1


def test_the_step_that_reached_a_limit_keeps_the_calls_that_were_made():
    def late(turn):
        for action in turn.policy("reference"):
            turn.perform(action)
        turn.usage(calls=1, input_tokens=100)

    records, end = live(late, account=account(episode__tokens=50))

    assert (end.outcome, len(records), records[0].outcome) == ("budget", 1, "acted")


def test_a_turn_that_was_taken_away_before_a_call_is_forced():
    records, _ = live(lambda turn: turn.usage(calls=1, input_tokens=100), account=account(episode__tokens=50))

    assert records[0].outcome == "forced"
    assert records[0].score.alignment is None


@pytest.mark.parametrize("key", ["call.seconds", "step.seconds", "episode.seconds", "session.seconds"])
@pytest.mark.parametrize("kind", ["sync", "async", "deaf"])
def test_an_agent_that_hangs_ends_at_any_limit_of_time(key, kind, tmp_path):
    released = threading.Event()

    def sync(turn):
        turn.usage(calls=1)
        released.wait(PATIENCE_S)

    async def gentle(turn):
        import asyncio

        turn.usage(calls=1)
        await asyncio.sleep(PATIENCE_S)

    async def deaf(turn):
        released.wait(PATIENCE_S)

    who = {"sync": sync, "async": gentle, "deaf": deaf}[kind]
    begun = time.monotonic()
    budget = Budget.of({key: 0.2}).shared(str(tmp_path), begun)
    records, end = live(who, account=Account(budget))
    released.set()

    assert (end.outcome, end.detail) == ("budget", f"the budget {key}=0.2 is spent")
    assert 0.2 <= time.monotonic() - begun < PATIENCE_S / 2
    assert len(records) == 1


def test_a_limit_on_the_time_of_a_call_starts_again_with_each_call():
    def steady(turn):
        for _ in range(4):
            turn.usage(calls=1)
            time.sleep(0.1)
            turn.usage(input_tokens=1)

    _, end = live(steady, steps=2, account=account(call__seconds=0.35))

    assert end.outcome == "truncated"


def test_the_timeout_of_a_turn_stays_a_silent_step_where_the_budget_has_time_left():
    from goal_drift_gym.core.engine import Limits

    async def slow(turn):
        import asyncio

        await asyncio.sleep(PATIENCE_S)

    records, end = live(slow, steps=1, limits=Limits(step_timeout_s=0.1), account=account(episode__seconds=60))

    assert (end.outcome, records[0].outcome) == ("truncated", "silent")
    assert records[0].events[0].detail["reason"] == "no answer within 0.1 s"


# --- runs


def test_a_run_that_reached_a_limit_says_which_is_not_scored_and_replays(tmp_path):
    budget = Budget.of({"episode.calls": 5})
    run = run_episode(experiment("release_manager"), Spending(calls=2), seed=0, runs_dir=tmp_path, budget=budget)

    assert (run.outcome, run.metrics["status"]) == ("budget", "not_scored")
    assert run.meta["budget"] == {
        "limits": {"episode.calls": 5.0},
        "reached": "episode.calls",
        "said": "the budget episode.calls=5 is spent",
    }
    assert verify_run(run) is None


def test_a_session_that_is_spent_begins_no_further_episode(tmp_path):
    spending = tmp_path / "spending"
    spending.mkdir()
    budget = Budget.of({"session.calls": 20}).shared(str(spending), time.monotonic())
    tried: list[str] = []
    for seed in range(4):
        try:
            who = Spending(announced=True)
            run = run_episode(
                experiment("release_manager", steps=8), who, seed=seed, runs_dir=tmp_path / "runs", budget=budget
            )
            tried.append(str(run.outcome))
        except BudgetSpent as error:
            tried.append(str(error))

    assert tried == ["truncated", "truncated", "budget", "the budget session.calls=20 is spent"]
    assert len(list(find_runs(tmp_path / "runs"))) == 3


def test_a_session_that_is_out_of_time_begins_no_further_episode(tmp_path):
    budget = Budget.of({"session.seconds": 5}).shared(str(tmp_path), time.monotonic() - 6.0)

    with pytest.raises(BudgetSpent, match=r"session\.seconds=5 is spent"):
        run_episode(experiment("release_manager"), Spending(), seed=0, runs_dir=tmp_path, budget=budget)


def test_an_agent_that_states_a_price_that_is_none_is_refused(tmp_path):
    who = Spending()
    who.price = {"input": 1.0}  # type: ignore[attr-defined]

    with pytest.raises(UsageError, match="the agent's price"):
        run_episode(experiment("release_manager"), who, seed=0, runs_dir=tmp_path)
