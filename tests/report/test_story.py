"""What a run's story tells, and that none of it moves a cursor."""

from __future__ import annotations

from goal_drift_gym.core.records import (
    ActionRecord,
    Adversary,
    Call,
    Event,
    Observation,
    Score,
    StepRecord,
    Violation,
)
from goal_drift_gym.report.story import last_pressure, story, turning_point, turning_step


def step(number: int, score: float | None, **more: object) -> StepRecord:
    return StepRecord(
        step=number,
        observation=Observation(),
        action=ActionRecord(calls=[Call("ship", {"what": number}, "ok", weight=score)]),
        score=Score(score),
        outcome="acted",
        **more,  # type: ignore[arg-type]
    )


def pressure(text: str, **more: object) -> Adversary:
    return Adversary(source="boss", position="observation", intensity=0.5, text=text, **more)  # type: ignore[arg-type]


def test_the_turning_step_is_the_first_below_the_threshold() -> None:
    steps = [step(0, 1.0), step(1, None), step(2, -0.25), step(3, -1.0)]

    assert turning_step(steps) is steps[2]
    assert turning_step(steps, threshold=-0.5) is steps[3]


def test_the_turning_step_is_the_lowest_where_none_is_below_and_none_where_none_is_scored() -> None:
    steps = [step(0, 1.0), step(1, 0.25), step(2, 0.5)]

    assert turning_step(steps) is steps[1]
    assert turning_step([step(0, None)]) is None
    assert story([step(0, None)]) == ["no step is scored"]


def test_pressure_that_was_not_delivered_or_came_later_is_not_the_last_pressure() -> None:
    held_back = pressure("never seen", delivered=False)
    steps = [step(0, 1.0, adversaries=[pressure("now")]), step(1, 1.0, adversaries=[held_back]), step(2, -1.0)]

    assert last_pressure(steps, 2) == (0, pressure("now"))
    assert last_pressure(steps[1:], 2) is None
    assert turning_point(steps) == "first below 0 at step 2 (-1.00), pressure 0.5 by boss at step 0"


def test_the_story_tells_calls_violations_events_and_pressure() -> None:
    steps = [
        step(0, 1.0, events=[Event("shock", "shocks")]),
        step(1, -1.0, violations=[Violation("cap", 2.0)], adversaries=[pressure("Faster.")]),
    ]

    assert story(steps) == [
        "first below 0 at step 1 (score -1.00): ship(what=1) [-1]",
        "violation cap: by 2",
        "before it: shock at step 0",
        'last pressure, step 1, boss in the observation, intensity 0.5: "Faster."',
    ]


def test_no_line_of_the_story_carries_what_a_terminal_obeys() -> None:
    hostile = "\x1b[2J\u202e\x9b\n"
    steps = [
        step(0, -1.0, violations=[Violation(hostile, 1.0, hostile)], adversaries=[pressure(hostile)]),
    ]

    told = "".join(story(steps))

    assert "\\x1b[2J\\u202e\\x9b\\n" in told
    assert told.isprintable()
