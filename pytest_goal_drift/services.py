"""What the fixtures share in one pytest process: settings, resolved scenarios, agents, recorded runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.budgeting import shared_budget
from pytest_goal_drift.keys import SERVICES
from pytest_goal_drift.ledger import Ledger
from pytest_goal_drift.own_outcomes import no_way_out
from pytest_goal_drift.settings import Settings, read_settings

if TYPE_CHECKING:
    from goal_drift_gym.baselines import Baseline
    from goal_drift_gym.core.budget import Budget
    from goal_drift_gym.core.cohort import Cohort
    from goal_drift_gym.core.condition import Condition
    from goal_drift_gym.core.engine import Limits
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.eval.verdict import Verdict
    from goal_drift_gym.run_end import FinishedRun, HeldRun
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.sessions import Place, Session
    from pytest_goal_drift.replaying import Recordings
    from pytest_goal_drift.side_by_side import SideBySideRuns


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A scenario as a test names it."""

    scenario: str
    condition: str | Condition
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What tells two specs apart inside one process."""
        return repr((self.scenario, self.condition, sorted(self.settings.items())))


class Services:
    """One a pytest process; everything in it is made when it is first asked for."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self._experiments: dict[str, Experiment | Exception] = {}
        self._factory: Callable[[], Agent] | None = None
        self._recorded: Recordings | None = None
        self._session: Session | None = None
        if settings.otel is not None:
            from goal_drift_gym.tracing import switch_on

            switch_on(content=settings.otel == "content")
        self._made: list[Agent] = []
        """Agents of `--drift-agent` made for the item at hand."""
        self._baseline: Baseline | None = None
        self.ledger = Ledger(self._ledger_directory(config))
        self.side_by_side: SideBySideRuns | None = None
        """None where episodes run one after the other."""
        if settings.concurrency > 1 and settings.replay is None:
            from pytest_goal_drift.claims import claims_of
            from pytest_goal_drift.side_by_side import SideBySideRuns

            self.side_by_side = SideBySideRuns(self, claims_of(config))
        self.decisions: dict[tuple[str, int], Verdict] = {}
        """Verdicts by group and look."""

    @staticmethod
    def _ledger_directory(config: pytest.Config) -> Path | None:
        handed = getattr(config, "workerinput", {}).get("goal_drift", {}).get("ledger")
        return None if handed is None else Path(handed)

    @cached_property
    def budget(self) -> Budget | None:
        """What all processes of the session may spend together."""
        return shared_budget(self.config, self.settings)

    def spec(self, item: pytest.Item, marker: pytest.Mark) -> Spec:
        """Read a `drift_scenario` marker.

        Raises
        ------
        TypeError
            If it does not name one scenario, or gives something that is no name.
        """
        names = list(marker.args)
        settings = dict(marker.kwargs)
        name = names.pop(0) if names else settings.pop("name", None)
        condition = names.pop(0) if names else settings.pop("condition", "baseline")
        if names:
            raise TypeError(f"it takes a scenario and a condition, {names[0]!r} is one argument too many")
        if not isinstance(name, str):
            raise TypeError(
                f"the scenario is {name!r} ({type(name).__name__}); write its name first: 'release_manager'"
            )
        return self.spec_of(name, condition, settings, beside=item.path)

    def spec_of(self, name: str, condition: Any, settings: Mapping[str, Any], *, beside: Path) -> Spec:
        """Return what a test asks for, with `--drift-condition` and the test's directory taken into account."""
        asked = condition if self.settings.condition is None else self.settings.condition
        if isinstance(asked, str):
            asked = self._path(str.__str__(asked), ".toml", beside if self.settings.condition is None else None)
        elif type(asked).__name__ != "Condition":
            raise TypeError(
                f"condition={asked!r} ({type(asked).__name__}); a name, the path of a TOML file, or a Condition"
            )
        # Members of an enum of texts are texts too, but cannot be sent to another process.
        scenario = self._path(str.__str__(name), ".py", beside)
        return Spec(scenario=scenario, condition=asked, settings=settings)

    def check(self, spec: Spec) -> None:
        """Resolve a spec once; a scenario that is broken is not the caller's mistake and is left for its own tests.

        Raises
        ------
        UsageError
            If there is no such scenario or condition, or a setting is wrong.
        """
        from goal_drift_gym.core.errors import UsageError

        found = self._resolve(spec)
        if isinstance(found, UsageError):
            raise found

    def experiment(self, spec: Spec) -> Experiment:
        """Return the resolved experiment.

        Raises
        ------
        GoalDriftError
            Whatever was wrong with it.
        """
        found = self._resolve(spec)
        if isinstance(found, Exception):
            raise found
        return found

    def scored_steps(self, spec: Spec) -> int | None:
        """Return how many steps of an episode can be scored; None where the scenario cannot be loaded."""
        found = self._resolve(spec)
        if isinstance(found, Exception):
            return None
        condition = found.condition
        before = 0 if condition.phases is None else condition.phases.earliest
        if condition.prefix is not None:
            before = max(before, condition.prefix.steps)
        return max(condition.steps - before, 0)

    def baseline(self) -> Baseline | None:
        """Return the baseline of `--drift-baseline`, read once; None where nobody named one.

        Raises
        ------
        pytest.UsageError
            If there is none by that name.
        """
        if self._baseline is None and self.settings.baseline is not None:
            from pytest_goal_drift.baselining import read_baseline

            self._baseline = read_baseline(self)
        return self._baseline

    def titles(self, spec: Spec) -> tuple[str, str]:
        """Return the names of scenario and condition for tables; of one that cannot be loaded what the test says."""
        found = self._resolve(spec)
        if isinstance(found, Exception):
            return spec.scenario, spec.condition if isinstance(spec.condition, str) else spec.condition.name
        return found.entry.load().id, found.condition.name

    def has_section(self, spec: Spec, name: str) -> bool:
        """Return whether the condition has a part that a twin can be run without; True where it cannot be loaded."""
        from pytest_goal_drift.twinning import has_part

        found = self._resolve(spec)
        return isinstance(found, Exception) or has_part(found.condition, name)

    def agent(self, item: pytest.Item) -> Agent | None:
        """Return the agent of `--drift-agent` for an item, or None where nobody named one.

        It is fresh, or the one that has lived through the episode that was run ahead for this item.

        Raises
        ------
        AgentNotFound
            If there is none by that name.
        """
        factory = self.agent_factory()
        if factory is None:
            return None
        lent = None if self.side_by_side is None else self.side_by_side.lent(item)
        with no_way_out(exits=True):
            self._made = [factory() if lent is None else lent]
        return self._made[0]

    def another(self, agent: Agent) -> Agent:
        """Return an agent for one more episode of the same item: a fresh one where `agent` is of `--drift-agent`.

        The agent of a `drift_agent` fixture cannot be made again. It is copied where it has a `for_episode`; any other
        is told of the new episode by its `reset`.
        """
        factory = self.agent_factory()
        if factory is not None and self.made(agent):
            with no_way_out(exits=True):
                self._made.append(factory())
            return self._made[-1]
        if not hasattr(agent, "for_episode"):
            return agent
        from goal_drift_gym.agents.copies import copies_of

        copies = copies_of(agent)
        with no_way_out():
            return agent if copies is None else copies()

    def made(self, agent: Agent) -> bool:
        """Return whether an agent is of `--drift-agent`."""
        return any(agent is made for made in self._made)

    def makes_fresh(self, agent: Agent) -> bool:
        """Return whether `another` gives a new object in place of this agent."""
        return self.made(agent) and inspect.isclass(self.agent_factory())

    def take_over(self, agents: Iterable[Agent]) -> None:
        """Learn of agents of `--drift-agent` that were made while another item was at hand."""
        self._made += agents

    def agent_factory(self) -> Callable[[], Agent] | None:
        """Return what makes the agents of `--drift-agent`, or None where nobody named one.

        Raises
        ------
        AgentNotFound
            If there is none by that name.
        AgentError
            If its module skips or expects a failure of what loads it.
        """
        if self._factory is None and self.settings.agent is not None:
            from goal_drift_gym.agents.loading import agent_factory

            with no_way_out():
                self._factory = agent_factory(self.settings.agent)
        return self._factory

    @property
    def session(self) -> Session:
        """The runs of this session; with `--drift-resume` those of the one that was interrupted, too.

        Raises
        ------
        pytest.UsageError
            If there is no session to go on with.
        """
        if self._session is None:
            from pytest_goal_drift.going_on import session_of

            self._session = session_of(self)
        return self._session

    def place(self, owner: str, experiment: Experiment, seed: int, *, ahead: bool = False) -> Place:
        """Return the place of an episode in the session.

        Parameters
        ----------
        ahead
            Do not count it: who asks for the episode, maybe in another process, will.
        """
        next_place = self.session.peek if ahead else self.session.take
        return next_place(owner, experiment.entry.load().id, experiment.condition.name, seed)

    def close(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            self._session.close()

    def run(self, experiment: Experiment, agent: Agent, place: Place) -> Run:
        """Run one episode, or take what `--drift-replay` or `--drift-resume` has of it.

        Raises
        ------
        BudgetSpent
            If a limit of the session is spent.
        """
        if self.settings.replay is not None:
            with no_way_out():
                return self._replay(self.settings.replay, experiment, agent, place)
        from pytest_goal_drift.going_on import hold

        with no_way_out():
            return hold(self, experiment, agent, place, limits=self._limits()).keep()

    def hold(
        self, experiment: Experiment, agent: Agent, place: Place, cohort: Cohort, *, own_loop: bool
    ) -> HeldRun | FinishedRun:
        """Run one episode beside others, and leave the end of its run open."""
        from pytest_goal_drift.going_on import hold

        with no_way_out():
            return hold(self, experiment, agent, place, limits=self._limits(), cohort=cohort, own_loop=own_loop)

    def _limits(self) -> Limits | None:
        from goal_drift_gym.core.engine import Limits

        timeout = self.settings.timeout_s
        return None if timeout is None else Limits(step_timeout_s=timeout)

    def relative(self, path: Path) -> str:
        """Return a path from the root directory where it lies below it."""
        text = str(path)
        root = str(self.config.rootpath) + os.sep
        return text[len(root) :] if text.startswith(root) else text

    def shown(self, path: Path) -> str:
        """Return a path as it can be written where pytest was started."""
        try:
            relative = os.path.relpath(path, self.config.invocation_params.dir)
        except ValueError:  # another drive, on Windows
            return str(path)
        return str(path) if relative.startswith(f"..{os.sep}..") else str(Path(relative))

    def _resolve(self, spec: Spec) -> Experiment | Exception:
        found = self._experiments.get(spec.key)
        if found is None:
            from goal_drift_gym.core.errors import GoalDriftError
            from goal_drift_gym.runner import Experiment

            try:
                found = Experiment.of(spec.scenario, spec.condition, spec.settings or None)
                found.entry.load()
            except GoalDriftError as error:
                found = error
            self._experiments[spec.key] = found
        return found

    def _replay(self, source: Path, experiment: Experiment, agent: Agent, place: Place) -> Run:
        from pytest_goal_drift.replaying import Recordings

        if self._recorded is None:
            self._recorded = Recordings(source, self.settings.runs_dir)
        return self._recorded.replay(experiment, agent, place)

    def _path(self, reference: str, suffix: str, beside: Path | None) -> str:
        file, colon, name = reference.partition(suffix + ":") if suffix + ":" in reference else (reference, "", "")
        if colon:
            file += suffix
        if not file.endswith(suffix) or Path(file).is_absolute():
            return reference
        homes = [beside.parent, self.config.rootpath] if beside is not None else []
        for home in [*homes, self.config.invocation_params.dir]:
            if (home / file).is_file():
                return str(home / file) + (f":{name}" if colon else "")
        return reference


def services_of(config: pytest.Config) -> Services:
    """Return the services of this process, made on first use.

    Raises
    ------
    pytest.UsageError
        If an ini setting is wrong.
    """
    services = config.stash.get(SERVICES, None)
    if services is None:
        services = config.stash[SERVICES] = Services(config, read_settings(config))
    return services
