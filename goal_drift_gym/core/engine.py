"""The engine: one agent lives through one scenario under one condition.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from goal_drift_gym.core.account import Account
from goal_drift_gym.core.adversary import ADVERSARY, Adversary, AdversaryMaker, asked_adversaries
from goal_drift_gym.core.answers import actions_of
from goal_drift_gym.core.calls import Caller
from goal_drift_gym.core.canonical import clean_text, plain_copy
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.context import Context
from goal_drift_gym.core.errors import (
    AgentOutOfBudget,
    AgentSilent,
    AgentTimeout,
    AgentUnavailable,
    EpisodeOver,
    ScenarioError,
    UsageError,
)
from goal_drift_gym.core.goal import goal_text
from goal_drift_gym.core.host import Agent, AgentHost
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import (
    UNANSWERED,
    Action,
    ActionRecord,
    Call,
    Message,
    Observation,
    RunOutcome,
    Score,
    StepOutcome,
    StepRecord,
    StepScore,
    ToolResult,
)
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.shapers import Shaper, Step, build_shapers, check_names
from goal_drift_gym.core.shapers.anonymisation import Renamer
from goal_drift_gym.core.shapers.base import GOAL_ROLE
from goal_drift_gym.core.shapers.phases import INSTRUMENTAL
from goal_drift_gym.core.streams import scenario_streams
from goal_drift_gym.core.tools import ToolSpec, tools_of
from goal_drift_gym.core.turn import PastTurn, Turn, Usage

Sink = Callable[[StepRecord], None]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_SEED_LIMIT = 2**63
_LONGEST_TIMEOUT_S = 1e6


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine allows an agent, apart from the condition. Not part of the experiment."""

    step_timeout_s: float | None = None
    """Seconds an agent may take for one turn; `None`: as long as it likes."""
    calls_per_turn: int = 64
    """A turn ends after this many calls."""

    def __post_init__(self) -> None:
        timeout, calls = self.step_timeout_s, self.calls_per_turn
        # The comparison is written so that NaN fails it.
        if timeout is not None and not 0.0 < timeout <= _LONGEST_TIMEOUT_S:
            raise UsageError(f"step_timeout_s = {timeout!r} must be above 0 and at most {_LONGEST_TIMEOUT_S:g} seconds")
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise UsageError(f"calls_per_turn = {calls!r} must be a whole number of at least 1")


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How an episode ended."""

    outcome: RunOutcome
    detail: str = ""
    """For errors: what happened."""
    steps: int
    """Steps recorded."""
    usage: Usage


class Replayed(Exception):
    """Raised by a replaying agent to have a recorded step without an answer recorded again as it was."""

    def __init__(self, kind: str, detail: dict[str, Any]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Unusable:
    """Returned by a replaying agent where the recorded agent returned something that was no list of calls."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name


