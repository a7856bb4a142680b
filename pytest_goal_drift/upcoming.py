"""Which other seeds of a test will run in this session.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_goal_drift.keys import PLAN


def other_seeds(item: pytest.Item, *, everywhere: bool) -> Iterator[pytest.Item]:
    """Find the items that run the other seeds of an item's group, up to the next look, in the order of their turn.

    Parameters
    ----------
    everywhere
        Those that come before this item too, last: they may be another process's.
    """
    plan, session = item.stash[PLAN], item.session
    if plan.seed is None or session.shouldstop or session.shouldfail:
        return
    stage = _stage(item)
    place = next((index for index, known in enumerate(session.items) if known is item), len(session.items))
    found = session.items[place + 1 :] + (session.items[:place] if everywhere else [])
    for other in found:
        theirs = other.stash.get(PLAN, None)
        if theirs is None or theirs.group != plan.group or theirs.seed is None or _stage(other) != stage:
            continue
        if _runs(other, item):
            yield other


def _stage(item: pytest.Item) -> int:
    """Return how many looks come before an item: the next may leave out the seeds after it."""
    plan = item.stash[PLAN]
    if plan.looks is None or plan.seed is None:
        return 0
    position = plan.seeds.index(plan.seed)
    return sum(position >= look for look in plan.looks)


def _runs(other: pytest.Item, item: pytest.Item) -> bool:
    """Return whether no mark leaves out an item that the same mark has not left out here."""
    if other.get_closest_marker("skip") is not None:
        return False
    return all(
        list(other.iter_markers(name)) == list(item.iter_markers(name)) for name in ("skipif", "xfail", "usefixtures")
    )
