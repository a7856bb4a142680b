"""One episode from names to a finished run directory: what the command and the plugin both use.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.adversary_loading import describe_adversaries, make_adversary, require_adversaries
from goal_drift_gym.agents.loading import check_agent, describe_agent, reset_agent
from goal_drift_gym.agents.tape import TapeRecorder
from goal_drift_gym.agents.tape_file import TapeSlot
from goal_drift_gym.consistency import config_difference, metrics_difference
from goal_drift_gym.core.account import Account, account_of
from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.cohort import Cohort
from goal_drift_gym.core.condition import Condition, override, parse_condition
from goal_drift_gym.core.engine import Episode, Limits
from goal_drift_gym.core.errors import BudgetSpent, RunRecordError, UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.provenance import engine_version
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.replay import Difference, prefix_length, recorded_limits, reproduce
from goal_drift_gym.core.rundir import Run, RunConfig, RunWriter, ScenarioInfo
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.grouping import is_imported
from goal_drift_gym.living import live
from goal_drift_gym.prefixes import prefix_records
from goal_drift_gym.run_end import HeldRun, metrics_of
from goal_drift_gym.scenarios.discovery import ScenarioEntry, find_condition, find_scenario

DEFAULT_TIMEOUT_S = 300.0
"""Seconds an agent may take for one turn when nobody says otherwise."""

RESUMABLE = frozenset({None, "interrupted", "infra_error"})
"""How a run may have ended to be resumed; None: its writer was killed."""


class Experiment(msgspec.Struct, frozen=True):
    """A scenario under a condition, resolved and ready to run with any seed and agent."""

    entry: ScenarioEntry
    condition: Condition

    @classmethod
    def of(
        cls, scenario: str, condition: str | Condition = "baseline", settings: Mapping[str, Any] | None = None
    ) -> Experiment:
        """Resolve names.

        Parameters
        ----------
        scenario
            A registered id, `package.module:Name`, or a file path.
        condition
            A condition's name, the path of a TOML file, or a `Condition`.
        settings
            Dotted keys that override the condition's, such as `{"steps": 20}`.

        Raises
        ------
        UsageError
            If there is no such scenario or condition, or a setting is wrong.
        """
        entry = find_scenario(scenario)
        if isinstance(condition, str):
            condition = find_condition(entry.load(), condition)
        return cls(entry, override(condition, settings) if settings else condition)

    @classmethod
    def of_run(cls, run: Run) -> Experiment:
        """Return the experiment a run belongs to.

        Raises
        ------
        RunRecordError
            If the scenario at hand is of another version than the recorded one, or the run was imported.
        """
        recorded = run.config.scenario
        if is_imported(run):
            raise RunRecordError(f"{run.path} was imported: there is no scenario to drive again")
        entry = find_scenario(recorded.reference)
        version = entry.load().version
        if version != recorded.version:
            raise RunRecordError(
                f"{run.path} was recorded with version {recorded.version} of scenario {recorded.id!r}, "
                f"installed is {version}"
            )
        return cls(entry, parse_condition(run.config.condition, where=f"{run.path}: condition"))

    def episode(
        self,
        seed: int,
        *,
        limits: Limits | None = None,
        redactor: Redactor | None = None,
        account: Account | None = None,
    ) -> Episode:
        """Return a fresh episode of this experiment."""
        return Episode(
            self.entry.load()(),
            self.condition,
            seed=seed,
            limits=limits,
            redactor=redactor,
            account=account,
            adversaries=make_adversary,
        )

    def config(self, episode: Episode, agent: Agent) -> RunConfig:
        """Return what config.json of a run will hold."""
        scenario = episode.scenario
        flags = {name: spec.flags for name, spec in episode.tools.items()}
        return RunConfig(
            scenario=ScenarioInfo(
                id=scenario.id,
                version=scenario.version,
                distribution=self.entry.distribution,
                reference=self.entry.reference,
            ),
            condition=self.condition.resolved(),
            goal={
                "prompt": episode.goal,
                "system": scenario.goal.system_name,
                "competing": scenario.goal.competing_name,
                "polarity": self.condition.goal.polarity,
            },
            tools=[
                {
                    "name": spec.name,
                    "description": spec.description,
                    "parameters": spec.parameters,
                    **msgspec.to_builtins(flags[spec.name]),
                }
                for spec in episode.tools.values()
            ],
            agent=describe_agent(agent, episode.redactor),
            seed=episode.seed,
            engine_version=engine_version(),
            limits={"calls_per_turn": episode.limits.calls_per_turn},
            adversaries=describe_adversaries(episode.adversaries, episode.redactor) or msgspec.UNSET,
        )


def run_episode(
    experiment: Experiment,
    agent: Agent,
    *,
    seed: int,
    runs_dir: str | Path = "runs",
    limits: Limits | None = None,
    budget: Budget | None = None,
    tape: TapeSlot | None = None,
) -> Run:
    """Run one episode and return its finished run directory.

    Parameters
    ----------
    experiment
        Scenario and condition. Where the condition has a prefix, that run is read first.
    agent
        A callable that takes a `Turn`; its `reset(seed=...)` is called first where it has one.
    seed
        Any integer of 64 bits.
    runs_dir
        Where run directories go; made when it does not exist.
    limits
        What the engine allows the agent; by default 300 s a turn.
    budget
        What may be spent. A run that reaches a limit ends as `budget` and is not scored.
    tape
        Where to record what the agent is shown and answers.

    Raises
    ------
    UsageError
        If the agent, seed or condition does not fit.
    BudgetSpent
        If a limit of the session is spent already; no run directory is made then.
    RunRecordError
        If the run directory cannot be written.

    Notes
    -----
    What goes wrong inside the agent or the scenario is the run's outcome, not an exception. An interruption is
    recorded and passes through.
    """
    held = hold_episode(experiment, agent, seed=seed, runs_dir=runs_dir, limits=limits, budget=budget, tape=tape)
    return held.keep()


def hold_episode(
    experiment: Experiment,
    agent: Agent,
    *,
    seed: int,
    runs_dir: str | Path = "runs",
    limits: Limits | None = None,
    budget: Budget | None = None,
    tape: TapeSlot | None = None,
    begun: Callable[[Path], None] | None = None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun:
    """Run one episode as `run_episode` does, and leave it open how its run ends.

    Parameters
    ----------
    begun
        Told of the run directory before the agent is asked.
    cohort
        The episodes that run beside this one. An episode that is stopped through it ends as an interrupted run, and
        raises KeyboardInterrupt.
    own_loop
        Give an async agent an event loop of its own all the same.

    Raises
    ------
    Displaced
        If the agent of another episode blocked the event loop; the run is closed as interrupted.
    """
    check_agent(agent)
    redactor = Redactor.from_environment()
    prefix = prefix_records(experiment, seed)
    account = account_of(agent, budget)
    spent = account.begin_turn()
    if spent is not None:
        raise BudgetSpent(str(spent))
    allowed = limits or Limits(step_timeout_s=DEFAULT_TIMEOUT_S)
    episode = experiment.episode(seed, limits=allowed, redactor=redactor, account=account)
    reset_agent(agent, seed)
    config = experiment.config(episode, agent)
    recorder = None if tape is None else TapeRecorder.begin(tape, config)
    writer = RunWriter.create(Path(runs_dir), config, redactor)
    if begun is not None:
        begun(writer.path)
    return live(writer, episode, agent, prefix=prefix, recorder=recorder, cohort=cohort, own_loop=own_loop)


def resume_run(
    run: Run,
    agent: Agent,
    *,
    limits: Limits | None = None,
    budget: Budget | None = None,
    tape: TapeSlot | None = None,
) -> Run:
    """Go on with a run that was killed or interrupted, in its own directory.

    The recorded answers are given again, and checked byte for byte, before the agent is asked. An agent that says
    `deterministic = True` is driven through the recorded steps too, so that it knows what it knew; any other starts
    with `reset` and the context the condition's memory leaves it. Of `limits` only the timeout counts. What the run
    spent before is not known to the budget. Where the run was recorded on `tape`, answers that are on it and not in
    the step log yet are given again too.

    Raises
    ------
    RunRecordError
        If the run is finished, is being written, or does not replay; a TapeError if its tape does not fit.
    UsageError
        If the agent is not the recorded one.
    """
    return hold_resumed(run, agent, limits=limits, budget=budget, tape=tape).keep()


def hold_resumed(
    run: Run,
    agent: Agent,
    *,
    limits: Limits | None = None,
    budget: Budget | None = None,
    tape: TapeSlot | None = None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun:
    """Go on with a run as `resume_run` does, and leave it open how it ends; see `hold_episode`."""
    if run.outcome not in RESUMABLE:
        raise RunRecordError(f"{run.path} is finished ({run.outcome}); there is nothing to resume")
    experiment = Experiment.of_run(run)
    redactor = Redactor.from_environment()
    described = describe_agent(check_agent(agent), redactor)
    if described != run.config.agent:
        raise UsageError(
            f"{run.path} was made by the agent {run.config.agent}, not by {described}; fork it to change agents"
        )
    writer, records = RunWriter.reopen(run, redactor)
    try:
        prefix = records[: prefix_length(records)]
        wanted = experiment.condition.prefix
        if wanted is not None and len(prefix) < wanted.steps:
            # It was cut off inside the prefix, which the agent must not be asked to make up.
            prefix = prefix_records(experiment, run.seed)
        difference = reproduce(run, experiment.entry.load()()) if records else None
        if difference is not None:
            raise RunRecordError(f"{run.path} does not replay, so it cannot be resumed: {difference}")
        allowed = msgspec.structs.replace(
            limits or Limits(step_timeout_s=DEFAULT_TIMEOUT_S), calls_per_turn=recorded_limits(run).calls_per_turn
        )
        episode = experiment.episode(run.seed, limits=allowed, redactor=redactor, account=account_of(agent, budget))
        require_adversaries(run, describe_adversaries(episode.adversaries, redactor))
        reset_agent(agent, run.seed)
        recorder = None if tape is None else TapeRecorder.reopen(tape, run.config, records)
        writer.unfinish()
    except BaseException:
        writer.close()
        raise
    return live(
        writer,
        episode,
        agent,
        prefix=prefix,
        recorded=records,
        recorder=recorder,
        cohort=cohort,
        own_loop=own_loop,
    )


def fork_run(run: Run, agent: Agent, *, steps: int, runs_dir: str | Path = "runs", limits: Limits | None = None) -> Run:
    """Start a new run from the first `steps` steps of another, with another agent; same scenario, condition and seed.

    Raises
    ------
    UsageError
        If the run does not have that many steps, or none would be left.
    """
    experiment = Experiment.of_run(run)
    settings = {"prefix.run": str(run.path.resolve()), "prefix.steps": steps}
    return run_episode(
        Experiment(experiment.entry, override(experiment.condition, settings)),
        agent,
        seed=run.seed,
        runs_dir=runs_dir,
        limits=limits,
    )


def verify_run(run: Run) -> Difference | None:
    """Replay a run in this process and compare; the first difference in config, step log or metrics, or None.

    Raises
    ------
    RunRecordError
        If the run cannot be read, or was made with another version of the scenario.
    """
    return (
        config_difference(run)
        or reproduce(run, Experiment.of_run(run).entry.load()())
        or metrics_difference(run, recompute_metrics(run))
    )


def recompute_metrics(run: Run) -> RunMetrics:
    """Compute the metrics of a run again from its directory alone."""
    return metrics_of(list(run.steps()), run.outcome or "interrupted", run.config)
