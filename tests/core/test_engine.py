"""Episodes: every step outcome, every run outcome, and agents and scenarios that misbehave."""

from __future__ import annotations

import asyncio
import enum
import functools
import signal
import threading
import time
from typing import Any

import pytest
from core_support import agent, kinds, lines, live
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scenario import Toy

from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.engine import Episode, Limits, check_seed
from goal_drift_gym.core.errors import (
    AgentFormatError,
    AgentOutOfBudget,
    AgentRateLimited,
    AgentRefused,
    AgentSilent,
    AgentTimeout,
    AgentUnavailable,
    EpisodeOver,
    ScenarioError,
    UsageError,
)
from goal_drift_gym.core.records import Action, StepScore
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.tools import tool
from goal_drift_gym.core.turn import Usage


class Skipped(BaseException):
    """As `pytest.skip` raises it: no Exception."""


def outcome_of(who: Any, **options: Any) -> str:
    return live(who, steps=1, **options)[0][0].outcome


# step outcomes


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "declined"),
        ([], "declined"),
        ("wait", "declined"),
        (["wait", "look"], "acted"),
        ("look", "acted"),
        (("take", {"amount": 2}), "acted"),
        ([("look", {}), {"tool": "take"}], "acted"),
        (Action("look"), "acted"),
        ({"tool": "mark", "args": {"how": "red"}}, "acted"),
        ("no_such_tool", "invalid"),
        (42, "invalid"),
        ({"tool": "look", "because": "x"}, "invalid"),
        ([1], "invalid"),
        ({"name": "look"}, "invalid"),
        (("take", {"amount": 9}), "invalid"),
        ([("no", {}), "wait"], "declined"),
        (object(), "invalid"),
    ],
)
def test_the_short_form_gives_the_step_outcome(answer, outcome):
    assert outcome_of(lambda turn: answer) == outcome


def test_refused_and_failed_calls_are_acts():
    assert outcome_of(lambda turn: turn.call("mark", how="red", note="refuse") and None) == "acted"
    failing = {"friction": {"tools": {"look": {"error_rate": 0.999}}}}
    records, _ = live(lambda turn: "look", failing, steps=1)
    assert (records[0].action.calls[0].status, records[0].outcome) == ("failed", "acted")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (AgentSilent("nothing"), "silent"),
        (AgentFormatError("cut off"), "format"),
        (AgentRefused("filtered"), "refused"),
        (AgentTimeout("late"), "timeout"),
    ],
)
def test_an_agent_without_an_answer_is_silent_and_is_not_scored(error, cause):
    def who(turn):
        raise error

    records, end = live(who, steps=2)
    assert [(record.outcome, record.score.alignment) for record in records] == [("silent", None)] * 2
    assert kinds(records) == ["agent_silent"] * 2
    assert records[0].events[0].detail == {"reason": str(error), "cause": cause}
    assert end.outcome == "truncated"


def test_silence_after_a_call_is_an_act():
    def who(turn):
        turn.call("look")
        raise AgentSilent("cut off")

    assert outcome_of(who) == "acted"


@pytest.mark.parametrize(
    ("error", "outcome", "kind"),
    [
        (RuntimeError("broken"), "agent_error", "agent_error"),
        (SystemExit(3), "agent_error", "agent_error"),
        (AgentUnavailable("503 for ever"), "infra_error", "agent_unavailable"),
        (AgentRateLimited("no room for an hour"), "infra_error", "agent_unavailable"),
        (RecursionError("deep"), "agent_error", "agent_error"),
    ],
)
def test_an_agent_that_fails_ends_the_run_with_an_error_step(error, outcome, kind):
    def who(turn):
        if turn.step == 1:
            raise error
        turn.call("look")

    records, end = live(who)
    assert [record.outcome for record in records] == ["acted", "error"]
    assert (end.outcome, end.steps) == (outcome, 2)
    assert kinds(records) == [kind]
    assert str(error) in end.detail
    assert records[1].score.alignment is None


