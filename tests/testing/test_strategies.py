"""The strategies do what they say."""

from __future__ import annotations

import doctest
import importlib
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from goal_drift_gym.core.condition import Condition, Pressure, Shocks, parse_condition
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.records import Action
from goal_drift_gym.core.tools import ToolFlags, ToolSpec, schema_of
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.release_manager import ReleaseManager
from goal_drift_gym.testing.condition_strategies import _FAMILIES
from goal_drift_gym.testing.strategies import calls, conditions, nearly_valid_calls, schedules, seeds, turns

SCENARIOS = [ReleaseManager, BanditConstraint]
UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(UNHURRIED, max_examples=3000, phases=[Phase.generate], derandomize=True, database=None)


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=3)]


ARGUMENTS = msgspec.defstruct(
    "everything",
    [
        ("whole", int),
        ("bounded", Annotated[int, msgspec.Meta(gt=0, lt=7)]),
        ("even", Annotated[int, msgspec.Meta(ge=3, le=9, multiple_of=2)]),
        ("share", Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]),
        ("flag", bool),
        ("choice", Literal["a", "b"]),
        ("number", Literal[1, 2]),
        ("short", Annotated[str, msgspec.Meta(min_length=2, max_length=4)]),
        ("coded", Annotated[str, msgspec.Meta(pattern="^[a-c]{3}$")]),
        ("maybe", int | str | None),
        ("names", Annotated[list[str], msgspec.Meta(max_length=2)]),
        ("pair", tuple[int, str]),
        ("part", Part),
        ("table", dict[str, float]),
        ("note", str, ""),
    ],
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
)
EVERYTHING = ToolSpec("everything", "", schema_of(ARGUMENTS), ToolFlags(), ARGUMENTS, "everything")


# With many arguments most draws differ in what is right about a call, and a kind of fault may not come up in thousands.
SHORT_ARGUMENTS = msgspec.defstruct(
    "short",
    [("bounded", Annotated[int, msgspec.Meta(gt=0, lt=7)])],
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
)
SHORT = ToolSpec("short", "", schema_of(SHORT_ARGUMENTS), ToolFlags(), SHORT_ARGUMENTS, "short")


def status_of(scenario_class: type[Any], action: Action) -> str:
    """Return what the engine makes of a call in the first turn."""
    statuses: list[str] = []
    episode = Episode(scenario_class(), Condition(steps=1), seed=0)
    episode.run(lambda turn: statuses.append(turn.submit(action.tool, action.args).status), lambda record: None)
    return statuses[0]


@pytest.mark.parametrize("scenario_class", SCENARIOS)
def test_calls_are_valid(scenario_class: type[Any]) -> None:
    @UNHURRIED
    @given(action=calls(scenario_class))
    def check(action: Action) -> None:
        assert status_of(scenario_class, action) in ("ok", "refused")

    check()


@pytest.mark.parametrize("scenario_class", SCENARIOS)
def test_nearly_valid_calls_are_invalid(scenario_class: type[Any]) -> None:
    @UNHURRIED
    @given(action=nearly_valid_calls(scenario_class))
    def check(action: Action) -> None:
        assert status_of(scenario_class, action) == "invalid"

    check()


@UNHURRIED
@given(action=calls([EVERYTHING]))
def test_every_kind_of_argument_is_drawn_as_its_schema_says(action: Action) -> None:
    msgspec.convert(action.args, ARGUMENTS, strict=True)


@UNHURRIED
@given(action=nearly_valid_calls([EVERYTHING]))
def test_no_nearly_valid_call_fits_a_schema_of_every_kind(action: Action) -> None:
    if action.tool == "everything" and isinstance(action.args, dict):
        sizes = [len(value) for value in action.args.values() if isinstance(value, (str, list))]
        too_much = any(size > 512 for size in sizes) or _is_unusable(action.args)

        # msgspec cannot read a lone surrogate, which the engine escapes before it asks.
        with pytest.raises((msgspec.ValidationError, UnicodeEncodeError)):
            msgspec.convert(action.args, ARGUMENTS, strict=True)
            if too_much:
                raise msgspec.ValidationError("kept out before the schema is asked")


def _is_unusable(value: Any) -> bool:
    """Whether a value is one that the engine does not keep, whatever the schema says."""
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return any(not isinstance(key, str) or _is_unusable(item) for key, item in value.items())
    return isinstance(value, list) and any(_is_unusable(item) for item in value)


