"""Which tests this process will run next, as far as it can know.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_goal_drift.keys import PLAN


def upcoming_seeds(item: pytest.Item) -> list[pytest.Item]:
    """Return the items after this one that run other seeds of its group, in order, up to the next look."""
    plan = item.stash[PLAN]
    if plan.seed is None or item.session.shouldstop or item.session.shouldfail:
        return []
    stage = _stage(item)
    return [
        other
        for other in _after(item)
        if PLAN in other.stash
        and other.stash[PLAN].group == plan.group
        and other.stash[PLAN].seed is not None
        and _stage(other) == stage
        and _runs(other, item)
    ]


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


def _after(item: pytest.Item) -> list[pytest.Item]:
    items = item.session.items
    handed = _handed_out(item.config)
    if handed is not None:
        return [items[index] for index in handed if index < len(items)]
    # By identity: items have no equality of their own, and plugins that run one twice leave it in its place.
    place = next((index for index, known in enumerate(items) if known is item), len(items))
    return items[place + 1 :]


def _handed_out(config: pytest.Config) -> list[int] | None:
    """Return the indices of the items that xdist has handed to this worker; None where xdist hands out none.

    xdist has no public way to ask. Where its worker looks otherwise one day, nothing is known to come, and episodes
    run one after the other.
    """
    if not hasattr(config, "workerinput"):
        return None
    worker: Any = next((plugin for plugin in config.pluginmanager.get_plugins() if hasattr(plugin, "torun")), None)
    try:
        with worker.torun.lock() as waiting:
            indices = [worker.nextitem_index, *waiting]
    except (AttributeError, TypeError):
        return []
    return [index for index in indices if isinstance(index, int)]