def test_an_agent_without_money_ends_the_run_as_budget_and_is_not_scored():
    def who(turn):
        if turn.step == 1:
            raise AgentOutOfBudget("the account is empty")
        turn.call("look")

    records, end = live(who)

    assert [record.outcome for record in records] == ["acted", "forced"]
    assert records[1].score.alignment is None
    assert (end.outcome, end.detail) == ("budget", "the account is empty")


def test_a_turn_knows_how_long_it_may_still_last_and_when_it_is_over():
    left, turns = [], []

    def who(turn):
        left.append(turn.seconds_left)
        turns.append((turn, turn.is_over))

    live(who, steps=1, limits=Limits(step_timeout_s=30.0))
    live(who, steps=1)

    assert 25.0 < left[0] <= 30.0
    assert left[1] is None
    assert [(before, turn.is_over) for turn, before in turns] == [(False, True)] * 2


def test_what_served_the_answers_is_counted_and_bounded():
    usage = Usage()
    for number in range(20):
        usage.add(calls=1, served_by=f"model-{number}" + "x" * 500)
    usage.add(unmetered_calls=1, cached_tokens=3, reasoning_tokens=2, cache_write_tokens=1)

    assert len(usage.served_by) == 17
    assert usage.served_by["(others)"] == 4
    assert max(len(name) for name in usage.served_by) == 120
    assert (usage.unmetered_calls, usage.cached_tokens, usage.reasoning_tokens, usage.cache_write_tokens) == (
        1, 3, 2, 1,
    )  # fmt: skip


def test_real_recursion_in_an_agent_is_the_agents_error():
    def who(turn):
        return who(turn)

    assert live(who)[1].outcome == "agent_error"


def test_an_error_that_cannot_be_printed_is_still_recorded():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError

    def who(turn):
        raise Unprintable

    assert live(who)[1].detail == "Unprintable: (its message could not be read)"


def test_addresses_in_errors_are_hidden_so_that_logs_do_not_vary():
    def who(turn):
        raise ValueError(f"bad {object()!r}")

    assert live(who)[1].detail == "ValueError: bad <object object at 0x...>"


@pytest.mark.parametrize(
    ("error", "limit"), [(Skipped("skip"), None), (KeyboardInterrupt(), None), (KeyboardInterrupt(), 30.0)]
)
def test_what_a_signal_may_have_raised_passes_through_after_the_finished_steps(error, limit):
    def who(turn):
        if turn.step == 2:
            raise error
        return "look"

    records = []
    with pytest.raises(type(error)):
        live(who, sink=records.append, limits=Limits(step_timeout_s=limit))
    assert [record.step for record in records] == [0, 1]


# hanging and async agents


def test_a_sync_agent_that_hangs_is_left_behind_as_an_agent_error():
    def who(turn):
        if turn.step == 1:
            time.sleep(5)
        turn.call("look")

    records, end = live(who, limits=Limits(step_timeout_s=0.05))
    assert [record.outcome for record in records] == ["acted", "silent"]
    assert (end.outcome, end.detail) == ("agent_error", "no answer within 0.05 s")


def test_a_thread_that_comes_back_late_can_do_nothing_any_more_and_ends():
    back, done = threading.Event(), []

    def who(turn):
        threading.current_thread().name = "left behind"
        back.wait(5)
        for act in (lambda: turn.call("take"), lambda: turn.note("late"), lambda: turn.policy("reference")):
            with pytest.raises(EpisodeOver):
                act()
            done.append(1)

    records, _ = live(who, limits=Limits(step_timeout_s=0.05))
    back.set()
    for _ in range(100):
        if not any(thread.name == "left behind" for thread in threading.enumerate()):
            break
        time.sleep(0.02)
    assert len(done) == 3
    assert not any(thread.name == "left behind" for thread in threading.enumerate())
    assert (records[0].action.calls, records[0].action.notes) == ([], [])


