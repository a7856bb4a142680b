"""Many episodes: planned first, then run one after another, side by side or in several processes.

Results come in the planned order. In each process up to `concurrency` episodes wait for their agents at a time.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.loading import agent_factory, check_agent
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.account import limit_told
from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.errors import AgentError, BudgetSpent, GoalDriftError, UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.rundir import Run, load_run
from goal_drift_gym.job_episodes import hold
from goal_drift_gym.runner import DEFAULT_TIMEOUT_S, Experiment
from goal_drift_gym.scenarios.discovery import conditions_of, find_scenario, scenario_entries

ALL = "all"
FAILS_ON_PURPOSE = frozenset({"crasher", "hanger"})
"""Reference agents whose runs are meant to end as errors."""

HANGER_TIMEOUT_S = 0.5
"""What `hanger` is given when no timeout is asked for: it never answers, and waiting longer shows nothing more."""

_GRACE_S = 10.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One episode to run, in words another process understands."""

    scenario: str
    condition: dict[str, Any]
    agent: str
    seed: int
    runs_dir: str
    timeout_s: float
    budget: Budget | None = None
    repeat: int = 0
    """Number of earlier jobs with the same names of all, and the same seed."""
    record: str | None = None
    """Directory for the tape of the episode."""
    replay: str | None = None
    """Where its tape is taken from, instead of the agent."""
    session: str | None = None
    """Name of the session it belongs to."""
    resumed: bool = False
    """Whether that session is gone on with."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job: a run, an error, or neither when it was not begun or was interrupted."""

    run: str | None = None
    error: str | None = None
    usage: bool = False
    """Whether the error is the caller's."""
    refused: str | None = None
    """The limit of the session because of which it was not begun or, where there is a run, was cut off."""


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was not run to its end because a limit of the session was reached."""

    job: Job
    why: str
    run: str | None
    """The run that was cut off; None where it was not begun."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all jobs."""

    runs: list[Run]
    """The finished runs, in the planned order."""
    interrupted: bool
    errors: list[Done]
    """What stopped the sweep; empty when nothing did."""
    not_run: list[NotRun] = []
    """What a limit of the session kept from being run to its end."""


def plan(
    scenarios: Sequence[str],
    conditions: Sequence[str],
    agents: Sequence[str],
    seeds: Sequence[int],
    *,
    settings: Mapping[str, Any],
    runs_dir: str | Path,
    timeout_s: float | None,
) -> list[Job]:
    """Return the jobs of every scenario under every condition with every agent and seed.

    Every name is resolved and every condition tried on its scenario first, so that a mistake shows before anything
    runs. `all` stands for the installed scenarios, the conditions a scenario brings, and the reference agents.

    Raises
    ------
    UsageError
        If a name does not exist or a condition does not fit its scenario.
    """
    if timeout_s is not None and not 0.0 < timeout_s < float("inf"):
        raise UsageError(f"a timeout of {timeout_s!r} s is none; give seconds above 0")
    names = _spread(agents, list(REFERENCE_AGENTS))
    for name in names:
        make_agent(name)
    experiments: list[Experiment] = []
    for scenario in _spread(scenarios, list(scenario_entries())):
        entry = find_scenario(scenario)
        for condition in _spread(conditions, list(conditions_of(entry.load()))):
            experiment = Experiment.of(entry.reference, condition, settings)
            experiment.episode(seeds[0])
            experiments.append(experiment)
    return [
        Job(
            scenario=experiment.entry.reference,
            condition=experiment.condition.resolved(),
            agent=name,
            seed=seed,
            runs_dir=str(runs_dir),
            timeout_s=timeout_of(name, timeout_s),
        )
        for experiment in experiments
        for name in names
        for seed in seeds
    ]


def timeout_of(agent: str, timeout_s: float | None) -> float:
    """Return the seconds an agent gets a turn, where `timeout_s` was asked for or nothing was."""
    if timeout_s is not None:
        return timeout_s
    return HANGER_TIMEOUT_S if agent == "hanger" else DEFAULT_TIMEOUT_S


def make_agent(reference: str) -> Agent:
    """Return a fresh agent by its name.

    Raises
    ------
    AgentNotFound
        If there is none by that name.
    AgentError
        If it cannot be made.
    """
    factory = agent_factory(reference)
    try:
        agent = factory()
    except (Exception, SystemExit) as error:
        raise AgentError(f"the agent {reference!r} cannot be made: {type(error).__name__}: {error}") from error
    return check_agent(agent)


def run_jobs(
    jobs: Sequence[Job], *, workers: int, report: Callable[[int, Job, Done], None], concurrency: int = 1
) -> Sweep:
    """Run jobs and return what became of them; the first error or an interruption ends the rest.

    Parameters
    ----------
    jobs
        What to run.
    workers
        Number of processes; 1 runs all in this one.
    report
        Told of each finished job: its index, the job and what became of it.
    concurrency
        Episodes at once in each process.
    """
    results: dict[int, Done] = {}

    def keep(index: int, done: Done) -> None:
        results[index] = done
        report(index, jobs[index], done)

    try:
        if workers > 1:
            _Pool(jobs, min(workers, len(jobs)), keep, concurrency).run()
        elif concurrency > 1:
            from goal_drift_gym.job_threads import run_side_by_side

            run_side_by_side(jobs, concurrency, keep)
        else:
            _run_here(jobs, keep)
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    finished = [results[index] for index in sorted(results)]
    return Sweep(
        runs=[load_run(done.run) for done in finished if done.run is not None],
        interrupted=interrupted,
        errors=[done for done in finished if done.error is not None],
        not_run=[
            NotRun(job=jobs[index], why=done.refused, run=done.run)
            for index, done in sorted(results.items())
            if done.refused is not None
        ],
    )


