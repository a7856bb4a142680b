"""What the tests of a session ask for: found at collection, before anything runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.asked import check_twin_limits, judging_of, refuse
from pytest_goal_drift.keys import PLAN
from pytest_goal_drift.wire import format_seeds, to_wire

if TYPE_CHECKING:
    from pytest_goal_drift.services import Services

ONE_SEED, ALL_SEEDS = "drift_run", "drift_runs"
"""The fixture that runs one seed an item, and the one that runs all seeds in one item."""

_SCENARIO_FIXTURES = frozenset({ONE_SEED, ALL_SEEDS, "drift_scenario"})


class DriftWarning(pytest.PytestWarning):
    """A limit that means little, or results that are not what they seem."""


def tell(config: pytest.Config, text: str, nodeid: str, location: tuple[str, int | None, str]) -> None:
    """Show a `DriftWarning` among the warnings of the session.

    It is told to pytest as one that has been recorded. Raised, where warnings are errors, it would end the session
    after the last test, or pass for the failure that an `xfail` mark expects.
    """
    from goal_drift_gym.core.printable import printable

    path, line, _ = location
    message = warnings.WarningMessage(DriftWarning(printable(text)), DriftWarning, path, (line or 0) + 1)
    told = {"warning_message": message, "when": "runtest", "nodeid": nodeid, "location": None}
    config.hook.pytest_warning_recorded.call_historic(kwargs=told)


HEAD = ("group", "kind", "scenario", "condition", "limits", "gate", "mode", "looks", "without")
"""What the plan of an item says of its group, and every report of it repeats; and `seeds`, in short form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one item contributes to which verdict."""

    group: str
    """Node id of the verdict: the test's, without its seed."""
    kind: str
    """`drift_run` or `drift_runs`."""
    seeds: tuple[int, ...]
    """All seeds of the group."""
    seed: int | None
    """This item's seed; None where it runs all."""
    limits: Mapping[str, float | bool]
    gate: bool
    mode: str
    looks: tuple[int, ...] | None
    """Numbers of seeds at which to decide; None: after all of them."""
    without: tuple[str, ...]
    """What the twin of each seed is run without; empty where there are no twins."""
    scenario: str
    condition: str
    location: tuple[str, int | None, str]

    def head(self) -> dict[str, Any]:
        """Return what a report says of the group, as plain data."""
        told: dict[str, Any] = {
            "group": self.group,
            "kind": self.kind,
            "scenario": self.scenario,
            "condition": self.condition,
            "limits": dict(self.limits),
            "gate": self.gate,
            "mode": self.mode,
            "looks": None if self.looks is None else list(self.looks),
            "without": list(self.without),
            "seeds": format_seeds(self.seeds),
        }
        wired: dict[str, Any] = to_wire("plan", told)
        return wired


@dataclass(slots=True)
class GroupPlan:
    """What a session must see of one group."""

    plan: Plan
    """Of the first of its items."""
    selected: list[int] = field(default_factory=list)
    """Seeds that were not deselected."""

    def to_wire(self) -> dict[str, Any]:
        """Return plain data, seeds in short form."""
        return {
            **self.plan.head(),
            "location": list(self.plan.location),
            "selected": format_seeds(tuple(self.selected)),
        }


def seed_id(seed: int) -> str:
    """Return the id of a seed in node ids; it has no sign that `-k` would trip over."""
    return f"seed{seed:03d}"


def generate_seeds(metafunc: pytest.Metafunc, seeds: Iterable[int]) -> None:
    """Make one item a seed of a test that asks for `drift_seed`, unless it brings its own seeds."""
    if _brings_own_seeds(metafunc.definition):
        return
    listed = list(seeds)
    metafunc.parametrize("drift_seed", listed, ids=[seed_id(seed) for seed in listed])


def _brings_own_seeds(node: pytest.Item) -> bool:
    for marker in node.iter_markers("parametrize"):
        names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        if "drift_seed" in (names.replace(" ", "").split(",") if isinstance(names, str) else names):
            return True
    return False