def test_an_async_agent_that_is_late_is_cancelled_and_asked_again():
    cancelled = []

    async def who(turn):
        if turn.step == 1:
            try:
                await asyncio.sleep(5)
            finally:
                cancelled.append(turn.step)
        turn.call("look")

    records, end = live(who, steps=3, limits=Limits(step_timeout_s=0.1))
    assert [record.outcome for record in records] == ["acted", "silent", "acted"]
    assert (cancelled, end.outcome) == ([1], "truncated")


def test_an_async_agent_that_blocks_its_loop_is_given_up(monkeypatch):
    monkeypatch.setattr("goal_drift_gym.core.cohort._GRACE_S", 0.05)

    async def who(turn):
        time.sleep(0.5)

    records, end = live(who, limits=Limits(step_timeout_s=0.05))
    assert [record.outcome for record in records] == ["silent"]
    assert end.outcome == "agent_error"


@pytest.mark.parametrize("limit", [None, 5.0])
def test_an_async_agent_lives_on_one_loop_for_the_whole_episode(limit):
    loops = set()

    async def who(turn):
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return "look"

    records, end = live(who, limits=Limits(step_timeout_s=limit))
    assert [record.score.alignment for record in records] == [1.0] * 6
    assert (len(loops), end.outcome) == (1, "truncated")


@pytest.mark.parametrize("kind", ["function", "object", "method"])
def test_a_coroutine_function_is_called_without_a_second_thread(kind):
    threads = set()

    async def function(turn):
        threads.update(thread.name for thread in threading.enumerate())

    class Who:
        async def __call__(self, turn):
            await function(turn)

    agent = {"function": function, "object": Who(), "method": Who().__call__}[kind]
    left = {thread.name for thread in threading.enumerate()}
    live(agent, steps=1, limits=Limits(step_timeout_s=30.0))

    assert "goal-drift-async-agent" in threads
    assert "goal-drift-agent" not in threads - left


def test_a_function_that_blocks_before_it_returns_a_coroutine_has_its_deadline():
    freed = threading.Event()

    async def answer():
        raise AssertionError("nobody waits for it any more")

    def who(turn):
        freed.wait(30)
        return None if freed.is_set() else answer()

    try:
        records, end = live(who, steps=1, limits=Limits(step_timeout_s=0.1))
    finally:
        freed.set()
    assert ([record.outcome for record in records], end.outcome) == (["silent"], "agent_error")


def test_an_async_callable_object_works_inside_a_running_loop():
    class Who:
        async def __call__(self, turn):
            await asyncio.sleep(0)
            turn.call("look")

    async def test() -> Any:
        return live(Who())

    assert asyncio.run(test())[1].outcome == "truncated"


@pytest.mark.parametrize("limit", [None, 5.0])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SystemExit(1), "agent_error"),
        (ValueError("x"), "agent_error"),
        (TimeoutError("own"), "agent_error"),
        (AgentUnavailable("gone"), "infra_error"),
        (AgentSilent("mute"), "truncated"),
        (asyncio.CancelledError(), "agent_error"),
    ],
)
def test_what_an_async_agent_raises_is_told_apart(error, outcome, limit):
    async def who(turn):
        await asyncio.sleep(0)
        raise error

    assert live(who, steps=1, limits=Limits(step_timeout_s=limit))[1].outcome == outcome


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [Skipped("skip"), GeneratorExit(), asyncio.CancelledError()])
def test_an_agent_in_a_thread_of_its_own_cannot_skip_or_interrupt(error, kind):
    def sync(turn):
        raise error

    async def asynchronous(turn):
        raise error

    end = live(sync if kind == "sync" else asynchronous, limits=Limits(step_timeout_s=30.0))[1]
    assert (end.outcome, end.steps) == ("agent_error", 1)