def _spread(names: Sequence[str], everything: list[str]) -> list[str]:
    spread = [known for name in names for known in (everything if name == ALL else [name])]
    return list(dict.fromkeys(spread))


def done_with(run: Run) -> Done:
    """Return what became of a job that gave a run."""
    return Done(run=str(run.path), refused=limit_told(run.meta, "session") or None)


def failed(error: GoalDriftError) -> Done:
    """Return what became of a job that gave none."""
    if isinstance(error, BudgetSpent):
        return Done(refused=str(error))
    return Done(error=str(error), usage=isinstance(error, UsageError))


def _run_job(job: Job) -> Done:
    try:
        experiment = Experiment(find_scenario(job.scenario), parse_condition(job.condition))
        run = hold(job, experiment, make_agent(job.agent)).keep()
    except GoalDriftError as error:
        return failed(error)
    return done_with(run)


def _run_here(jobs: Sequence[Job], keep: Callable[[int, Done], None]) -> None:
    for index, job in enumerate(jobs):
        done = _run_job(job)
        keep(index, done)
        if done.error is not None:
            return


class _Pool:
    """Worker processes that are handed one job after another, or keep several going.

    concurrent.futures is not used: it hides its processes, and a Ctrl-C must reach each of them once, so that the
    episode it is in is closed as interrupted.
    """

    def __init__(self, jobs: Sequence[Job], workers: int, keep: Callable[[int, Done], None], concurrency: int) -> None:
        self._jobs = jobs
        self._keep = keep
        self._concurrency = concurrency
        self._next = 0
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, BaseProcess] = {}
        self._busy: dict[Connection, list[int]] = {}
        self._count = workers

    def run(self) -> None:
        try:
            for _ in range(self._count):
                self._give(self._start())
            for _ in range(self._concurrency - 1):
                for idle in self._workers:
                    self._give(idle)
            while busy := [connection for connection, jobs in self._busy.items() if jobs]:
                for connection in wait(busy):
                    assert isinstance(connection, Connection)
                    self._take(connection)
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._stop()

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._concurrency)
        process = self._context.Process(target=_work, args=arguments, name="goal-drift-worker", daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()
        self._workers[ours] = process
        self._busy[ours] = []
        return ours

    def _give(self, connection: Connection) -> None:
        if self._next >= len(self._jobs):
            return
        try:
            connection.send_bytes(msgspec.json.encode((self._next, self._jobs[self._next])))
        except OSError:
            pass  # The worker is gone, which shows when its answer is waited for.
        self._busy[connection].append(self._next)
        self._next += 1

    def _take(self, connection: Connection) -> None:
        try:
            index, done = msgspec.json.decode(connection.recv_bytes(), type=tuple[int, Done])
            self._busy[connection].remove(index)
        except (EOFError, OSError):
            process = self._workers[connection]
            process.join(_GRACE_S)
            index = self._busy.pop(connection)[0]
            done = Done(error=f"a worker process ended with exit code {process.exitcode} in the middle of a run")
        self._keep(index, done)
        if done.error is not None:
            self._next = len(self._jobs)
        if connection in self._busy:
            self._give(connection)

    def _interrupt(self) -> None:
        for process in self._workers.values():
            if process.is_alive() and process.pid is not None:
                try:
                    os.kill(process.pid, signal.SIGINT)
                except OSError:
                    continue

    def _stop(self) -> None:
        for connection in self._workers:
            connection.close()
        for process in self._workers.values():
            process.join(_GRACE_S)
            if process.is_alive():
                process.terminate()
                process.join()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep an interruption for later; a process started meanwhile keeps it until it can close its run properly."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker would release the signal when the first process is started.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _interrupt_once(*_: Any) -> None:
    # The terminal and the parent both send the signal; the second one must not cut the closing of the run short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _work(connection: Connection, concurrency: int) -> None:
    signal.signal(signal.SIGINT, _interrupt_once)
    # What an agent prints must not mix with the tables and JSON of the command.
    sys.stdout = sys.stderr
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if concurrency > 1:
            _work_side_by_side(connection)
        while True:
            index, job = msgspec.json.decode(connection.recv_bytes(), type=tuple[int, Job])
            connection.send_bytes(msgspec.json.encode((index, _run_job(job))))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _work_side_by_side(connection: Connection) -> None:
    from goal_drift_gym.job_threads import JobThreads

    one_at_a_time = threading.Lock()

    def send(index: int, done: Done) -> None:
        with one_at_a_time:
            connection.send_bytes(msgspec.json.encode((index, done)))

    threads = JobThreads(send)
    try:
        while True:
            threads.start(*msgspec.json.decode(connection.recv_bytes(), type=tuple[int, Job]))
    finally:
        threads.close()