def check_seed(seed: Any) -> int:
    """Return `seed` if it is an integer of 64 bits; every such value, 0 and negative ones included, is a seed."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not -_SEED_LIMIT <= seed < _SEED_LIMIT:
        raise UsageError(f"seed {seed!r} must be an integer between -2**63 and 2**63 - 1")
    return seed


class Episode:
    """One agent, one scenario, one condition, one seed.

    Parameters
    ----------
    scenario
        A fresh scenario; the episode resets it.
    condition
        The settings of the experiment.
    seed
        Any integer of 64 bits.
    limits
        What the agent is allowed besides.
    redactor
        Removes secrets from what the agent says; by default those of the environment.
    account
        Counts what the episode spends, against a budget where there is one.
    adversaries
        Makes the adversaries of the condition's pressure sources that an agent speaks for.

    Raises
    ------
    ConditionError
        If the condition asks for tools, panels or events this scenario does not have.
    ScenarioError
        If the scenario cannot start.
    """

    def __init__(
        self,
        scenario: Scenario,
        condition: Condition,
        *,
        seed: int,
        limits: Limits | None = None,
        redactor: Redactor | None = None,
        account: Account | None = None,
        adversaries: AdversaryMaker | None = None,
    ) -> None:
        self.seed = check_seed(seed)
        self.condition = condition
        self.scenario = scenario
        self.limits = Limits() if limits is None else limits
        self.redactor = Redactor.from_environment() if redactor is None else redactor
        specs = tools_of(type(scenario))
        _guarded(scenario, "reset", lambda: scenario.reset(scenario_streams(self.seed)))
        self._check_condition(specs)
        self.account = Account() if account is None else account
        self.usage = self.account.usage
        self._adversaries = asked_adversaries(condition, self.seed, adversaries, self.redactor, self.account)
        self._shapers = build_shapers(condition, scenario, self.seed, self._adversaries)
        self._step = Step(scenario, condition, specs, self.seed)
        self.goal = goal_text(scenario.goal, condition)
        """The goal prompt in the scenario's own words."""
        self._renamer = _renamer(scenario, condition, self.seed)
        self._caller = Caller(self._step, self._shapers, self._renamer, self.redactor, self.limits.calls_per_turn)
        self.tools = self._caller.specs
        """All tools of this episode, by name, in the scenario's own words."""
        self._shown_tools = [_shown(spec, self._renamer) for spec in self.tools.values()]
        self._own_checks = frozenset(spec.name for spec in self.tools.values() if spec.flags.check)
        self._shown_goal = self._out(self.goal)
        self._before_turn = _overriding(self._shapers, "before_turn")
        self._takes_turn = _overriding(self._shapers, "takes_turn")
        self._panels = _overriding(self._shapers, "panels")
        self._after_step = _overriding(self._shapers, "after_step")
        self._context = Context(condition.memory, self._past)
        self._turned = False
        self._turns, self._perform, self._ask_policy = self._context.turns, self._caller.perform, self._asked_policy
        self._lock = threading.Lock()
        self._begun = False
        self._end: tuple[RunOutcome, str] = ("truncated", "")

    def surround_calls(self, around: Callable[[int, Any, Any, Callable[[], ToolResult]], ToolResult]) -> None:
        """Have each call of the agent made by `around(step, tool, args, perform)`, which must return `perform()`.

        For tracing: it sees when a call begins and ends. To be asked for before the episode runs.
        """
        made = self._perform

        def perform(tool: Any, args: Any, canonical: bool) -> ToolResult:
            return around(self._step.step, tool, args, lambda: made(tool, args, canonical))

        self._perform = perform

    def run(
        self,
        agent: Agent | AgentHost,
        sink: Sink,
        *,
        prefix: Sequence[StepRecord] = (),
        recorded: Sequence[StepRecord] = (),
        said: Sequence[StepRecord] = (),
    ) -> RunEnd:
        """Run the episode to its end; every finished step goes to `sink` at once.

        Parameters
        ----------
        agent
            Called once a step with a `Turn`; in a host of its own where it runs beside other episodes.
        sink
            Takes each finished record.
        prefix
            Recorded steps of another run whose calls are made first; they are marked and belong to nobody.
        recorded
            Recorded steps of this very run, whose answers are given again before the agent is asked.
        said
            Recorded steps of this very run, at which its adversaries say again what they said, whoever answers.

        Raises
        ------
        UsageError
            If this episode was run before: scenario and shapers are used up.
        Exception
            Whatever `sink` raises. A KeyboardInterrupt passes through after the steps so far are safe.
        """
        done = 0
        with closing(self.steps(agent, prefix=prefix, recorded=recorded, said=said)) as steps:
            try:
                for record in steps:
                    sink(record)
                    done += 1
            except ScenarioError as error:
                # A record that cannot be written is the scenario's fault as well.
                fault = _fault(self.scenario, f"step {done}", error)
                return RunEnd(outcome="infra_error", detail=self._said(fault), steps=done, usage=self.usage)
        outcome, detail = self._end
        return RunEnd(outcome=outcome, detail=detail, steps=done, usage=self.usage)

    def steps(
        self,
        agent: Agent | AgentHost,
        *,
        prefix: Sequence[StepRecord] = (),
        recorded: Sequence[StepRecord] = (),
        said: Sequence[StepRecord] = (),
    ) -> Generator[StepRecord]:
        """Return an iterator that lives through one step each time it is asked for the next record.

        The arguments are those of `run`, which is the loop over it. Whoever takes only some of the steps should
        close the iterator, which lets go of the agent's thread.

        Raises
        ------
        UsageError
            If this episode was run before: scenario and shapers are used up.
        ScenarioError
            From the iterator, when the scenario fails; `run` turns it into the outcome `infra_error`.
        """
        if self._begun:
            raise UsageError("an episode can be run only once; make a new one")
        self._begun = True
        return self._lived(agent, prefix, recorded, said)

    def _lived(
        self,
        agent: Agent | AgentHost,
        prefix: Sequence[StepRecord],
        recorded: Sequence[StepRecord],
        said: Sequence[StepRecord],
    ) -> Generator[StepRecord]:
        from goal_drift_gym.core.replay import Recorded

        past = Recorded([*prefix, *recorded[len(prefix) :]])
        spoken = [*said, *past.records[len(said) :]]
        host = agent if isinstance(agent, AgentHost) else AgentHost(agent, self.limits.step_timeout_s)
        account = self.account
        if account.limits_time:
            host.limit_time(account.left_s)
        replay = AgentHost(past, None)
        for adversary in self._adversaries.values():
            adversary.begin(host.cohort)
        try:
            for now in range(self.condition.steps):
                asked = replay if now < len(past.records) else host
                reached = account.begin_turn() if asked is host else None
                if reached is not None:
                    self._end = "budget", str(reached)
                    return
                self._step.recorded = spoken[now] if now < len(spoken) else None
                record = self._one_step(now, asked, now < len(prefix))
                yield record
                end = self._ended(record)
                if end is not None:
                    self._end = end
                    return
        finally:
            host.close()
            for adversary in self._adversaries.values():
                adversary.close()

    @property
    def adversaries(self) -> dict[str, Adversary]:
        """The agents that speak for a source of pressure, by the source's role."""
        return {self.condition.pressure[index].source: one.adversary for index, one in self._adversaries.items()}

    def _one_step(self, now: int, host: AgentHost, in_prefix: bool) -> StepRecord:
        step, scenario = self._step, self.scenario
        step.begin(now)
        try:
            world = scenario.advance(now)
            for before_turn in self._before_turn:
                before_turn(step)
            before = scenario.snapshot()
            # In the instrumental phase, and with swapped goals, the two policies change places.
            self._turned = step.swapped ^ (step.phase == INSTRUMENTAL)
            reference = _planned(scenario.competing_action() if self._turned else scenario.reference_action())
            panels = scenario.panels()
            if not (isinstance(panels, dict) and isinstance(world, dict) and isinstance(before, dict)):
                raise ScenarioError(f"panels, advance and snapshot must return dicts{_types(panels, world, before)}")
            for shape in self._panels:
                panels = shape(step, panels)
            observation = self._observe(panels)
        except (Exception, SystemExit) as error:
            raise _fault(scenario, f"step {now}", error) from error
        if in_prefix:
            step.event("prefix", "prefix")
        self._context.begin(step)
        notes: list[str] = []
        outcome: StepOutcome = "forced"
        # All are asked: each logs what it did.
        if not [take for take in self._takes_turn if take(step)]:
            outcome = self._ask(host, self._turn(observation, notes), notes)
        try:
            after = scenario.snapshot()
            score = self._score(before, after)
            record = self._record(observation, notes, score, outcome, reference, world, after)
            for after_step in self._after_step:
                after_step(step, record)
            self._context.add(PastTurn(now, observation, record.action.calls, record.action.notes), step)
        except (Exception, SystemExit) as error:
            raise _fault(scenario, f"step {now}", error) from error
        step.last = record
        return record

    def _observe(self, panels: dict[str, Any]) -> Observation:
        """Return the observation for the record; the agent gets a copy, with which it may do what it likes."""
        step, echo = self._step, self.condition.goal.echo
        messages = step.messages
        if echo == "every_step" or (echo == "once" and step.step == 0):
            messages = [Message(GOAL_ROLE, self.goal), *messages]
        results = step.results
        if self._renamer is not None:
            messages = [self._renamer.message(message) for message in messages]
            results = [ToolResult(self._out(late.tool), late.status, self._out(late.value)) for late in results]
        return Observation(messages, plain_copy(self._out(panels), "panels"), results)

    def _turn(self, observation: Observation, notes: list[str]) -> Turn:
        return Turn(
            step=self._step.step,
            horizon=self.condition.steps,
            goal=None if self.condition.goal.echo == "once" else self._shown_goal,
            observe=partial(_own_copy, observation),
            tools=self._shown_tools,
            history=self._turns,
            perform=self._perform,
            policy=self._ask_policy,
            notes=notes,
            usage=self.account,
            lock=self._lock,
            timeout_s=self.limits.step_timeout_s,
            own_checks=self._own_checks,
        )

    def _ask(self, host: AgentHost, turn: Turn, notes: list[str]) -> StepOutcome:
        step, account = self._step, self.account
        self._caller.begin(turn)
        fault: tuple[str, dict[str, Any]] | None = None
        try:
            # Others than the agent may have spent what was left.
            answer = host.ask(turn) if account.reached is None else None
            if answer is not None:
                fault = self._take(turn, answer)
        except EpisodeOver:
            pass
        except AgentSilent as error:
            if isinstance(error, AgentTimeout):
                account.out_of_time()
            fault = "agent_silent", {"reason": self._said(error), "cause": error.cause}
        except AgentUnavailable as error:
            fault = "agent_unavailable", {"error": self._said(error), "cause": error.cause}
        except AgentOutOfBudget as error:
            fault = "agent_out_of_budget", {"reason": self._said(error), "cause": error.cause}
        except Replayed as error:
            fault = error.kind, error.detail
        except BaseException as error:
            if not host.is_of_agent(error):
                raise
            fault = "agent_error", {"error": f"{type(error).__name__}: {self._said(error)}"}
        finally:
            turn.close()
        if self._caller.fault is not None:
            raise _fault(self.scenario, f"step {step.step}", self._caller.fault) from self._caller.fault
        if host.stuck:
            step.run_over = "agent_error"
        if fault is None:
            account.end_turn()
        if account.reached is not None:
            # Whatever else went wrong came of it, and a replay can give only one reason again.
            fault = "limit_reached", {"reason": str(account.reached)}
        if fault is not None:
            step.event(fault[0], "agent", **fault[1])
        if notes:
            notes[:] = [clean_text(note, self.redactor) for note in notes[:64]]
        return self._outcome(None if fault is None else fault[0])

    def _take(self, turn: Turn, answer: Any) -> tuple[str, dict[str, Any]] | None:
        """Carry out the short form, a list of actions; return what was wrong with it."""
        actions = actions_of(answer)
        if actions is None:
            name = answer.type_name if isinstance(answer, Unusable) else type(answer).__name__
            return "unusable_answer", {"type": clean_text(name, self.redactor, 80)}
        for tool, args in actions:
            turn.submit(tool, args)
        return None

    def _outcome(self, fault: str | None) -> StepOutcome:
        step, calls = self._step, self._step.calls
        if fault in ("limit_reached", "agent_out_of_budget"):
            step.run_over = "budget"
            return "acted" if calls else "forced"
        if fault in ("agent_error", "agent_unavailable"):
            step.run_over = "agent_error" if fault == "agent_error" else "infra_error"
            return "error"
        if fault == "agent_out_of_budget":
            step.run_over = "budget"
            return "forced"
        if not calls:
            return {"agent_silent": "silent", "unusable_answer": "invalid"}.get(fault or "", "declined")  # type: ignore[return-value]
        made = [call for call in calls if call.status != "invalid"]
        if not made:
            return "invalid"
        return "declined" if all(self.tools[call.tool].flags.wait for call in made) else "acted"

    def _score(self, before: dict[str, Any], after: dict[str, Any]) -> StepScore:
        own = self._step.specs
        calls = (
            [call for call in self._step.calls if call.tool in own] if len(own) != len(self.tools) else self._step.calls
        )
        score = self.scenario.score(before, calls, after)
        if not isinstance(score, StepScore):
            raise ScenarioError(f"score returned a {type(score).__name__}; a StepScore is needed")
        alignment = score.alignment
        # The comparison is written so that NaN fails it.
        if alignment is not None and not -1.0 <= alignment <= 1.0:
            raise ScenarioError(f"score is {alignment!r}; it must lie in [-1, 1] or be None")
        if not 0.0 <= score.commission <= 2.0 or not 0.0 <= score.omission <= 2.0:
            raise ScenarioError(f"commission {score.commission!r} and omission {score.omission!r} must lie in [0, 2]")
        if not 0 <= score.missed <= score.chances:
            raise ScenarioError(
                f"missed is {score.missed!r}; it must lie in [0, chances], and chances is {score.chances!r}"
            )
        return score

    def _record(
        self,
        observation: Observation,
        notes: list[str],
        score: StepScore,
        outcome: StepOutcome,
        reference: list[Action],
        world: dict[str, Any],
        after: dict[str, Any],
    ) -> StepRecord:
        step = self._step
        counted = step.phase != INSTRUMENTAL and outcome not in UNANSWERED
        outcomes = self.scenario.outcomes()
        if not (isinstance(outcomes, dict) and isinstance(after, dict)):
            raise ScenarioError(f"outcomes and snapshot must return dicts{_types(outcomes, after)}")
        for name, value in outcomes.items():
            if not isinstance(value, (int, float)):
                raise ScenarioError(f"outcome {name!r} is {value!r}; a number is needed")
        return StepRecord(
            step=step.step,
            observation=observation,
            action=ActionRecord(step.calls, notes),
            score=_polarised(score, step.swapped) if counted else Score(None),
            outcome=outcome,
            phase=step.phase,
            reference=reference,
            world=world,
            state=after,
            outcomes=outcomes,
            adversaries=step.adversaries,
            events=step.events,
            violations=list(score.violations),
        )

    def _ended(self, record: StepRecord) -> tuple[RunOutcome, str] | None:
        over = self._step.run_over
        if over is not None:
            details = [
                str(event.detail.get("error") or event.detail.get("reason") or "")
                for event in record.events
                if event.by == "agent" or (event.by == ADVERSARY and "reason" in event.detail)
            ]
            return over, next((detail for detail in details if detail), "")
        try:
            done = self.scenario.done()
            if done not in (None, "completed", "terminated"):
                raise ScenarioError(f"it returned {done!r}; it must be 'completed', 'terminated' or None")
        except (Exception, SystemExit) as error:
            raise _fault(self.scenario, f"step {record.step}, done", error) from error
        return None if done is None else (done, "")

    def _asked_policy(self, name: str, unavailable: Sequence[Action]) -> list[Action]:
        """Return a policy's actions to an agent, which is not to be blamed when the scenario fails."""
        try:
            turned = self._turned if name == "reference" else not self._turned
            return (self.scenario.competing_action if turned else self.scenario.reference_action)(unavailable)
        except (Exception, SystemExit) as error:
            self._caller.abort(error if isinstance(error, ScenarioError) else _fault(self.scenario, "policy", error))

    def _past(self, turn: PastTurn) -> PastTurn:
        calls = [self._past_call(call) for call in turn.calls]
        return PastTurn(turn.step, _own_copy(turn.observation), calls, turn.notes.copy())

    def _past_call(self, call: Call) -> Call:
        args, result = plain_copy(call.args, "arguments"), plain_copy(call.result, "result")
        if self._renamer is None:
            return Call(call.tool, args, call.status, result, None, call.messages)
        out = self._renamer.out
        messages = tuple(self._renamer.message(message) for message in call.messages)
        return Call(out(call.tool), out(args), call.status, out(result), None, messages)

    def _out(self, value: Any) -> Any:
        return value if self._renamer is None else self._renamer.out(value)

    def _said(self, error: BaseException) -> str:
        return clean_text(_message(error), self.redactor, 500)

    def _check_condition(self, specs: dict[str, ToolSpec]) -> None:
        condition, scenario = self.condition, self.scenario
        if (
            condition.panels is None
            and condition.uncertainty is None
            and condition.friction is None
            and condition.commitment is None
        ):
            return
        panels = _guarded(scenario, "panels", lambda: (scenario.advance(0), scenario.panels())[1])
        names = set(panels) | ({"scoreboard"} if condition.scoreboard is not None else set())
        if condition.phases is not None and condition.phases.shown:
            names.add("signals")
        extra = {"read_panel", "read_signal", "do_task"}
        check_names(condition, tools=set(specs) | extra, panels=names)
        scenario.reset(scenario_streams(self.seed))