def test_a_signal_while_an_agent_is_waited_for_is_not_the_agents(monkeypatch):
    def stop(number, frame):
        raise Skipped("out of time")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Skipped):
            live(lambda turn: time.sleep(20.0), limits=Limits(step_timeout_s=30.0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("part", ["advance", "panels", "look", "score", "done"])
def test_a_scenario_that_exits_has_failed_and_the_agent_is_not_blamed(part):
    class Exits(Toy):
        @tool(check=True)
        def look(self) -> dict[str, Any]:
            """Look."""
            if part == "look":
                raise SystemExit(0)
            return {}

    def leave(self, *args):
        raise SystemExit(0)

    if part != "look":
        setattr(Exits, part, leave)
    assert live(lambda turn: turn.call("look"), scenario=Exits)[1].outcome == "infra_error"


def test_the_end_of_an_async_agent_is_awaited_on_its_loop():
    class Who:
        def __init__(self):
            self.loops = []

        async def __call__(self, turn):
            self.loops.append(asyncio.get_running_loop())

        async def end_episode(self):
            self.loops.append(asyncio.get_running_loop())

    who = Who()
    live(who, steps=1)
    assert len(who.loops) == 2
    assert who.loops[0] is who.loops[1]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0)])
def test_an_agent_that_fails_after_the_end_changes_nothing(error):
    class Who:
        def __call__(self, turn):
            return "look"

        def end_episode(self):
            raise error

    assert live(Who(), steps=1)[1].outcome == "truncated"


def test_tasks_an_async_agent_leaves_are_cancelled_at_the_end():
    gone = threading.Event()

    async def linger():
        try:
            await asyncio.sleep(30)
        finally:
            gone.set()

    tasks = []

    async def who(turn):
        tasks.append(asyncio.ensure_future(linger()))
        await asyncio.sleep(0)

    live(who, steps=1)
    assert gone.wait(5)


def test_async_agents_end_their_turn_when_it_is_over():
    async def who(turn):
        for _ in range(10):
            turn.call("look")

    records, _ = live(who, steps=1, limits=Limits(calls_per_turn=3))
    assert len(records[0].action.calls) == 3


# the turn


def test_a_turn_used_after_it_ended_raises_episode_over():
    kept = []
    live(lambda turn: kept.append(turn), steps=1)
    turn = kept[0]
    for act in (
        lambda: turn.call("look"),
        lambda: turn.submit("look", {}),
        lambda: turn.perform(Action("look")),
        lambda: turn.note("x"),
        lambda: turn.policy("competing"),
    ):
        with pytest.raises(EpisodeOver):
            act()


def test_episode_over_is_no_exception():
    assert not issubclass(EpisodeOver, Exception)


def test_a_turn_ends_at_the_call_limit():
    def who(turn):
        while True:
            turn.call("look")

    records, end = live(who, steps=2, limits=Limits(calls_per_turn=5))
    assert [len(record.action.calls) for record in records] == [5, 5]
    assert kinds(records) == ["call_limit", "call_limit"]
    assert (end.outcome, records[0].outcome) == ("truncated", "acted")


def test_a_long_short_form_ends_at_the_call_limit_too():
    records, _ = live(lambda turn: ["look"] * 500, steps=1)
    assert len(records[0].action.calls) == 64


@pytest.mark.parametrize(
    "value",
    [
        {"calls_per_turn": 0},
        {"calls_per_turn": True},
        {"step_timeout_s": 0.0},
        {"step_timeout_s": float("nan")},
        {"step_timeout_s": -1.0},
    ],
)
def test_limits_that_make_no_sense_are_refused(value):
    with pytest.raises(UsageError, match=next(iter(value))):
        Limits(**value)


def test_a_turn_says_what_it_is():
    seen = []

    def who(turn):
        seen.append((turn.step, turn.horizon, turn.goal, [tool.name for tool in turn.tools]))

    live(who, steps=2)
    assert [entry[:2] for entry in seen] == [(0, 2), (1, 2)]
    assert "Always look first." in seen[0][2]
    assert seen[0][3] == ["look", "take", "mark", "wait"]


def test_results_can_be_read_like_their_value():
    seen = []

    def who(turn):
        result = turn.call("take", amount=3)
        seen.append((result.ok, result["taken"], result.status))

    live(who, steps=1)
    assert seen == [(True, 3, "ok")]


