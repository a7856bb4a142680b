"""One agent's logic, as a plain function and in every framework: the same calls and the same scores."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest
from scripted_models import CALL_MODE, FRAMEWORKS, TOKENS_IN, TOKENS_OUT, Answer, Script, condition, play

from goal_drift_gym.agents.reference import PressureProne
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.turn import Turn

STEPS = 20
SCENARIOS = ("release_manager", "bandit_constraint")
Calls = list[list[tuple[str, dict[str, Any]]]]


def under(scenario: str) -> Any:
    return condition(scenario, "adversarial_jit", steps=STEPS)


@cache
def calls_of(scenario: str) -> Calls:
    """The calls of an agent that yields to pressure, so that scores go up and down."""
    records, _ = play(PressureProne(), scenario, under(scenario))
    return [[(call.tool, call.args) for call in record.action.calls] for record in records]


@cache
def plain_function(scenario: str) -> list[StepRecord]:
    def agent(turn: Turn) -> None:
        for tool, args in calls_of(scenario)[turn.step]:
            turn.call(tool, **args)
        turn.note("done")

    return play(agent, scenario, under(scenario))[0]


def one_by_one(scenario: str) -> list[Answer]:
    """Every call an answer of its own, and a word to end each step."""
    return [answer for calls in calls_of(scenario) for answer in (*([call] for call in calls), "done")]


def all_at_once(scenario: str) -> list[Answer]:
    """The calls of a step in one answer, and a word to end it."""
    return [answer for calls in calls_of(scenario) for answer in ([calls, "done"] if calls else ["done"])]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_logic_is_worth_comparing(scenario: str) -> None:
    records = plain_function(scenario)
    scores = {record.score.alignment for record in records}

    assert len(records) == STEPS
    assert max(len(calls) for calls in calls_of(scenario)) > 1
    assert min(scores - {None}) < 0.0 < max(scores - {None})
    assert any(call.messages for record in records for call in record.action.calls)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("answers", [one_by_one, all_at_once])
@pytest.mark.parametrize("history", ["condition", "framework"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_leaves_the_log_a_plain_function_leaves(
    framework: str, history: str, answers: Any, scenario: str
) -> None:
    script = Script(answers(scenario))
    agent = FRAMEWORKS[framework](script, history=history, max_calls_per_turn=20)

    records, end = play(agent, scenario, under(scenario))

    assert len(script.shown) == len(script.answers)
    assert [record.score for record in records] == [record.score for record in plain_function(scenario)]
    assert msgspec.json.encode(records) == msgspec.json.encode(plain_function(scenario))
    assert end.outcome == "truncated"
    assert (end.usage.calls, end.usage.input_tokens, end.usage.output_tokens) == (
        len(script.answers), TOKENS_IN * len(script.answers), TOKENS_OUT * len(script.answers)
    )  # fmt: skip


def ending_by_tool(scenario: str) -> list[Answer]:
    """As `one_by_one`, but a step ends with a call, so that one run of the framework lasts the whole episode."""
    return [[("end_turn", {})] if answer == "done" else answer for answer in one_by_one(scenario)]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("answers", [one_by_one, all_at_once, ending_by_tool])
@pytest.mark.parametrize("way", CALL_MODE)
def test_one_run_for_the_whole_episode_leaves_the_log_a_plain_function_leaves(
    way: str, answers: Any, scenario: str
) -> None:
    script = Script(answers(scenario))

    records, end = play(CALL_MODE[way](script, "end_turn"), scenario, under(scenario))

    assert len(script.shown) == len(script.answers)
    assert [record.score for record in records] == [record.score for record in plain_function(scenario)]
    assert msgspec.json.encode(without_notes(records)) == msgspec.json.encode(without_notes(plain_function(scenario)))
    assert end.outcome == "truncated"


@pytest.mark.parametrize("way", CALL_MODE)
def test_one_run_can_make_each_call_a_step(way: str) -> None:
    steps = [calls[0] if calls else ("wait", {}) for calls in calls_of("bandit_constraint")]
    script = Script([[call] for call in steps])

    def agent(turn: Turn) -> None:
        turn.submit(*steps[turn.step])

    plain, _ = play(agent, "bandit_constraint", under("bandit_constraint"))
    records, _ = play(CALL_MODE[way](script, "each_call"), "bandit_constraint", under("bandit_constraint"))

    assert len(script.shown) == STEPS
    assert {call.tool for record in plain for call in record.action.calls} >= {"pull", "check_constraint"}
    assert msgspec.json.encode(records) == msgspec.json.encode(plain)


def without_notes(records: list[StepRecord]) -> list[StepRecord]:
    """Return records without the agent's words: the one that ends a step by a call says none."""
    copies = msgspec.json.decode(msgspec.json.encode(records), type=list[StepRecord])
    for copy in copies:
        copy.action.notes.clear()
    return copies


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_shows_its_model_every_message_that_rides_on_a_result(framework: str) -> None:
    script = Script(one_by_one("release_manager"))
    ridden = [
        message.text
        for record in plain_function("release_manager")
        for call in record.action.calls
        for message in call.messages
    ]

    play(FRAMEWORKS[framework](script), "release_manager", under("release_manager"))

    assert ridden
    assert [text for text in ridden if not any(letters(text) in letters(shown) for shown in script.shown)] == []


def letters(text: str) -> str:
    """Return a text without what quoting adds to it."""
    return "".join(character for character in text if character.isalnum())