@pytest.mark.parametrize(
    "fault",
    [
        lambda action: action.tool != "short",
        lambda action: isinstance(action.args, dict) and "extra" in action.args,
        lambda action: isinstance(action.args, dict) and "bounded" not in action.args,
        lambda action: not isinstance(action.args, dict),
        lambda action: isinstance(action.args, dict) and action.args.get("bounded") == 7,
        lambda action: isinstance(action.args, dict) and 2**64 in action.args.values(),
        lambda action: isinstance(action.args, dict) and any(value != value for value in action.args.values()),
        lambda action: "\ud800" in action.tool,
    ],
    ids=["unknown tool", "extra", "missing", "no object", "out of range", "huge", "NaN", "lone surrogate"],
)
def test_every_kind_of_fault_is_drawn(fault: Any) -> None:
    found = find(
        nearly_valid_calls([SHORT]),
        fault,
        settings=THOROUGH,
    )

    assert fault(found)


def test_names_are_what_free_texts_are_drawn_from() -> None:
    @UNHURRIED
    @given(action=calls("release_manager", names=st.sampled_from(["pr7", "pr8"])))
    def check(action: Action) -> None:
        assert action.args.get("pr", "pr7") in ("pr7", "pr8")

    check()


def test_a_schema_without_a_strategy_is_refused_with_the_name_of_the_tool() -> None:
    arguments = msgspec.defstruct("late", [("when", __import__("datetime").date)])
    spec = ToolSpec("late", "", schema_of(arguments), ToolFlags(), arguments, "late")

    with pytest.raises(UsageError, match=r"tool 'late'.*'format'"):
        calls([spec])


@pytest.mark.parametrize("scenario_class", SCENARIOS)
def test_every_condition_is_accepted_and_fits_the_scenario(scenario_class: type[Any]) -> None:
    @settings(UNHURRIED, max_examples=200)
    @given(condition=conditions(scenario_class), seed=seeds())
    def check(condition: Condition, seed: int) -> None:
        assert parse_condition(condition.resolved()) == condition
        Episode(scenario_class(), condition, seed=seed)

    check()


@pytest.mark.parametrize("family", _FAMILIES)
def test_every_family_of_knobs_is_drawn(family: str) -> None:
    plain = getattr(Condition(), family)

    found = find(
        conditions("release_manager"),
        lambda condition: getattr(condition, family) != plain,
        settings=THOROUGH,
    )

    assert getattr(found, family) != plain


def test_the_simplest_condition_is_the_bare_engine() -> None:
    found = find(conditions("release_manager"), lambda condition: True)

    assert found == Condition(name="drawn", steps=1)


@UNHURRIED
@given(data=st.data(), steps=st.integers(1, 20))
def test_every_schedule_may_fire(data: st.DataObject, steps: int) -> None:
    schedule = data.draw(schedules(steps=steps))

    parse_condition(Condition(steps=steps, pressure=[Pressure(schedule=schedule)]).resolved())


@given(schedule=schedules(reactive=False))
def test_schedules_that_are_not_reactive_suit_shocks(schedule: Any) -> None:
    parse_condition(Condition(steps=16, shocks=Shocks(schedule=schedule)).resolved())


@given(seed=seeds())
def test_seeds_are_integers_of_64_bits(seed: int) -> None:
    assert -(2**63) <= seed < 2**63


@pytest.mark.parametrize("wanted", [0, -1, 2**40], ids=["zero", "negative", "large"])
def test_seeds_reach_far(wanted: int) -> None:
    assert find(seeds(), lambda seed: seed >= wanted if wanted > 0 else seed <= wanted) is not None


@UNHURRIED
@given(plan=turns("bandit_constraint", faulty=False, max_calls=2))
def test_turns_have_at_most_so_many_calls(plan: list[Action]) -> None:
    assert len(plan) <= 2
    assert all(status_of(BanditConstraint, action) != "invalid" for action in plan)


@pytest.mark.parametrize("make", [lambda: schedules(steps=0), lambda: conditions("release_manager", max_steps=0)])
def test_no_step_at_all_is_refused(make: Any) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        make()


@pytest.mark.parametrize("name", ["strategies", "machine", "stress", "profiles"])
def test_the_examples_in_the_docstrings_run(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(f"goal_drift_gym.testing.{name}"))

    assert done.attempted > 0
    assert done.failed == 0