def test_usage_is_added_up_and_never_scored():
    def who(turn):
        turn.usage(input_tokens=10, output_tokens=2, calls=1, retries=1, cost=0.5)
        turn.usage(input_tokens=1)

    usage = live(who, steps=2)[1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.calls, usage.retries, usage.cost) == (22, 4, 2, 2, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"cost": float("nan")}, {"cost": -1.0}, {"input_tokens": -5}, {"calls": float("inf")}]
)
def test_usage_that_cannot_be_is_the_agents_error(wrong):
    assert live(lambda turn: turn.usage(**wrong), steps=1)[1].outcome == "agent_error"


def test_usage_takes_numbers_of_numpy():
    numpy = pytest.importorskip("numpy")
    usage = live(lambda turn: turn.usage(input_tokens=numpy.int64(3), cost=numpy.float64(0.5)), steps=1)[1].usage
    assert (type(usage.input_tokens), type(usage.cost)) == (int, float)


def test_notes_are_kept_beside_the_calls_and_cut():
    def who(turn):
        for index in range(100):
            turn.note(f"{index}" if index else "x" * 10_000)
        turn.note(object())

    notes = live(who, steps=1)[0][0].action.notes
    assert (len(notes), len(notes[0]), notes[0][-9:], notes[1]) == (64, 4096, "... [cut]", "1")


def test_a_note_that_is_no_text_is_described():
    notes = live(lambda turn: turn.note(object()), steps=1)[0][0].action.notes  # type: ignore[arg-type]
    assert notes == ["<object>"]


# what an agent holds is its own


def test_an_agent_that_changes_its_observation_changes_neither_record_nor_world():
    def vandal(turn):
        turn.observation.panels["boxes"]["rows"].clear()
        turn.observation.panels["gauge"] = "mine"
        turn.observation.messages.clear()
        result = turn.call("look")
        result.value["value"] = 99.0

    def tame(turn):
        turn.call("look")

    pressure = {"pressure": [{"schedule": {"every": 1}}]}
    assert lines(live(vandal, pressure)[0]) == lines(live(tame, pressure)[0])


def test_an_agent_that_changes_its_history_changes_no_record():
    def vandal(turn):
        for past in turn.history:
            past.observation.panels.clear()
            if not past.calls:
                continue  # this view was ravaged in an earlier turn
            past.calls[0].args.clear()
            past.calls[0].status = "failed"
            past.calls.clear()
            past.notes.clear()
        turn.note("n")
        turn.call("look", box="box0")

    records, _ = live(
        vandal,
        {
            "pressure": [{"schedule": {"trigger": "tool_failure"}}],
            "friction": {"tools": {"take": {"error_rate": 0.5}}},
        },
    )
    assert all(record.action.calls[0].args == {"box": "box0"} and record.action.notes == ["n"] for record in records)
    assert not any(record.adversaries for record in records)


def test_history_does_not_tell_the_weights():
    seen = []

    def who(turn):
        seen.extend(call.weight for past in turn.history for call in past.calls)
        turn.call("look")

    records, _ = live(who)
    assert records[0].action.calls[0].weight == 0.4
    assert seen
    assert set(seen) == {None}


def test_a_scenario_that_returns_its_live_state_keeps_it():
    class Open(Toy):
        def reset(self, streams):
            super().reset(streams)
            self._list = [1]

        def panels(self):
            return {"list": {"items": self._list}}

        @tool()
        def show(self) -> list[int]:
            """Show the list."""
            self._list.append(len(self._list) + 1)
            return self._list

    def who(turn):
        turn.observation.panels["list"]["items"].append("agent")
        turn.call("show").value.append("agent")
        turn.call("show")

    records, _ = live(who, scenario=Open, steps=2)
    assert [record.observation.panels["list"]["items"] for record in records] == [[1], [1, 2, 3]]
    assert [call.result for call in records[0].action.calls] == [[1, 2], [1, 2, 3]]


# arguments of any kind


class Colour(enum.StrEnum):
    RED = "red"


class Nasty(dict):
    def items(self):
        raise RuntimeError("no items")


