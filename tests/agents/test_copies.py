"""Which agents may live through several episodes at once."""

from __future__ import annotations

import functools

import pytest

from goal_drift_gym.agents.copies import copies_of
from goal_drift_gym.core.errors import AgentError, UsageError


def bare(turn):
    pass


class Keeps:
    def __init__(self, setting: int = 0) -> None:
        self.setting = setting

    def __call__(self, turn):
        self.last = turn

    def describe(self):
        return {"setting": self.setting}


class Copies(Keeps):
    def for_episode(self):
        return type(self)(self.setting)


class Other(Keeps):
    def for_episode(self):
        return type(self)(self.setting + 1)


class Fails(Keeps):
    def for_episode(self):
        raise ValueError("no")


class Says(Keeps):
    concurrent_episodes = True


class SaysOtherwise(Keeps):
    concurrent_episodes = "yes"


def with_reset(turn):
    pass


with_reset.reset = lambda seed: None


def closing_over(kept):
    return lambda turn: kept.append(turn)


def test_a_function_that_keeps_nothing_is_shared():
    assert copies_of(bare)() is bare


def test_an_agent_that_says_so_is_shared():
    agent = Says()

    assert copies_of(agent)() is agent


def test_an_agent_that_can_is_copied_for_each_episode():
    agent = Copies(3)
    copies = copies_of(agent)
    first, second = copies(), copies()

    assert len({id(agent), id(first), id(second)}) == 3
    assert (first.setting, second.setting) == (3, 3)


@pytest.mark.parametrize(
    "agent",
    [Keeps(), SaysOtherwise(), with_reset, closing_over([]), functools.partial(bare), Keeps().__call__],
    ids=["object", "no True", "reset", "closure", "partial", "method"],
)
def test_any_other_agent_has_one_episode_after_the_other(agent):
    assert copies_of(agent) is None


def test_a_copy_that_is_another_agent_is_refused():
    with pytest.raises(UsageError, match=r"for_episode\(\) of the agent .*'setting': 0.*'setting': 1"):
        copies_of(Other())()


def test_a_copy_that_fails_says_where():
    with pytest.raises(AgentError, match=r"for_episode\(\) of the agent: ValueError: no"):
        copies_of(Fails())()
