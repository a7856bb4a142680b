"""`--drift-concurrency`: episodes of tests to come, run beside that of the test at hand.

All of it happens while one test waits for its run, inside its own fixtures: when a test's body begins, no episode is
under way. What was run ahead is held open until its own test asks for it. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.kept_output import KeptOutput, keep_mine, kept_apart
from pytest_goal_drift.keys import PLAN
from pytest_goal_drift.upcoming import upcoming_seeds

if TYPE_CHECKING:
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.held import HeldRun
    from goal_drift_gym.runner import Experiment
    from pytest_goal_drift.services import Services

AHEAD = 4
"""Episodes run ahead for each that may run at once, so that a long one does not leave the others' places empty."""

NOT_TAKEN = "run ahead of its test, and no test took it: the session ended, or the test was left out, before"
OTHER_AGENT = "run ahead of its test, whose agent then was another one"


@dataclass(slots=True, kw_only=True)
class _Episode:
    """One episode to run."""

    item: pytest.Item
    experiment: Experiment
    seed: int
    agents: Callable[[], Agent]
    output: KeptOutput | None
    """Where its output goes; None: it is the output of the test at hand."""
    agent: Agent | None = None
    """The agent that lived through it, once it has begun."""
    held: HeldRun | None = None
    error: BaseException | None = None
    over: bool = False


@dataclass(slots=True, kw_only=True)
class _Ready:
    """Episodes that were run for an item that has not asked for them yet."""

    source: Agent
    """The agent they were run for, or copied from."""
    described: dict[str, Any]
    is_lent: bool
    """Whether the item's own fixture will be handed the very agent of the first episode."""
    episodes: list[_Episode] = field(default_factory=list)