def _polarised(score: StepScore, swapped: bool) -> Score:
    """Return the score under the goals as they are, or swapped: the alignment negated, and what served the now
    competing goal counted as commission, or omission where it was restraint.
    """
    alignment = score.alignment
    if not swapped or alignment is None:
        return Score(alignment, score.commission, score.omission, score.chances, score.missed)
    aligned = alignment + score.commission + score.omission
    return Score(
        0.0 - alignment, aligned - score.restraint, score.restraint, score.chances, score.chances - score.missed
    )


def _renamer(scenario: Scenario, condition: Condition, seed: int) -> Renamer | None:
    setting = condition.anonymisation
    if setting is None:
        return None
    if setting.vocabulary and not scenario.texts.neutral:
        raise UsageError(f"anonymisation.vocabulary: scenario {scenario.id!r} has no neutral vocabulary in its texts")
    if setting.entities and not scenario.entities:
        raise UsageError(f"anonymisation.entities: scenario {scenario.id!r} declares no entities")
    entities = scenario.entities if setting.entities else {}
    return Renamer(seed, entities, scenario.texts.neutral if setting.vocabulary else {})


def _shown(spec: ToolSpec, renamer: Renamer | None) -> ToolSpec:
    if renamer is None:
        return spec
    return msgspec.structs.replace(
        spec,
        name=renamer.out(spec.name),
        description=renamer.out(spec.description),
        parameters=renamer.schema(spec.parameters),
        method="",
    )


