"""The tree of errors, and the help in their messages."""

from __future__ import annotations

import pytest

from goal_drift_gym.core import errors


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("UsageError", "GoalDriftError"),
        ("ConditionError", "UsageError"),
        ("ScenarioNotFound", "UsageError"),
        ("AgentNotFound", "UsageError"),
        ("ScenarioError", "GoalDriftError"),
        ("ToolRefused", "GoalDriftError"),
        ("AgentError", "GoalDriftError"),
        ("AgentSilent", "AgentError"),
        ("AgentTimeout", "AgentSilent"),
        ("AgentUnavailable", "AgentError"),
        ("RunRecordError", "GoalDriftError"),
        ("TapeError", "RunRecordError"),
        ("MissingExtra", "GoalDriftError"),
        ("EpisodeOver", "BaseException"),
    ],
)
def test_the_tree_is_as_drawn(child, parent):
    assert getattr(errors, child).__bases__[0].__name__ == parent
    assert f"+-- {child}" in errors.__doc__ or child == "EpisodeOver"


def test_a_missing_extra_says_how_to_install_it():
    assert "pip install 'pytest-goal-drift[openai]'" in str(errors.MissingExtra("openai", "openai"))


def test_long_lists_of_names_are_cut():
    assert errors.did_you_mean("x", [f"name{i:02}" for i in range(60)]).endswith("name39, ...")


def test_names_are_listed_in_order_and_the_nearest_is_named():
    assert errors.did_you_mean("stpes", ["steps", "goal"]) == "did you mean 'steps'? (known: goal, steps)"
    assert errors.did_you_mean("zzz", ["b", "a"]) == "known: a, b"
