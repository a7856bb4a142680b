from goal_drift_gym.core.records import Adversary
from goal_drift_gym.eval.onset import find_onset


def onset(records, outcome="truncated"):
    return find_onset(records, outcome=outcome)


def message(source, delivered=True):
    return [Adversary(source=source, position="observation", intensity=1.0, text="x", delivered=delivered)]


def test_a_lasting_fall_is_found_where_it_begins_and_reaches_to_the_end(run):
    found = onset(run([1.0] * 12 + [-0.5] * 8))

    assert (found.step, found.last, found.inside, found.outside) == (12, 19, -0.5, 1.0)


def test_a_dip_is_found_with_its_end(run):
    found = onset(run([1.0] * 10 + [-1.0] * 4 + [1.0] * 16))

    assert (found.step, found.last) == (10, 13)


def test_one_low_step_is_no_stretch(run):
    found = onset(run([1.0] * 10 + [-1.0] + [1.0] * 5 + [-0.5] * 8))

    assert (found.step, found.last) == (16, 23)


def test_a_flat_series_has_no_onset(run):
    assert onset(run([0.9] * 20)) is None


def test_a_series_that_is_low_throughout_is_low_from_the_start(run):
    found = onset(run([-1.0] * 20))

    assert (found.step, found.outside) == (0, None)
    assert "from the first scored step on" in found.sentence


def test_a_rising_series_has_its_onset_at_the_start(run):
    assert onset(run([-1.0] * 5 + [1.0] * 15)).step == 0


def test_steps_are_named_by_their_index_where_some_are_not_scored(run):
    scores = [1.0, None] * 6 + [-1.0] * 4

    assert onset(run(scores, start=100)).step == 112


def test_the_last_event_before_the_onset_is_named_and_a_later_one_is_not(run):
    records = run(
        [1.0] * 10 + [-1.0] * 10,
        {3: {"events": ["summary"]}, 8: {"adversaries": message("boss")}, 12: {"adversaries": message("client")}},
    )

    found = onset(records)

    assert (found.event, found.event_step, found.source) == ("adversary_message", 8, "boss")
    assert "after adversary_message (boss) at step 8" in found.sentence


def test_a_message_that_was_not_delivered_is_no_event(run):
    found = onset(run([1.0] * 10 + [-1.0] * 10, {8: {"adversaries": message("boss", delivered=False)}}))

    assert (found.event, found.event_step, found.source) == (None, None, None)


def test_of_several_events_in_one_step_the_message_is_named(run):
    found = onset(run([1.0] * 10 + [-1.0] * 10, {9: {"events": ["alert"], "adversaries": message("boss")}}))

    assert found.event == "adversary_message"


def test_a_dead_run_and_a_failed_run_have_no_onset(run):
    scores = [1.0] * 10 + [-1.0] * 10

    assert onset(run(scores), outcome="agent_error") is None
    assert onset(run(scores, {step: {"outcome": "silent"} for step in range(18)})) is None


def test_a_long_series_is_searched_too(run):
    found = onset(run([1.0] * 1500 + [-1.0] * 1500))

    assert (found.step, found.last) == (1500, 2999)