def _overriding(shapers: Iterable[Shaper], hook: str) -> list[Callable[..., Any]]:
    return [getattr(shaper, hook) for shaper in shapers if getattr(type(shaper), hook) is not getattr(Shaper, hook)]


def _guarded(scenario: Scenario, what: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise _fault(scenario, what, error) from error


def _planned(plan: Any) -> list[Action]:
    if isinstance(plan, list):
        for action in plan:
            if type(action) is not Action:
                break
        else:
            return plan
    raise ScenarioError("reference_action and competing_action must return a list of Action")


def _own_copy(observation: Observation) -> Observation:
    late = [ToolResult(one.tool, one.status, plain_copy(one.value, "late result")) for one in observation.results]
    return Observation(observation.messages.copy(), plain_copy(observation.panels, "panels"), late)


def _types(*values: Any) -> str:
    return ", got " + ", ".join(type(value).__name__ for value in values)


def _fault(scenario: Scenario, where: str, error: BaseException) -> ScenarioError:
    """Return a scenario's failure with the place where it happened, said once."""
    start = f"scenario {scenario.id!r}, "
    text = _message(error)
    if isinstance(error, ScenarioError):
        return ScenarioError(text if text.startswith(start) else f"{start}{where}: {text}")
    return ScenarioError(f"{start}{where}: {type(error).__name__}: {text}")


def _message(error: BaseException) -> str:
    try:
        return _ADDRESS.sub("0x...", str(error))
    except Exception:
        return "(its message could not be read)"
