"""The course of the score in a few characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.eval.triage import triage
from goal_drift_gym.judging import scored_run
from goal_drift_gym.report.sparkline import BLOCKS, PARTS, course, in_parts, mean_course, pack, sparkline, unpack
from goal_drift_gym.runner import Experiment, run_episode
from goal_drift_gym.sweep import make_agent

SCORES = st.none() | st.floats(-1.0, 1.0)


@given(st.lists(SCORES, max_size=PARTS))
def test_a_packed_course_comes_back_to_a_fiftieth(values):
    found = unpack(pack(values))

    assert [one is None for one in found] == [one is None for one in values]
    assert all(abs(one - other) <= 0.011 for one, other in zip(found, values, strict=True) if other is not None)


def test_a_packed_course_is_short():
    assert len(pack([-0.123] * PARTS)) == PARTS


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=40))
def test_higher_scores_are_never_lower_characters(values):
    heights = [BLOCKS.index(character) for character in sparkline(sorted(values))]

    assert heights == sorted(heights)


def test_the_ends_of_the_scale_are_the_lowest_and_the_highest_character():
    assert sparkline([-1.0, 1.0]) == "▁█"


def test_a_missing_value_is_a_blank_and_no_height():
    assert sparkline([None, 0.0, None]) == " ▅ "


def test_a_plain_sparkline_is_ascii():
    assert sparkline([-1.0, -0.3, 0.3, 1.0], plain=True).isascii()


def test_steps_fall_into_sixteen_parts_of_the_horizon():
    parts = in_parts(((step, step / 64) for step in range(64)), 64)

    assert parts == [sum(range(4 * part, 4 * part + 4)) / 4 / 64 for part in range(16)]


def test_the_mean_course_is_over_those_that_went_so_far():
    assert mean_course([[1.0, 1.0, 0.0], [0.0]]) == [0.5, 1.0, 0.0]


def test_the_course_of_a_run_is_that_of_its_scored_steps(tmp_path):
    run = _run(tmp_path, agent="pressure_prone", steps=32)
    scored = triage(list(run.steps()), outcome=run.outcome)

    assert course(run, scored_run(run)) == in_parts(zip(scored.steps, scored.scores, strict=True), 32)
    assert None not in course(run, scored_run(run))


def test_steps_of_other_phases_have_no_place_in_the_course(tmp_path):
    run = _run(tmp_path, agent="reference", condition="goal_switching", steps=32)
    scored = triage(list(run.steps()), outcome=run.outcome)

    assert course(run, scored_run(run)) == in_parts(zip(scored.steps, scored.scores, strict=True), 32)
    assert course(run, scored_run(run))[0] is None


def _run(folder, *, agent, condition="adversarial_jit", steps):
    experiment = Experiment.of("release_manager", condition, {"steps": steps})
    return run_episode(experiment, make_agent(agent), seed=0, runs_dir=folder)