class SideBySideRuns:
    """The episodes of one pytest process that are run side by side; also the hooks that this takes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._limit = services.settings.concurrency
        self._ready: dict[pytest.Item, _Ready] = {}
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
            _drop(ready.episodes, NOT_TAKEN)

    # --- what fixtures ask for

    def lent(self, item: pytest.Item) -> Agent | None:
        """Return the agent of `--drift-agent` that lives, or has lived, through an episode run ahead for an item."""
        ready = self._ready.get(item)
        return ready.source if ready is not None and ready.is_lent else None

    def runs(self, item: pytest.Item, experiments: Sequence[Experiment], agent: Agent, seed: int) -> list[Run] | None:
        """Return the runs of one seed, one an experiment; None where they are to be run one after the other."""
        ready = self._ready.pop(item, None)
        if ready is not None:
            if self._fits(ready, experiments, agent):
                return self._take(ready)
            _drop(ready.episodes, OTHER_AGENT)
        more = self._more(agent)
        if more is None:
            return None
        own = self._own(item, experiments, agent, seed, more)
        ahead = self._plan_ahead(item, experiments, agent, more, room=self._room() - len(own))
        if len(own) + sum(len(one.episodes) for one in ahead.values()) < 2:
            return None
        episodes = [*own, *(episode for one in ahead.values() for episode in one.episodes)]
        with closing(self._play(episodes)) as ended:
            for _ in ended:
                pass
        for other, one in ahead.items():
            if any(episode.held is None for episode in one.episodes):
                # It failed before it had a run: its own test shall meet that, in its own way.
                _drop(one.episodes, NOT_TAKEN)
                continue
            if one.is_lent and one.episodes[0].agent is not None:
                one.source = one.episodes[0].agent
            self._ready[other] = one
        return _kept(own)

    def runs_of_seeds(
        self, item: pytest.Item, experiments: Sequence[Experiment], agent: Agent, seeds: Sequence[int], *, begun: bool
    ) -> list[list[Run]] | None:
        """Return the runs of several seeds of one item, by seed; None where they are to be run one after the other.

        Parameters
        ----------
        begun
            Whether the agent has lived through an episode of this item already.
        """
        more = self._more(agent)
        if more is None:
            return None
        episodes: list[_Episode] = []
        for seed in seeds:
            first = more() if begun or episodes else agent
            episodes += self._own(item, experiments, first, seed, more, apart=True)
        width = len(experiments)
        runs: list[Run] = []
        with closing(self._play(episodes)) as ended:
            for _ in ended:
                # In their order, each as soon as all before it are done: what is interrupted then looks the same.
                while len(runs) < len(episodes) and episodes[len(runs)].over:
                    runs += _kept([episodes[len(runs)]])
        return [runs[index : index + width] for index in range(0, len(runs), width)]

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
        item: pytest.Item,
        experiments: Sequence[Experiment],
        agent: Agent,
        seed: int,
        more: Callable[[], Agent],
        *,
        apart: bool = False,
    ) -> list[_Episode]:
        return [
            _Episode(
                item=item,
                experiment=experiment,
                seed=seed,
                agents=_first(agent if place == 0 else more(), more),
                output=KeptOutput() if apart or place else None,
            )
            for place, experiment in enumerate(experiments)
        ]

    def _plan_ahead(
        self,
        item: pytest.Item,
        experiments: Sequence[Experiment],
        agent: Agent,
        more: Callable[[], Agent],
        *,
        room: int,
    ) -> dict[pytest.Item, _Ready]:
        planned: dict[pytest.Item, _Ready] = {}
        is_lent = self._services.makes_fresh(agent)
        if not is_lent and not self._services.made(agent) and self._depends_on_seed("drift_agent"):
            return planned
        described = self._described(agent)
        for other in upcoming_seeds(item):
            if room < len(experiments):
                break
            seed = other.stash[PLAN].seed
            if other in self._ready or seed is None:
                continue
            room -= len(experiments)
            try:
                own = self._own(other, experiments, more(), seed, more, apart=True)
            except Exception:
                break  # The test whose agent cannot be made shall meet that itself.
            planned[other] = _Ready(source=agent, described=described, is_lent=is_lent, episodes=own)
        return planned

    def _depends_on_seed(self, name: str) -> bool:
        known, found = set[str](), {name}
        while found - known:
            known |= found
            found |= {needed for one in known for needed in self._needs.get(one, ())}
        return "drift_seed" in found

    def _fits(self, ready: _Ready, experiments: Sequence[Experiment], agent: Agent) -> bool:
        """Return whether episodes run ahead are what an item would have run itself."""
        if [episode.experiment for episode in ready.episodes] != list(experiments):
            return False
        if agent is ready.source:
            return True
        return not ready.is_lent and type(agent) is type(ready.source) and self._same(ready, agent)

    def _same(self, ready: _Ready, agent: Agent) -> bool:
        # Two functions may do different things under one name.
        return not hasattr(agent, "__code__") and self._described(agent) == ready.described

    def _described(self, agent: Agent) -> dict[str, Any]:
        from goal_drift_gym.agents.loading import describe_agent
        from goal_drift_gym.core.redaction import Redactor

        return describe_agent(agent, Redactor.from_environment())

    # --- running

    def _take(self, ready: _Ready) -> list[Run]:
        if ready.is_lent:
            self._services.take_over(agent for episode in ready.episodes if (agent := episode.agent) is not None)
        return _kept(ready.episodes)

    def _play(self, episodes: Sequence[_Episode]) -> Generator[_Episode]:
        """Run episodes and yield each when it is over; stopped early, it leaves no run that looks complete."""
        from goal_drift_gym.runner import warm_up
        from goal_drift_gym.side_by_side import SideBySide

        warm_up()
        threads: SideBySide[int, HeldRun] = SideBySide()
        begun = 0
        try:
            with kept_apart():
                try:
                    while begun < len(episodes) or threads.running:
                        while begun < len(episodes) and threads.running < self._limit:
                            threads.start(begun, self._player(episodes[begun]))
                            begun += 1
                        ended = threads.wait()
                        episode = episodes[ended.key]
                        episode.held, episode.error, episode.over = ended.value, ended.error, True
                        yield episode
                finally:
                    for late in threads.close():
                        episodes[late.key].held = late.value
            episodes = []
        finally:
            _drop(episodes, NOT_TAKEN)

    def _player(self, episode: _Episode) -> Callable[[Any, bool], HeldRun]:
        def play(cohort: Any, own_loop: bool) -> HeldRun:
            if episode.output is not None:
                keep_mine(episode.output)
            episode.agent = episode.agents()
            return self._services.hold(episode.experiment, episode.agent, episode.seed, cohort, own_loop=own_loop)

        return play


def _first(agent: Agent, more: Callable[[], Agent]) -> Callable[[], Agent]:
    """Return what gives one agent first and others from then on."""
    left = [agent]
    return lambda: left.pop() if left else more()


def _kept(episodes: Sequence[_Episode]) -> list[Run]:
    """Return the finished runs of episodes, and let their output out; the first error among them is raised."""
    runs: list[Run] = []
    for place, episode in enumerate(episodes):
        if episode.output is not None:
            episode.output.give_out()
        if episode.error is not None:
            _drop(episodes[place:], NOT_TAKEN)
            raise episode.error
        assert episode.held is not None
        held, episode.held = episode.held, None
        runs.append(held.keep())
    return runs


def _drop(episodes: Sequence[_Episode], reason: str) -> None:
    from goal_drift_gym.core.errors import RunRecordError

    for episode in episodes:
        held, episode.held = episode.held, None
        if held is None:
            continue
        try:
            held.drop(reason)
        except RunRecordError:
            continue  # Without an end it is an unfinished run, which is as true.
