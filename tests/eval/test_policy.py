from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goal_drift_gym.eval import policy
from goal_drift_gym.eval.policy import enumerated_arguments, expected_absolute_sum, policy_distance

A, B, C = ("a", {}), ("b", {}), ("c", {})


def pair(agent, reference, **fields):
    return {"calls": agent, "reference": reference, **fields}


def compare(run, turns, **options):
    return policy_distance(run([0.0] * len(turns), dict(enumerate(turns))), **options)


def by_enumeration(sizes):
    signs = itertools.product((-1, 1), repeat=len(sizes))
    sums = [abs(sum(sign * size for sign, size in zip(row, sizes, strict=True))) for row in signs]
    return sum(sums) / len(sums)


def by_convolution(sizes):
    chances = {0: 1.0}
    for size in sizes:
        spread: dict[int, float] = {}
        for total, chance in chances.items():
            for moved in (total - size, total + size):
                spread[moved] = spread.get(moved, 0.0) + chance / 2
        chances = spread
    return math.fsum(abs(total) * chance for total, chance in chances.items())


@given(st.lists(st.integers(0, 9), max_size=9))
def test_expected_absolute_sum_is_the_mean_over_all_signs(sizes):
    assert expected_absolute_sum(sizes) == pytest.approx(by_enumeration(sizes), rel=1e-15, abs=0)


def test_expected_absolute_sum_of_equal_sizes_has_a_closed_form():
    assert expected_absolute_sum([3] * 4) == 3 * 1.5
    assert expected_absolute_sum([1] * 1000) == pytest.approx(math.sqrt(2000 / math.pi), rel=1e-3)


@pytest.mark.parametrize("sizes", [[1 + 7919 * i % 20_000 for i in range(18)], [1] * 99 + [50_000]])
def test_sizes_too_unlike_to_count_stay_within_the_stated_error(sizes):
    error = abs(expected_absolute_sum(sizes) - by_convolution(sizes))

    assert error <= 0.004 * len(sizes) * max(sizes)


def test_many_mixed_sizes_are_near_the_exact_mean():
    sizes = [1 + i % 6 for i in range(600)]

    assert expected_absolute_sum(sizes) == pytest.approx(by_convolution(sizes), rel=1e-3)


def test_an_agent_that_is_the_reference_has_no_distance(run):
    found = compare(run, [pair([A], [A]), pair([B, A], [A, B]), pair([], [])])

    assert (found.pooled, found.in_state) == (0.0, 0.0)


def test_distances_by_hand(run):
    # Step 0 equal; steps 1 to 3 always a against b. TV = 3/4; two actions with three signs each: 2 * 1.5 / (2 * 4)
    found = compare(run, [pair([A], [A])] + [pair([A], [B])] * 3)

    assert found.in_state == 0.75
    assert found.pooled == 0.75 - 0.375


def test_distance_of_turns_of_unequal_length_by_hand(run):
    # {a: 2/3, b: 1/3} against {a: 1/2, c: 1/2}: (1/6 + 1/3 + 1/2) / 2; a single step cannot beat chance
    found = compare(run, [pair([A, A, B], [A, C])])

    assert found.in_state == 0.5
    assert found.pooled == 0.0


def test_the_same_actions_in_other_states_are_near_pooled_and_far_in_state(run):
    found = compare(run, [pair([A], [B]), pair([B], [A])] * 8)

    assert found.in_state == 1.0
    assert found.pooled == -expected_absolute_sum([1] * 16) / 16


def test_pooled_distance_of_a_changed_policy_nears_one_with_the_steps(run):
    found = compare(run, [pair([A], [B])] * 64)

    assert found.in_state == 1.0
    assert found.pooled == pytest.approx(1 - math.sqrt(2 / (math.pi * 64)), abs=1e-3)


def test_arguments_count_in_state_and_only_named_ones_pooled(run):
    turns = [pair([("merge", {"pr": "pr1", "mode": "fast"})], [("merge", {"pr": "pr2", "mode": "full"})])] * 4

    assert compare(run, turns).in_state == 1.0
    assert compare(run, turns).pooled == 0.0
    assert compare(run, turns, key_args={"merge": ["mode"]}).pooled == 1.0 - expected_absolute_sum([1] * 4) / 4
    assert compare(run, turns, key_args={"merge": []}).pooled == 0.0


def test_whole_numbers_and_argument_order_are_no_difference(run):
    left, right = {"x": 25, "y": [1, {"z": 2}]}, {"y": [1.0, {"z": 2.0}], "x": 25.0}

    assert compare(run, [pair([("pull", left)], [("pull", right)])]).in_state == 0.0
    assert compare(run, [pair([("pull", {"x": 25.5})], [("pull", {"x": 25})])]).in_state == 1.0


def test_waiting_equals_a_turn_without_calls(run):
    turn = pair([("wait", {})], [], outcome="declined")

    assert compare(run, [turn, pair([A], [A])], waits=frozenset({"wait"})).in_state == 0.0
    assert compare(run, [turn, pair([A], [A])]).in_state == 0.5


def test_calls_that_do_not_fit_the_schema_are_no_actions(run):
    assert compare(run, [pair([("a", {}), ("z", {}, "invalid")], [A])]).in_state == 0.0


def test_steps_in_which_the_agent_had_no_say_are_left_out(run):
    assert compare(run, [pair([A], [A]), pair([], [A], outcome="silent")]).in_state == 0.0


@pytest.mark.parametrize("turns", [[], [pair([A], [])], [pair([A], [A], outcome="error")]])
def test_without_reference_actions_distances_are_undefined(run, turns):
    found = compare(run, turns)

    assert (found.pooled, found.in_state) == (None, None)


TURN = st.lists(st.sampled_from([A, B, C]), max_size=4)


@settings(max_examples=60)
@given(st.lists(st.tuples(TURN, TURN), min_size=1, max_size=7))
def test_pooled_distance_is_the_plain_one_minus_its_mean_over_all_label_swaps(turns):
    pairs = [tuple(policy._histogram((tool, b"") for tool, _ in side) for side in turn) for turn in turns]

    def plain(rows):
        share = [{}, {}]
        for row in rows:
            for side, histogram in enumerate(row):
                for action, count in histogram.items():
                    share[side][action] = share[side].get(action, 0.0) + count / sum(histogram.values()) / len(rows)
        return sum(abs(share[0].get(k, 0.0) - share[1].get(k, 0.0)) for k in {**share[0], **share[1]}) / 2

    swapped = [
        plain([row[::-1] if swap else row for row, swap in zip(pairs, swaps, strict=True)])
        for swaps in itertools.product((False, True), repeat=len(pairs))
    ]

    assert policy._pooled_distance(pairs, len(pairs)) == pytest.approx(
        plain(pairs) - sum(swapped) / len(swapped), abs=1e-12
    )


def test_enumerated_arguments_are_short_choices_and_flags():
    schema = {
        "properties": {
            "suite": {"enum": ["fast", "full"]},
            "force": {"type": "boolean"},
            "pr": {"type": "string"},
            "arm": {"enum": list(range(9))},
            "none": {"enum": []},
        }
    }

    assert enumerated_arguments({"run_tests": schema, "wait": {}}) == {"run_tests": ["force", "suite"], "wait": []}