DEEP: Any = {}
for _ in range(100_000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["not", "an", "object"], "must be an object, got list"),
        ("text", "must be an object, got str"),
        ({"box": "x" * 2_000_000}, "more than 16384 characters"),
        ({"box": float("nan")}, "nan is not a JSON number"),
        ({"box": float("-inf")}, "-inf is not a JSON number"),
        ({"box": 2**200}, "64 bits"),
        (DEEP, "nested deeper"),
        ({"box": [0] * 1000}, "more than 512 items"),
        ({str(i): 0 for i in range(1000)}, "more than 512 keys"),
        ({1: "x"}, "keys must be strings, got int"),
        ({"box": object()}, "object is no JSON type"),
        ({"box": {1, 2}}, "set is no JSON type"),
        ({"box": b"x"}, "bytes is no JSON type"),
        (Nasty(box="x"), "could not be read: RuntimeError"),
        ({"no_such": 1}, "unknown field `no_such`"),
        ({"box": 5}, "Expected `str`, got `int`"),
        ({"box": None}, "Expected `str`"),
    ],
)
def test_arguments_that_do_not_fit_are_invalid_and_change_nothing(args, why):
    seen = []
    records, _ = live(lambda turn: seen.append(turn.submit("look", args)), steps=1)
    assert (seen[0].status, records[0].outcome) == ("invalid", "invalid")
    assert why in seen[0].value
    assert records[0].state["looks"] == 0
    assert len(lines(records)[0]) < 40_000


@pytest.mark.parametrize("name", [5, None, ["look"], {"a": 1}, b"look", "", "lo\ud800ok", "x" * 100_000, object(), 1.5])
def test_tool_names_of_any_kind_are_invalid_calls(name):
    seen = []
    records, _ = live(lambda turn: seen.append(turn.submit(name, {})), steps=1)
    assert seen[0].status == "invalid"
    assert "there is no tool" in seen[0].value
    assert len(records[0].action.calls[0].tool) <= 128


def test_an_unknown_tool_is_told_the_nearest():
    seen = []
    live(lambda turn: seen.append(turn.call("lok")), steps=1)
    assert "did you mean 'look'?" in seen[0].value


def test_lone_surrogates_are_written_as_escapes():
    records, _ = live(lambda turn: turn.call("look", box="a\ud800b") and None, steps=1)
    assert records[0].action.calls[0].args == {"box": "a\\ud800b"}


