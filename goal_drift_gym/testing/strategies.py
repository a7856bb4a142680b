"""Hypothesis strategies for scenarios: seeds, schedules, conditions, calls, turns.

Use them in property tests of your own; `goal_drift_gym.testing.machine` is made of them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from functools import lru_cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from goal_drift_gym.core.condition import Condition, Schedule, parse_condition
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action
from goal_drift_gym.testing.call_strategies import Names, SchemaReader, Tools, faulty_actions, specs_of, texts_of
from goal_drift_gym.testing.condition_strategies import TRIGGERS, Vocabulary, condition_of, schedule_in
from goal_drift_gym.testing.reference import scenario_reference

__all__ = ["calls", "conditions", "nearly_valid_calls", "schedules", "seeds", "turns"]


def seeds() -> SearchStrategy[int]:
    """Return the strategy for seeds: all integers of 64 bits, small ones often.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(database=None)
    ... @given(seed=seeds())
    ... def test_every_seed_is_one(seed):
    ...     assert -(2**63) <= seed < 2**63
    >>> test_every_seed_is_one()
    """
    return st.integers(0, 99) | st.integers(-(2**63), 2**63 - 1)


def schedules(*, steps: int = 16, reactive: bool = True) -> SearchStrategy[Schedule]:
    """Return the strategy for schedules, of adversaries and of anything else that has one.

    Parameters
    ----------
    steps
        Horizon; every schedule may fire in an episode of that many steps.
    reactive
        Whether the trigger `misaligned` is among them; shocks must not have one. `tool_failure` needs friction beside
        it.

    Raises
    ------
    UsageError
        If there is no step.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from goal_drift_gym import Condition, parse_condition
    >>> from goal_drift_gym.core.condition import Pressure
    >>> @settings(database=None)
    ... @given(schedule=schedules(steps=8))
    ... def test_every_schedule_is_accepted(schedule):
    ...     parse_condition(Condition(steps=8, pressure=[Pressure(schedule=schedule)]).resolved())
    >>> test_every_schedule_is_accepted()
    """
    if steps < 1:
        raise UsageError(f"steps = {steps!r} must be at least 1")
    return schedule_in(steps, TRIGGERS if reactive else ())


def conditions(scenario: str | type[Scenario], *, max_steps: int = 16) -> SearchStrategy[Condition]:
    """Return the strategy for conditions that a scenario can have: any mixture of knobs but `prefix`.

    Each is accepted by `parse_condition`, and by the engine for this scenario. The simplest is the bare engine:
    one step, no shaper.

    Parameters
    ----------
    scenario
        A registered id, `package.module:Name`, `file.py:Name`, or a class.
    max_steps
        Longest horizon.

    Raises
    ------
    UsageError
        If there is no such scenario, or no step.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from goal_drift_gym import Episode
    >>> from goal_drift_gym.scenarios.release_manager import ReleaseManager
    >>> @settings(database=None, deadline=None, max_examples=20)
    ... @given(condition=conditions("release_manager"), seed=seeds())
    ... def test_every_condition_can_be_run(condition, seed):
    ...     end = Episode(ReleaseManager(), condition, seed=seed).run(lambda turn: None, lambda record: None)
    ...     assert end.outcome in ("truncated", "budget")
    >>> test_every_condition_can_be_run()
    """
    if max_steps < 1:
        raise UsageError(f"max_steps = {max_steps!r} must be at least 1")
    words = _vocabulary(scenario_reference(scenario).scenario_class)
    # Parsed, so that a mistake in the strategy itself is an error and not a condition nobody could write.
    return condition_of(words, max_steps).map(lambda condition: parse_condition(condition.resolved(), where="drawn"))


def calls(tools: Tools, *, names: Names = None) -> SearchStrategy[Action]:
    """Return the strategy for calls that fit a tool's schema.

    Parameters
    ----------
    tools
        A scenario, or tools such as `turn.tools`.
    names
        What free texts are drawn from: names, or a strategy. By default the scenario's entities and any text.

    Raises
    ------
    UsageError
        If there is no tool, or one has a schema for which there is no strategy.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from goal_drift_gym import Condition, Episode
    >>> from goal_drift_gym.scenarios.release_manager import ReleaseManager
    >>> @settings(database=None, deadline=None)
    ... @given(action=calls("release_manager", names=["pr0", "pr1"]))
    ... def test_a_valid_call_is_carried_out_or_refused(action):
    ...     answers = []
    ...     agent = lambda turn: answers.append(turn.submit(action.tool, action.args))
    ...     Episode(ReleaseManager(), Condition(steps=1), seed=0).run(agent, lambda record: None)
    ...     assert answers[0].status in ("ok", "refused")
    >>> test_a_valid_call_is_carried_out_or_refused()
    """
    texts = texts_of(tools, names)
    return st.one_of([_valid(spec.name, SchemaReader(spec, texts)) for spec in specs_of(tools)])


def nearly_valid_calls(tools: Tools, *, names: Names = None) -> SearchStrategy[Action]:
    """Return the strategy for calls with exactly one fault.

    An unknown tool, a missing or unknown argument, a value of the wrong type or out of range, a lone surrogate in a
    name, a number that is not finite or too large, too much text, too deep an array, arguments that are no object.
    The engine answers each with `invalid`.

    Parameters
    ----------
    tools
        A scenario, or tools such as `turn.tools`.
    names
        What free texts are drawn from; see `calls`.

    Raises
    ------
    UsageError
        If there is no tool, or one has a schema for which there is no strategy.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from goal_drift_gym import Condition, Episode
    >>> from goal_drift_gym.scenarios.release_manager import ReleaseManager
    >>> @settings(database=None, deadline=None)
    ... @given(action=nearly_valid_calls("release_manager"))
    ... def test_a_faulty_call_is_invalid(action):
    ...     answers = []
    ...     agent = lambda turn: answers.append(turn.submit(action.tool, action.args))
    ...     Episode(ReleaseManager(), Condition(steps=1), seed=0).run(agent, lambda record: None)
    ...     assert answers[0].status == "invalid"
    >>> test_a_faulty_call_is_invalid()
    """
    texts, specs = texts_of(tools, names), specs_of(tools)
    known = [spec.name for spec in specs]
    return st.one_of([faulty_actions(spec, known, SchemaReader(spec, texts)) for spec in specs])


def turns(
    tools: Tools, *, names: Names = None, max_calls: int = 4, faulty: bool = True
) -> SearchStrategy[list[Action]]:
    """Return the strategy for all the calls of one turn, valid and nearly valid ones mixed; an agent may return them.

    Parameters
    ----------
    tools
        A scenario, or tools such as `turn.tools`.
    names
        What free texts are drawn from; see `calls`.
    max_calls
        Most calls in a turn; there may be none.
    faulty
        Whether nearly valid calls are among them.

    Raises
    ------
    UsageError
        If there is no tool, or one has a schema for which there is no strategy.

    Examples
    --------
    >>> from hypothesis import given, settings, strategies as st
    >>> from goal_drift_gym import Condition, Episode
    >>> from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
    >>> @settings(database=None, deadline=None, max_examples=20)
    ... @given(plan=st.lists(turns("bandit_constraint"), min_size=3, max_size=3))
    ... def test_no_sequence_of_turns_breaks_it(plan):
    ...     episode = Episode(BanditConstraint(), Condition(steps=3), seed=0)
    ...     assert episode.run(lambda turn: plan[turn.step], lambda record: None).outcome == "truncated"
    >>> test_no_sequence_of_turns_breaks_it()
    """
    action = calls(tools, names=names)
    return st.lists(action | nearly_valid_calls(tools, names=names) if faulty else action, max_size=max_calls)


def _valid(name: str, reader: SchemaReader) -> SearchStrategy[Action]:
    return reader.arguments().map(lambda args: Action(name, args))


@lru_cache(maxsize=64)
def _vocabulary(scenario_class: type[Scenario]) -> Vocabulary:
    return Vocabulary.of(scenario_class)
