"""One episode from names to a finished run directory: what the command and the plugin both use.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.adversary_loading import describe_adversaries, make_adversary, require_adversaries
from goal_drift_gym.agents.loading import check_agent, describe_agent, reset_agent
from goal_drift_gym.consistency import config_difference, metrics_difference
from goal_drift_gym.core.account import Account, account_of
from goal_drift_gym.core.adversary import gave_up
from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.cohort import Cohort, Displaced
from goal_drift_gym.core.condition import Condition, Prefix, override, parse_condition
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.errors import BudgetSpent, RunRecordError, UsageError
from goal_drift_gym.core.host import Agent, AgentHost
from goal_drift_gym.core.provenance import engine_version, utc_now
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.replay import Difference, prefix_length, recorded_limits, reproduce
from goal_drift_gym.core.rundir import Run, RunConfig, RunWriter, ScenarioInfo, load_run
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.run_end import HeldRun, metrics_of
from goal_drift_gym.scenarios.discovery import ScenarioEntry, find_condition, find_scenario
from goal_drift_gym.tracing import trace_episode

DEFAULT_TIMEOUT_S = 300.0
"""Seconds an agent may take for one turn when nobody says otherwise."""

RESUMABLE = frozenset({None, "interrupted", "infra_error"})
"""How a run may have ended to be resumed; None: its writer was killed."""

IMPORTED = "import"
"""What stands for the scenario's reference in a run that was read from a foreign log."""


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
        if recorded.reference == IMPORTED:
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
    return hold_episode(experiment, agent, seed=seed, runs_dir=runs_dir, limits=limits, budget=budget).keep()