def test_missing_arguments_are_none():
    records, _ = live(lambda turn: turn.submit("look", None) and None, steps=1)
    assert (records[0].action.calls[0].args, records[0].outcome) == ({}, "acted")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(alphabet='\ud800\udfff\x00"\\é'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(tool=JSON, args=JSON, note=JSON)
@settings(max_examples=80, deadline=None)
def test_whatever_an_agent_submits_is_written_and_replays(tool, args, note):
    def who(turn):
        turn.submit(tool, args)
        turn.submit("mark", {"how": "red", "note": args})
        turn.note(note)

    def again(turn):
        record = records[turn.step]
        for call in record.action.calls:
            turn.perform(Action(call.tool, call.args))
        for text in record.action.notes:
            turn.note(text)

    records, end = live(who, steps=1)
    assert end.outcome == "truncated"
    assert lines(live(again, steps=1)[0]) == lines(records)


def test_arguments_that_grow_when_cleaned_replay_as_the_same_call():
    args = {"how": "\ud800" * 8000, "note": "\ud800" * 8000}
    records, _ = live(lambda turn: turn.submit("mark", args) and None, steps=1)
    call = records[0].action.calls[0]
    assert lines(live(lambda turn: turn.perform(Action(call.tool, call.args)) and None, steps=1)[0]) == lines(records)


# run outcomes


@pytest.mark.parametrize("how", ["completed", "terminated"])
def test_the_scenario_can_end_the_run(how):
    class Ending(Toy):
        def done(self):
            return how if self._step == 2 else None

    records, end = live("reference", scenario=Ending)
    assert (end.outcome, end.steps, len(records)) == (how, 3, 3)


def test_the_horizon_truncates():
    assert live("reference", steps=4)[1].outcome == "truncated"


def test_the_token_budget_ends_the_run():
    records, end = live("reference", {"friction": {"token_budget": 100}})
    assert end.outcome == "budget"
    assert len(records) < 6
    assert kinds(records)[-1] == "token_budget"


# scenarios that break their contract


def broken(method: str, *, when: int = 2, returning: Any = None) -> type[Toy]:
    """Return a Toy whose `method` raises, or returns something else, from step `when` on."""

    def method_that_breaks(self, *args, **kwargs):
        if getattr(self, "_step", 0) >= when - (method == "advance"):
            if returning is not None:
                return returning
            raise RuntimeError(f"{method} broke")
        return getattr(super(made, self), method)(*args, **kwargs)

    original = getattr(Toy, method)
    wrapped = functools.wraps(original)(method_that_breaks)
    made = type("Broken", (Toy,), {method: wrapped})
    return made


@pytest.mark.parametrize(
    "method", ["advance", "panels", "look", "weight", "score", "reference_action", "outcomes", "snapshot", "done"]
)
@pytest.mark.parametrize("extra", [{}, {"scoreboard": {"target_per_step": 1.0}}], ids=["plain", "scoreboard"])
def test_a_scenario_that_raises_ends_the_run_as_infra_error_saying_where(method, extra):
    records, end = live("reference", extra, scenario=broken(method))
    finished = 3 if method == "done" else 2
    assert (end.outcome, end.steps, len(records)) == ("infra_error", finished, finished)
    assert "scenario 'toy', step 2" in end.detail
    assert f"{method} broke" in end.detail
    assert lines(records)


def test_a_scenario_that_raises_in_reset_cannot_start():
    with pytest.raises(ScenarioError, match="scenario 'toy', reset: RuntimeError: reset broke"):
        live("reference", scenario=broken("reset", when=0))


def test_a_shock_that_raises_is_the_scenarios_fault():
    _, end = live("reference", {"shocks": {"schedule": {"at": [2]}}}, scenario=broken("shock"))
    assert (end.outcome, "shock broke" in end.detail) == ("infra_error", True)


def test_a_policy_that_raises_when_an_agent_asks_is_not_the_agents_fault():
    def who(turn):
        try:
            turn.policy("competing")
        except Exception:
            turn.note("swallowed")

    _, end = live(who, scenario=broken("competing_action", when=0))
    assert (end.outcome, "competing_action broke" in end.detail) == ("infra_error", True)


NAN = float("nan")


@pytest.mark.parametrize(
    ("method", "returning"),
    [
        ("score", StepScore(NAN)),
        ("score", StepScore(1.5)),
        ("score", StepScore(-1.0001)),
        ("score", 0.5),
        ("score", StepScore(1.0, NAN)),
        ("score", StepScore(1.0, 0.0, -0.1)),
        ("score", StepScore("good")),
        ("score", StepScore(1.0, chances=2, missed=3)),
        ("score", StepScore(1.0, chances=2, missed=-1)),
        ("weight", NAN),
        ("weight", 2.0),
        ("panels", {"gauge": {"value": NAN}}),
        ("panels", [1]),
        ("panels", {"a": object()}),
        ("panels", {"a": "\ud800"}),
        ("panels", {"a": 2**80}),
        ("advance", {"value": float("inf")}),
        ("advance", [1]),
        ("snapshot", {"x": NAN}),
        ("snapshot", [1]),
        ("snapshot", {"x": {1: object()}}),
        ("outcomes", {"taken": NAN}),
        ("outcomes", {"taken": "many"}),
        ("outcomes", 5),
        ("look", NAN),
        ("look", object()),
        ("look", "\ud800"),
        ("reference_action", ["look"]),
        ("reference_action", "look"),
        ("done", "finished"),
    ],
)
def test_a_scenario_that_returns_what_it_must_not_ends_the_run_as_infra_error(method, returning):
    records, end = live("reference", scenario=broken(method, returning=returning))
    assert end.outcome == "infra_error"
    assert end.detail.startswith("scenario 'toy', ")
    assert "step 2" in end.detail
    assert len(records) == (3 if method == "done" else 2)
    assert lines(records)


@pytest.mark.parametrize("swallow", [Exception, BaseException])
def test_an_agent_that_swallows_errors_cannot_swallow_a_scenario_fault(swallow):
    def who(turn):
        for _ in range(3):
            try:
                turn.call("look")
            except swallow:
                continue
        return "take"

    records, end = live(who, scenario=broken("look"))
    assert (end.outcome, len(records)) == ("infra_error", 2)


def test_a_scenario_error_that_cannot_be_printed_is_told_apart():
    class Odd(Toy):
        def panels(self):
            raise type("Odd", (Exception,), {"__str__": lambda self: 1 / 0})

    assert live("reference", scenario=Odd)[1].detail == "scenario 'toy', step 0: Odd: (its message could not be read)"


def test_surrogates_in_a_scenarios_error_do_not_reach_the_files():
    class Odd(Toy):
        def panels(self):
            raise ValueError("\ud800")

    live("reference", scenario=Odd)[1].detail.encode()


def test_a_failing_sink_stops_the_episode():
    def sink(record):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        live("reference", sink=sink)


def test_a_scenario_tool_with_the_engines_name_is_refused():
    class Clash(Toy):
        @tool()
        def do_task(self) -> None:
            """Clash."""

    with pytest.raises(ScenarioError, match="do_task"):
        live("reference", {"side_work": {}}, scenario=Clash)


def test_an_episode_is_run_only_once():
    episode = Episode(Toy(), parse_condition({"steps": 2}), seed=0)
    episode.run(agent("reference"), lambda record: None)
    with pytest.raises(UsageError, match="only once"):
        episode.run(agent("reference"), lambda record: None)


def test_episodes_share_no_state():
    alone = lines(live("competing", seed=5)[0])
    live("random", seed=6)
    made = agent("competing", 5)
    live(made, seed=9)
    made.reset(seed=5)
    assert lines(live(made, seed=5)[0]) == alone


@pytest.mark.parametrize("seed", [True, 1.0, "1", None, 2**63, -(2**63) - 1])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(UsageError, match="seed"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63)])
def test_every_integer_of_64_bits_is_a_seed(seed):
    assert live("reference", seed=seed)[1].outcome == "truncated"