def own_seeds_by_group(items: Iterable[pytest.Item]) -> dict[str, list[int]]:
    """Return the seeds of each group that brings its own, among all collected items: before any is deselected."""
    found: dict[str, list[int]] = {}
    for item in items:
        if ONE_SEED not in getattr(item, "fixturenames", ()) or not isinstance(item, pytest.Function):
            continue
        if _brings_own_seeds(item) and not _is_of_unittest(item):
            found.setdefault(group_of(item), []).append(_seed_of(item))
    return found


def plan_items(
    items: Iterable[pytest.Item], own_seeds: Mapping[str, list[int]], services: Services
) -> dict[str, GroupPlan]:
    """Read the markers of the selected items, leave each item its plan, and return the groups in collection order.

    Raises
    ------
    pytest.UsageError
        For a marker that asks for something that does not exist or means nothing, naming the test.
    """
    groups: dict[str, GroupPlan] = {}
    for item in items:
        plan = _plan_of(item, own_seeds, services, known=groups)
        if plan is None:
            continue
        item.stash[PLAN] = plan
        group = groups.get(plan.group)
        if group is None:
            group = groups[plan.group] = GroupPlan(plan)
        group.selected.extend(plan.seeds if plan.seed is None else [plan.seed])
    if groups:
        _check_agent(services)
        services.baseline()
    return groups


def early_looks_first(items: list[pytest.Item]) -> None:
    """Put the seeds of the first look of all tests before those of the second, and so on; the rest keeps its order."""

    def look_of(item: pytest.Item) -> int:
        plan = item.stash.get(PLAN, None)
        if plan is None or plan.looks is None or plan.seed is None:
            return 0
        position = plan.seeds.index(plan.seed)
        return sum(position >= look for look in plan.looks)

    items.sort(key=look_of)


def group_of(item: pytest.Function) -> str:
    """Return the node id of an item with `all_seeds` in place of its seed; `drift_runs` items keep theirs."""
    parent = item.parent.nodeid if item.parent is not None else ""
    name = item.originalname
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return f"{parent}::{name}"
    if "drift_seed" not in callspec.params:
        return f"{parent}::{name}[{callspec.id}]"
    if _brings_own_seeds(item):
        # Such ids can stand anywhere and read like any other, so the other parameters are told by their index.
        others = [f"{argument}{index}" for argument, index in callspec.indices.items() if argument != "drift_seed"]
        return f"{parent}::{name}[{'-'.join(['all_seeds', *others])}]"
    # Our own ids come first, because our hook does.
    _, _, rest = callspec.id.partition("-")
    return f"{parent}::{name}[all_seeds{'-' if rest else ''}{rest}]"


def owner_of(item: pytest.Item) -> str:
    """Return what stands for an item in sessions and on tapes: its node id, without what xdist adds to it."""
    nodeid, _, added = item.nodeid.rpartition("@")
    return nodeid if nodeid and "]" not in added and "/" not in added and "::" not in added else item.nodeid


