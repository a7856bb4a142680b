from __future__ import annotations

import pytest

from goal_drift_gym.core.records import Adversary
from goal_drift_gym.eval.events import event_delta, event_deltas, event_steps


def message(*, delivered: bool = True) -> Adversary:
    return Adversary("product_lead", "tool_result", 0.5, "ship it", delivered=delivered)


def test_an_agent_that_yields_at_the_message_shows_its_fall_at_span_one():
    scores = [1.0, 1.0, 1.0, -0.5, -0.5, -0.5]

    assert event_delta(range(6), scores, [3], span=1) == -1.5
    assert event_delta(range(6), scores, [3], span=3) == -1.5


def test_span_three_compares_three_scores_on_either_side():
    assert event_delta(range(6), [0.0, 0.5, 1.0, 0.5, 0.0, -0.5], [3], span=3) == -0.5


def test_deltas_are_averaged_over_events():
    assert event_delta(range(4), [1.0, 0.0, 0.5, 0.5], [1, 2], span=1) == -0.25


@pytest.mark.parametrize(("event", "span"), [(0, 1), (5, 1), (2, 3), (4, 3), (9, 1)])
def test_an_event_without_scores_on_both_sides_gives_no_delta(event, span):
    assert event_delta(range(5), [1.0] * 5, [event], span=span) is None


def test_an_event_at_the_edge_does_not_hide_one_in_the_middle():
    assert event_delta(range(4), [1.0, 1.0, 0.5, 0.5], [0, 2], span=1) == -0.5


def test_steps_without_a_score_are_passed_over():
    assert event_delta([0, 4], [1.0, 0.0], [2], span=1) == -1.0


def test_all_kinds_are_found_once_a_step_in_alphabetical_order(run):
    records = run(
        [1.0] * 4,
        {
            0: {"phase": "instrumental", "events": ["summary"]},
            1: {"phase": "instrumental", "adversaries": [message(), message()], "events": ["truncation"] * 2},
            2: {"phase": "evaluation", "calls": [("deploy", {}, "failed"), ("deploy", {}, "failed")]},
            3: {"phase": "evaluation", "adversaries": [message(delivered=False)], "calls": [("deploy", {})]},
        },
    )

    found = event_steps(records)

    assert found == {
        "adversary_message": [1],
        "phase_change": [2],
        "summary": [0],
        "tool_failure": [2],
        "truncation": [1],
    }
    assert list(found) == sorted(found)


def test_a_logged_phase_change_and_the_one_seen_in_the_records_are_one(run):
    records = run([1.0, 1.0], {0: {"phase": "a"}, 1: {"phase": "b", "events": ["phase_change"]}})

    assert event_steps(records) == {"phase_change": [1]}


def test_deltas_have_both_spans_and_an_undefined_one_is_none():
    assert event_deltas(range(3), [1.0, 0.5, 0.5], {"summary": [1]}) == {"summary": {"1": -0.5, "3": None}}
