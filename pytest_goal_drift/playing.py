"""Running the episodes of several tests, or seeds, at the same time, and what becomes of their runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_goal_drift.kept_output import KeptOutput, keep_mine, kept_apart

if TYPE_CHECKING:
    from goal_drift_gym.core.cohort import Cohort
    from goal_drift_gym.core.host import Agent
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.run_end import FinishedRun, HandedOver, HeldRun
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.sessions import Place
    from pytest_goal_drift.services import Services

NOT_TAKEN = "run ahead of its test, and no test took it: the session ended, or the test was left out, before"
OTHER_AGENT = "run ahead of its test, which then had another agent or scenario"


@dataclass(slots=True, kw_only=True)
class PlannedEpisode:
    """One episode to run."""

    experiment: Experiment
    place: Place
    """Where in the session it belongs."""
    agents: Callable[[], Agent]
    output: KeptOutput | None
    """Where its output goes; None: it is the output of the test at hand."""
    agent: Agent | None = None
    """The agent that lived through it, once it has begun."""
    held: HeldRun | FinishedRun | None = None
    error: BaseException | None = None
    over: bool = False


def first_then(agent: Agent, more: Callable[[], Agent]) -> Callable[[], Agent]:
    """Return what gives one agent first and others from then on."""
    left = [agent]
    return lambda: left.pop() if left else more()


def play(episodes: Iterable[PlannedEpisode], limit: int, services: Services) -> Generator[PlannedEpisode]:
    """Run episodes, so many at once, and yield each when it is over.

    Stopped early, by an interruption for instance, it leaves no run that looks complete and was not kept.
    """
    from goal_drift_gym.run_end import warm_up
    from goal_drift_gym.side_by_side import SideBySide

    warm_up()
    threads: SideBySide[int, HeldRun | FinishedRun] = SideBySide()
    begun: list[PlannedEpisode] = []
    is_whole = False
    coming = iter(episodes)
    try:
        with kept_apart():
            try:
                going = True
                while going or threads.running:
                    while going and threads.running < limit:
                        episode = next(coming, None)
                        going = episode is not None
                        if episode is not None:
                            begun.append(episode)
                            threads.start(len(begun) - 1, _player(episode, services))
                    if threads.running:
                        ended = threads.wait()
                        episode = begun[ended.key]
                        episode.held, episode.error, episode.over = ended.value, ended.error, True
                        yield episode
                is_whole = True
            finally:
                for late in threads.close():
                    begun[late.key].held = late.value
    finally:
        if not is_whole:
            drop(begun, NOT_TAKEN)


def keep(episodes: Sequence[PlannedEpisode]) -> list[Run]:
    """Return the finished runs of episodes, and let their output out; the first error among them is raised."""
    runs: list[Run] = []
    for place, episode in enumerate(episodes):
        if episode.output is not None:
            episode.output.give_out()
        if episode.error is not None:
            drop(episodes[place:], NOT_TAKEN)
            raise episode.error
        assert episode.held is not None
        held, episode.held = episode.held, None
        runs.append(held.keep())
    return runs


def drop(episodes: Sequence[PlannedEpisode], reason: str) -> None:
    """Close the runs of episodes as interrupted."""
    for episode in episodes:
        held, episode.held = episode.held, None
        if held is not None:
            drop_one(held.hand_over(reason))


def drop_one(held: HandedOver) -> None:
    """Close a run as interrupted. Where even that cannot be written, it stays an unfinished run, which is as true."""
    from goal_drift_gym.core.errors import RunRecordError

    try:
        held.drop()
    except RunRecordError:
        return


def _player(episode: PlannedEpisode, services: Services) -> Callable[[Cohort, bool], HeldRun | FinishedRun]:
    def player(cohort: Cohort, own_loop: bool) -> HeldRun | FinishedRun:
        if episode.output is not None:
            keep_mine(episode.output)
        episode.agent = episode.agents()
        return services.hold(episode.experiment, episode.agent, episode.place, cohort, own_loop=own_loop)

    return player


def described(agent: Agent) -> dict[str, Any]:
    """Return what config.json would say of an agent."""
    from goal_drift_gym.agents.loading import describe_agent
    from goal_drift_gym.core.redaction import Redactor

    return describe_agent(agent, Redactor.from_environment())
