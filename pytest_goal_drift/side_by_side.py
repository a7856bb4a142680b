"""`--drift-concurrency`: episodes of other tests, run beside that of the test at hand.

All of it happens while one test waits for its run, inside its own fixtures: when a test's body begins, no episode is
under way. What was run ahead is held open until its own test asks for it. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.kept_output import KeptOutput
from pytest_goal_drift.keys import PLAN
from pytest_goal_drift.own_outcomes import no_way_out
from pytest_goal_drift.plan import owner_of
from pytest_goal_drift.playing import (
    NOT_TAKEN,
    OTHER_AGENT,
    PlannedEpisode,
    described,
    drop,
    drop_one,
    first_then,
    keep,
    play,
)
from pytest_goal_drift.upcoming import other_seeds

if TYPE_CHECKING:
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.sessions import Place
    from pytest_goal_drift.claims import Claims
    from pytest_goal_drift.services import Services

AHEAD = 4
"""Episodes run ahead for each that may run at once, so that a long one does not leave the others' places empty."""


@dataclass(slots=True, kw_only=True)
class _Ready:
    """Episodes run, or to be run, for an item that has not asked for them yet."""

    item: pytest.Item
    source: Agent
    """The agent they were run for, or copied from."""
    fingerprint: str
    is_lent: bool
    """Whether the item's own fixture will be handed the very agent of the first episode."""
    episodes: list[PlannedEpisode]

    @property
    def key(self) -> tuple[str, int]:
        """Group and seed."""
        return _key(self.item)


