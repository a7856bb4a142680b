"""The jobs of a sweep side by side in one process.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence

from goal_drift_gym.agents.copies import copies_of
from goal_drift_gym.agents.loading import agent_factory
from goal_drift_gym.core.cohort import Cohort, Displaced
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.job_episodes import hold
from goal_drift_gym.run_end import warm_up
from goal_drift_gym.runner import Experiment
from goal_drift_gym.scenarios.discovery import find_scenario
from goal_drift_gym.side_by_side import SideBySide
from goal_drift_gym.sweep import Done, Job, done_with, failed, make_agent

_POLL_S = 0.2


class JobThreads:
    """Runs jobs at the same time.

    An agent that is one object for all episodes and cannot be copied is asked for one episode after the other.

    Parameters
    ----------
    ended
        Told of each job that ended, in its thread; by default `wait` tells.
    """

    def __init__(self, ended: Callable[[int, Done], None] | None = None) -> None:
        self._threads: SideBySide[int, Done] = SideBySide()
        self._ended = ended
        self._lanes: dict[int, tuple[Agent, threading.Lock]] = {}
        """By the identity of an agent, which is kept so that its identity stays its own."""
        warm_up()

    @property
    def running(self) -> int:
        """Jobs that were started and not waited for."""
        return self._threads.running

    def start(self, index: int, job: Job) -> None:
        """Start a job."""
        ended = self._ended

        def play(cohort: Cohort, own_loop: bool) -> Done:
            try:
                done = run(cohort, own_loop)
            except GoalDriftError as error:
                done = failed(error)
            except BaseException as error:
                if ended is None or cohort.stopped or isinstance(error, Displaced):
                    raise
                # Nobody else would hear of it, and who waits for this job would wait for ever.
                done = Done(error=f"{type(error).__name__} in the middle of a run: {error}")
            if ended is not None:
                ended(index, done)
            return done

        try:
            run = self._run_of(job)
        except GoalDriftError as error:
            run = _failing(error)
        self._threads.start(index, play)

    def wait(self) -> tuple[int, Done]:
        """Return the next job that ends, and what became of it."""
        while True:
            ended = self._threads.wait()
            if ended.value is not None:
                return ended.key, ended.value
            assert ended.error is not None
            raise ended.error

    def close(self) -> None:
        """Stop what runs; each run is closed as interrupted."""
        self._threads.close()

    def _run_of(self, job: Job) -> Callable[[Cohort, bool], Done]:
        experiment = Experiment(find_scenario(job.scenario), parse_condition(job.condition))
        agents, lane = self._agents(job.agent)
        # The first one is made here: not every agent can be made in several threads at once.
        first = [agents()]

        def run(cohort: Cohort, own_loop: bool) -> Done:
            agent = first.pop() if first else agents()
            with _Turn(lane, cohort):
                return done_with(hold(job, experiment, agent, cohort=cohort, own_loop=own_loop).keep())

        return run

    def _agents(self, reference: str) -> tuple[Callable[[], Agent], threading.Lock | None]:
        if inspect.isclass(agent_factory(reference)):
            return lambda: make_agent(reference), None
        agent = make_agent(reference)
        copies = copies_of(agent)
        if copies is not None:
            return copies, None
        _, lane = self._lanes.setdefault(id(agent), (agent, threading.Lock()))
        return lambda: agent, lane


class _Turn:
    """Holds a lock that is waited for no longer than the episodes of the cohort go on."""

    def __init__(self, lane: threading.Lock | None, cohort: Cohort) -> None:
        self._lane = lane
        self._cohort = cohort

    def __enter__(self) -> None:
        while self._lane is not None and not self._lane.acquire(timeout=_POLL_S):
            if self._cohort.stopped:
                raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        if self._lane is not None:
            self._lane.release()


def _failing(error: GoalDriftError) -> Callable[[Cohort, bool], Done]:
    def fail(cohort: Cohort, own_loop: bool) -> Done:
        raise error

    return fail


def run_side_by_side(jobs: Sequence[Job], concurrency: int, keep: Callable[[int, Done], None]) -> None:
    """Run jobs in this process, so many at a time; after an error none is begun any more."""
    threads = JobThreads()
    begun = 0
    try:
        while True:
            while begun < len(jobs) and threads.running < concurrency:
                threads.start(begun, jobs[begun])
                begun += 1
            if not threads.running:
                return
            index, done = threads.wait()
            keep(index, done)
            if done.error is not None:
                begun = len(jobs)
    finally:
        threads.close()