def hold_episode(
    experiment: Experiment,
    agent: Agent,
    *,
    seed: int,
    runs_dir: str | Path = "runs",
    limits: Limits | None = None,
    budget: Budget | None = None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun:
    """Run one episode as `run_episode` does, and leave it open how its run ends.

    Parameters
    ----------
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
    prefix = _prefix_records(experiment, seed)
    account = account_of(agent, budget)
    spent = account.begin_turn()
    if spent is not None:
        raise BudgetSpent(str(spent))
    allowed = limits or Limits(step_timeout_s=DEFAULT_TIMEOUT_S)
    episode = experiment.episode(seed, limits=allowed, redactor=redactor, account=account)
    reset_agent(agent, seed)
    writer = RunWriter.create(Path(runs_dir), experiment.config(episode, agent), redactor)
    host = AgentHost(agent, episode.limits.step_timeout_s, cohort=cohort, own_loop=own_loop)
    return _live(writer, episode, agent, prefix=prefix, recorded=(), host=host)


def resume_run(run: Run, agent: Agent, *, limits: Limits | None = None, budget: Budget | None = None) -> Run:
    """Go on with a run that was killed or interrupted, in its own directory.

    The recorded answers are given again, and checked byte for byte, before the agent is asked. An agent that says
    `deterministic = True` is driven through the recorded steps too, so that it knows what it knew; any other starts
    with `reset` and the context the condition's memory leaves it. Of `limits` only the timeout counts. What the run
    spent before is not known to the budget.

    Raises
    ------
    RunRecordError
        If the run is finished, is being written, or does not replay.
    UsageError
        If the agent is not the recorded one.
    """
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
            prefix = _prefix_records(experiment, run.seed)
        difference = reproduce(run, experiment.entry.load()()) if records else None
        if difference is not None:
            raise RunRecordError(f"{run.path} does not replay, so it cannot be resumed: {difference}")
        allowed = msgspec.structs.replace(
            limits or Limits(step_timeout_s=DEFAULT_TIMEOUT_S), calls_per_turn=recorded_limits(run).calls_per_turn
        )
        episode = experiment.episode(run.seed, limits=allowed, redactor=redactor, account=account_of(agent, budget))
        require_adversaries(run, describe_adversaries(episode.adversaries, redactor))
        reset_agent(agent, run.seed)
        writer.unfinish()
    except BaseException:
        writer.close()
        raise
    return _live(writer, episode, agent, prefix=prefix, recorded=records).keep()


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


def _live(
    writer: RunWriter,
    episode: Episode,
    agent: Agent,
    *,
    prefix: Sequence[StepRecord],
    recorded: Sequence[StepRecord],
    host: AgentHost | None = None,
) -> HeldRun:
    records: list[StepRecord] = []
    known = len(recorded)

    def keep(record: StepRecord) -> None:
        if record.step < known:
            _check_same(writer, record, recorded[record.step])
        else:
            writer.write_step(record)
        records.append(record)

    begun = time.monotonic()
    driven_again = getattr(agent, "deterministic", False) is True

    trace = trace_episode(episode, writer.config)

    def held(end: RunEnd) -> HeldRun:
        if trace is not None:
            trace.end(end.outcome, episode.usage)
        return _held(writer, episode, records, end, begun=begun, resumed_at=known or None)

    try:
        end = episode.run(host or agent, keep, prefix=prefix, recorded=() if driven_again else recorded, said=recorded)
    except BaseException as error:
        failed = isinstance(error, RunRecordError)
        detail = str(error) if isinstance(error, (RunRecordError, Displaced)) else ""
        end = RunEnd(outcome="infra_error" if failed else "interrupted", detail=detail, steps=0, usage=episode.usage)
        try:
            held(end).keep()
        except RunRecordError:
            # A disk that is full stays full: the error that came first is the one to report.
            if not failed:
                raise
        raise
    return held(end)


def _held(
    writer: RunWriter,
    episode: Episode,
    records: Sequence[StepRecord],
    end: RunEnd,
    *,
    begun: float,
    resumed_at: int | None,
) -> HeldRun:
    finished = utc_now()
    meta = {
        "detail": end.detail,
        # Of the episode, however long its run waits to be asked for.
        "finished": finished.isoformat(),
        "duration_s": round((finished - writer.started).total_seconds(), 6),
        "agent_s": round(time.monotonic() - begun, 6),
        "usage": msgspec.to_builtins(episode.usage),
        "redactions": episode.redactor.count,
        "resumed_at": resumed_at,
        "step_timeout_s": episode.limits.step_timeout_s,
        **episode.account.to_meta(),
    }
    try:
        metrics = metrics_of(records, end.outcome, writer.config)
    except BaseException:
        writer.close()
        raise
    return HeldRun(writer, metrics, end.outcome, meta)


def _check_same(writer: RunWriter, record: StepRecord, recorded: StepRecord) -> None:
    if writer.line(record) != writer.line(recorded):
        raise RunRecordError(
            f"{writer.path}: driven again, the agent acts differently at step {record.step}; "
            "it says it is deterministic and is not"
        )


def _prefix_records(experiment: Experiment, seed: int) -> list[StepRecord]:
    prefix: Prefix | None = experiment.condition.prefix
    if prefix is None:
        return []
    source = load_run(prefix.run)
    recorded = source.config.scenario
    scenario = experiment.entry.load()
    if (recorded.id, recorded.version) != (scenario.id, scenario.version):
        raise UsageError(
            f"prefix.run {prefix.run}: recorded with {recorded.id} {recorded.version}, "
            f"needed is {scenario.id} {scenario.version}"
        )
    if source.seed != seed:
        raise UsageError(
            f"prefix.run {prefix.run} has seed {source.seed}, this run has {seed}: the worlds would not match"
        )
    records = list(islice(source.steps(), prefix.steps))
    if len(records) < prefix.steps:
        raise UsageError(f"prefix.steps = {prefix.steps}, but {prefix.run} has only {len(records)} steps")
    for record in records:
        if record.outcome == "error" or gave_up(record):
            who = "agent" if record.outcome == "error" else "adversary"
            raise UsageError(
                f"prefix.steps = {prefix.steps}, but the {who} of {prefix.run} failed at step {record.step}; use fewer"
            )
    return records