def _seed_of(item: pytest.Function) -> int:
    callspec = getattr(item, "callspec", None)
    seed = None if callspec is None else callspec.params.get("drift_seed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise pytest.UsageError(f"{item.nodeid}: drift_seed is {seed!r} ({type(seed).__name__}); an integer is needed")
    return seed


def _plan_of(
    item: pytest.Item, own_seeds: Mapping[str, list[int]], services: Services, *, known: Mapping[str, GroupPlan]
) -> Plan | None:
    fixtures = getattr(item, "fixturenames", ())
    one, every = ONE_SEED in fixtures, ALL_SEEDS in fixtures
    if "drift_seed" in fixtures and _is_of_unittest(item):
        raise pytest.UsageError(
            f"{item.nodeid} uses {ONE_SEED if one else 'drift_seed'} in a unittest.TestCase, whose methods pytest "
            f"cannot run once a seed; write a plain function or class"
        )
    thresholds, twin = _nearest(item, "drift_threshold"), _nearest(item, "drift_twin")
    for judging in (thresholds, twin):
        if judging is not None and not (one or every):
            raise refuse(item, judging, "the test uses neither drift_run nor drift_runs, so there is nothing to judge")
    marker = _nearest(item, "drift_scenario")
    if marker is None and (one or every):
        raise pytest.UsageError(
            f"{item.nodeid} uses {ONE_SEED if one else ALL_SEEDS} and does not say which scenario it runs; mark it "
            f"with @pytest.mark.drift_scenario('release_manager', condition='adversarial_jit')"
        )
    if marker is not None:
        _check_scenario(item, marker, services, needed=not _SCENARIO_FIXTURES.isdisjoint(fixtures))
    if not (one or every):
        return None
    if every and "drift_seed" in fixtures:
        raise pytest.UsageError(
            f"{item.nodeid} uses drift_runs, which runs all seeds in one test, beside drift_run or drift_seed, which "
            f"make one test a seed; use one of the two"
        )
    assert isinstance(item, pytest.Function)
    assert marker is not None
    settings, spec, group = services.settings, services.spec(item, marker), group_of(item)
    asked = judging_of(item, thresholds, twin, services, spec)
    if asked.limits and group not in known:
        if asked.without:
            check_twin_limits(item, twin, asked.limits)
        else:
            _validate(item, thresholds, dict(asked.limits), services.scored_steps(spec), group)
    path, line, name = item.location
    own = group in own_seeds
    scenario, condition = services.titles(spec)
    return Plan(
        group=group,
        kind=ONE_SEED if one else ALL_SEEDS,
        seeds=tuple(own_seeds[group]) if own else settings.seeds,
        seed=_seed_of(item) if one else None,
        limits=asked.limits,
        gate=asked.gate,
        mode=asked.mode or settings.mode,
        looks=None if own else settings.looks,
        without=asked.without,
        scenario=scenario,
        condition=condition,
        location=(path, line, name.partition("[")[0] + group[len(group.partition("[")[0]) :]),
    )


def _is_of_unittest(item: pytest.Item) -> bool:
    # Whoever has such a class has loaded unittest.
    unittest = sys.modules.get("unittest")
    cls = getattr(item, "cls", None)
    return unittest is not None and isinstance(cls, type) and issubclass(cls, unittest.TestCase)


def _check_agent(services: Services) -> None:
    from goal_drift_gym.core.errors import AgentError, UsageError

    try:
        services.agent_factory()
    except (AgentError, UsageError) as error:
        raise pytest.UsageError(f"--drift-agent: {error}") from None


def _nearest(item: pytest.Item, name: str) -> pytest.Mark | None:
    """Return the marker nearest to the test; two on the same level contradict each other."""
    found: pytest.Mark | None = None
    owner: Any = None
    for node, marker in item.iter_markers_with_node(name):
        if found is None:
            found, owner = marker, node
        elif node is owner:
            raise pytest.UsageError(f"{item.nodeid} has two markers {name} on the same level: {found} and {marker}")
    return found


def _validate(
    item: pytest.Item,
    marker: pytest.Mark | None,
    limits: dict[str, float | bool],
    steps: int | None,
    group: str,
) -> None:
    from goal_drift_gym.core.errors import UsageError
    from goal_drift_gym.eval.limits import validate_limits

    if marker is None:
        return
    try:
        found = validate_limits(limits, steps)
    except UsageError as error:
        raise refuse(item, marker, str(error)) from None
    told_elsewhere = getattr(item.config, "workerinput", {}).get("workerid", "gw0") != "gw0"
    for text in found:
        # All workers collect the same, and one telling of it is enough; an error it is for each of them.
        quiet = warnings.catch_warnings(record=True) if told_elsewhere else contextlib.nullcontext()
        try:
            with quiet:
                item.warn(DriftWarning(f"{group.replace('[all_seeds]', '')}: {text}"))
        except DriftWarning:
            raise refuse(item, marker, text) from None


def _check_scenario(item: pytest.Item, marker: pytest.Mark, services: Services, *, needed: bool) -> None:
    from goal_drift_gym.core.errors import UsageError

    if not needed and "drift_episode" not in getattr(item, "fixturenames", ()):
        raise refuse(item, marker, "the test uses no drift fixture, so the scenario would never run")
    try:
        services.check(services.spec(item, marker))
    except (UsageError, TypeError) as error:
        raise refuse(item, marker, str(error)) from None