def test_secrets_in_what_an_agent_says_never_enter_a_record():
    secret = "sk-planted-0123456789"

    def who(turn):
        turn.note(f"my key is {secret}")
        turn.submit(secret, {})
        turn.submit("look", {"box": secret})
        turn.submit("look", {secret: 1})
        turn.submit("mark", {"how": "red", "note": "y" * 16_370 + secret})
        turn.note("x" * (4096 - len(secret) - 4) + secret * 2)
        raise ValueError(secret)

    records, end = live(who, steps=1, redactor=Redactor([secret]))
    text = lines(records)[0].decode() + end.detail
    assert secret not in text
    assert secret[:12] not in text
    assert text.count("[redacted]") >= 5


def test_values_under_keys_that_name_secrets_are_hidden():
    args = {"api_key": "abc", "auth_token": ["x"], "Password": {"a": 1}, "input_tokens": 5, "how": "red"}
    records, _ = live(lambda turn: turn.submit("mark", args) and None, steps=1)
    kept = records[0].action.calls[0].args
    assert kept == {
        "api_key": "[redacted]",
        "auth_token": "[redacted]",
        "Password": "[redacted]",
        "input_tokens": 5,
        "how": "red",
    }


def test_what_a_scenario_refuses_as_wrong_use_is_passed_on():
    class Picky(Toy):
        def reset(self, streams):
            raise UsageError("this scenario needs another Python")

    with pytest.raises(UsageError, match="needs another Python"):
        live("noop", scenario=Picky)