class SideBySideRuns:
    """The episodes of one pytest process that are run side by side; also the hooks that this takes.

    Parameters
    ----------
    claims
        Shared with the other processes of the session; None: this process runs all there is.
    """

    def __init__(self, services: Services, claims: Claims | None) -> None:
        self._services = services
        self._claims = claims
        self._limit = services.settings.concurrency
        self._ready: dict[pytest.Item, _Ready] = {}
        self._lent: dict[pytest.Item, Agent] = {}
        self._asked: set[pytest.Item] = set()
        """Items that have asked for their runs before: one that does so again is being rerun."""
        self._needs: dict[str, set[str]] = {}
        """Arguments of the function-scoped fixtures of the item at hand, by name."""

    # --- hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget the fixtures of the item before."""
        self._needs.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Learn what the agent of a test is made from."""
        if fixturedef.scope == "function":
            self._needs.setdefault(fixturedef.argname, set()).update(fixturedef.argnames)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Close what nobody took as what it is."""
        while self._ready:
            _, ready = self._ready.popitem()
            drop(ready.episodes, NOT_TAKEN)

    # --- what fixtures ask for

    def lent(self, item: pytest.Item) -> Agent | None:
        """Return the agent of `--drift-agent` that has lived through an episode run ahead for an item, once."""
        return self._lent.pop(item, None)

    @no_way_out()
    def runs(
        self, item: pytest.Item, experiments: Sequence[Experiment], agent: Agent, places: Sequence[Place]
    ) -> list[Run] | None:
        """Return the runs of one seed, one an experiment; None where they are to be run one after the other."""
        is_rerun = item in self._asked
        self._asked.add(item)
        more = self._more(agent)
        if more is None or item.stash[PLAN].seed is None:
            self._forget(item)
            return None
        if self._claims is not None and not is_rerun:
            return self._claimed_runs(self._claims, item, experiments, agent, places, more)
        ready = self._ready.pop(item, None)
        if ready is not None:
            if self._fits(ready, experiments, agent):
                return keep(ready.episodes)
            drop(ready.episodes, OTHER_AGENT)
        own = self._own(experiments, agent, places, more)
        return self._play(own, self._ahead(item, experiments, agent, more, room=self._room() - len(own)))

    @no_way_out()
    def can_run(self, agent: Agent) -> bool:
        """Return whether an agent can live through several episodes at the same time."""
        return self._more(agent) is not None

    @no_way_out()
    def run_seeds(
        self,
        experiments: Sequence[Experiment],
        agent: Agent,
        places: Sequence[Sequence[Place]],
        *,
        begun: bool,
        count: Callable[[Sequence[Run]], object],
    ) -> bool:
        """Run several seeds of one item; False where they are to be run one after the other.

        Parameters
        ----------
        places
            Of each seed those of its episodes, one an experiment.
        begun
            Whether the agent has lived through an episode of this item already.
        count
            Told of the runs of each seed in their order, as soon as all before it are done. What it raises, or what
            an episode raised, ends the rest.
        """
        more = self._more(agent)
        if more is None:
            return False
        episodes: list[PlannedEpisode] = []
        for of_seed in places:
            first = more() if begun or episodes else agent
            episodes += self._own(experiments, first, of_seed, more, apart=True)
        width = len(experiments)
        runs: list[Run] = []
        with closing(play(episodes, self._limit, self._services)) as ended:
            for _ in ended:
                # In their order: what is interrupted then looks the same.
                while len(runs) < len(episodes) and episodes[len(runs)].over:
                    runs += keep([episodes[len(runs)]])
                    if len(runs) % width == 0:
                        count(runs[-width:])
        return True

    # --- across processes

    def _claimed_runs(
        self,
        claims: Claims,
        item: pytest.Item,
        experiments: Sequence[Experiment],
        agent: Agent,
        places: Sequence[Place],
        more: Callable[[], Agent],
    ) -> list[Run] | None:
        """Return the runs of a seed that this process, or another one, has made or makes now."""
        key = _key(item)
        waiting = claims.take(*key)
        if waiting is None and not claims.claim(*key):
            # Another process runs it. Until it has, there are others to run.
            self._play([], self._ahead(item, experiments, agent, more, room=self._room()))
            waiting = claims.wait(*key)
        if waiting is None:
            own = self._own(experiments, agent, places, more)
            try:
                return self._play(own, self._ahead(item, experiments, agent, more, room=self._room() - len(own)))
            finally:
                claims.settle(*key)
        if waiting.fingerprint != _fingerprint(agent, experiments):
            for held in waiting.runs:
                drop_one(held)
            return None
        for output in waiting.output:
            KeptOutput.of_wire(output).give_out()
        return [held.keep() for held in waiting.runs]

    def _publish(self, claims: Claims, ready: _Ready) -> None:
        from pytest_goal_drift.claims import Waiting

        handed = [episode.held.hand_over(NOT_TAKEN) for episode in ready.episodes if episode.held is not None]
        output = [episode.output.to_wire() for episode in ready.episodes if episode.output is not None]
        try:
            claims.publish(*ready.key, Waiting(fingerprint=ready.fingerprint, runs=handed, output=output))
        except OSError:
            # What cannot be handed on is run again by whose it is.
            for held in handed:
                drop_one(held)
            claims.release(*ready.key)

    # --- planning

    def _room(self) -> int:
        """Return how many episodes may be run before the test at hand goes on."""
        option = self._services.config.getoption
        may_stop = bool(option("maxfail", 0) or option("stepwise", False))
        return self._limit if may_stop else AHEAD * self._limit

    def _more(self, agent: Agent) -> Callable[[], Agent] | None:
        """Return what gives agents for further episodes at the same time, None where there can be none."""
        if getattr(agent, "runs_inline", False):
            return None  # It never waits, so there is no time to be won.
        if self._services.makes_fresh(agent):
            return lambda: self._services.another(agent)
        from goal_drift_gym.agents.copies import copies_of

        return copies_of(agent)

    def _own(
        self,
        experiments: Sequence[Experiment],
        agent: Agent,
        places: Sequence[Place],
        more: Callable[[], Agent],
        *,
        apart: bool = False,
    ) -> list[PlannedEpisode]:
        return [
            PlannedEpisode(
                experiment=experiment,
                place=places[number],
                agents=first_then(more() if number else agent, more),
                output=KeptOutput() if apart or number else None,
            )
            for number, experiment in enumerate(experiments)
        ]

    def _ahead(
        self,
        item: pytest.Item,
        experiments: Sequence[Experiment],
        agent: Agent,
        more: Callable[[], Agent],
        *,
        room: int,
    ) -> Iterator[_Ready]:
        """Plan the episodes of other items, one item whenever there is a place for it."""
        is_lent = self._services.makes_fresh(agent)
        if not self._services.made(agent) and self._depends_on_seed("drift_agent"):
            return
        fingerprint = _fingerprint(agent, experiments)
        for other in other_seeds(item, everywhere=self._claims is not None):
            room -= len(experiments)
            if room < 0:
                return
            if other in self._asked or other in self._ready:
                continue
            key = _key(other)
            if self._claims is not None and not self._claims.claim(*key):
                continue
            try:
                places = [self._services.place(owner_of(other), one, key[1], ahead=True) for one in experiments]
                episodes = self._own(experiments, more(), places, more, apart=True)
            except Exception:
                # The test whose agent cannot be made shall meet that itself.
                self._release(key)
                return
            yield _Ready(item=other, source=agent, fingerprint=fingerprint, is_lent=is_lent, episodes=episodes)

    def _depends_on_seed(self, name: str) -> bool:
        known, found = set[str](), {name}
        while found - known:
            known |= found
            found |= {needed for one in known for needed in self._needs.get(one, ())}
        return "drift_seed" in found

    def _fits(self, ready: _Ready, experiments: Sequence[Experiment], agent: Agent) -> bool:
        """Return whether episodes run ahead are what an item would have run itself."""
        if ready.is_lent:
            return agent is ready.source and _fingerprint(agent, experiments) == ready.fingerprint
        # Two functions may do different things under one name.
        if agent is not ready.source and hasattr(agent, "__code__"):
            return False
        return _fingerprint(agent, experiments) == ready.fingerprint

    # --- running

    def _play(self, own: list[PlannedEpisode], ahead: Iterator[_Ready]) -> list[Run]:
        """Run the episodes of the item at hand and those of others beside it; return the runs of its own."""
        begun: list[_Ready] = []

        def coming() -> Iterator[PlannedEpisode]:
            yield from own
            for ready in ahead:
                begun.append(ready)
                yield from ready.episodes

        try:
            with closing(play(coming(), self._limit, self._services)) as ended:
                for _ in ended:
                    for ready in [one for one in begun if all(episode.over for episode in one.episodes)]:
                        begun.remove(ready)
                        self._have(ready)
        finally:
            for ready in begun:
                self._release(ready.key)
        return keep(own)

    def _have(self, ready: _Ready) -> None:
        """Have episodes that are over wait for their item."""
        if any(episode.held is None for episode in ready.episodes):
            # One failed before it had a run: its own test shall meet that, in its own way.
            drop(ready.episodes, NOT_TAKEN)
            self._release(ready.key)
            return
        agent = ready.episodes[0].agent
        if ready.is_lent and agent is not None:
            ready.source = self._lent[ready.item] = agent
        if self._claims is None:
            self._ready[ready.item] = ready
        else:
            self._publish(self._claims, ready)
            for episode in ready.episodes:
                episode.held = None

    def _release(self, key: tuple[str, int]) -> None:
        if self._claims is not None:
            self._claims.release(*key)

    def _forget(self, item: pytest.Item) -> None:
        ready = self._ready.pop(item, None)
        if ready is not None:
            drop(ready.episodes, OTHER_AGENT)


def _key(item: pytest.Item) -> tuple[str, int]:
    plan = item.stash[PLAN]
    assert plan.seed is not None
    return plan.group, plan.seed


def _fingerprint(agent: Agent, experiments: Sequence[Experiment]) -> str:
    """Return what an agent and its experiments are told by."""
    from goal_drift_gym.core.canonical import canonical_json, sha256_hex

    kind = type(agent)
    worlds = [[experiment.entry.reference, experiment.condition.resolved()] for experiment in experiments]
    return sha256_hex(canonical_json([f"{kind.__module__}:{kind.__qualname__}", described(agent), worlds]))
