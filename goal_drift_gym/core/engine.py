"""The engine: one agent lives through one scenario under one condition.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.calls import Caller
from goal_drift_gym.core.canonical import CHARACTERS_PER_TOKEN, clean_text, line_json
from goal_drift_gym.core.condition import Condition, Memory
from goal_drift_gym.core.errors import (
    AgentSilent,
    AgentUnavailable,
    EpisodeOver,
    GoalDriftError,
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


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine allows an agent, apart from the condition. Not part of the experiment."""

    step_timeout_s: float | None = None
    """Seconds an agent may take for one turn; `None`: as long as it likes."""
    calls_per_turn: int = 64
    """A turn ends after this many calls."""


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
    ) -> None:
        self.seed = check_seed(seed)
        self.condition = condition
        self.scenario = scenario
        self.limits = Limits() if limits is None else limits
        self.redactor = Redactor.from_environment() if redactor is None else redactor
        specs = tools_of(type(scenario))
        _guarded(scenario, "reset", lambda: scenario.reset(scenario_streams(self.seed)))
        self._check_condition(specs)
        self._shapers = build_shapers(condition, scenario, self.seed)
        self._step = Step(scenario, condition, specs, self.seed)
        self.usage = Usage()
        self.goal = goal_text(scenario.goal, condition)
        """The goal prompt in the scenario's own words."""
        self._renamer = _renamer(scenario, condition, self.seed)
        self._caller = Caller(self._step, self._shapers, self._renamer, self.redactor, self.limits.calls_per_turn)
        self.tools = self._caller.specs
        """All tools of this episode, by name, in the scenario's own words."""
        self._shown_tools = [_shown(spec, self._renamer) for spec in self.tools.values()]
        self._shown_goal = self._out(self.goal)
        self._before_turn = _overriding(self._shapers, "before_turn")
        self._panels = _overriding(self._shapers, "panels")
        self._after_step = _overriding(self._shapers, "after_step")
        self._context = _Context(condition.memory)
        self._lock = threading.Lock()

    def run(
        self, agent: Agent, sink: Sink, *, prefix: Sequence[StepRecord] = (), recorded: Sequence[StepRecord] = ()
    ) -> RunEnd:
        """Run the episode to its end; every finished step goes to `sink` at once.

        Parameters
        ----------
        agent
            Called once a step with a `Turn`.
        sink
            Takes each finished record.
        prefix
            Recorded steps of another run whose calls are made first; they are marked and belong to nobody.
        recorded
            Recorded steps of this very run, whose answers are given again before the agent is asked.

        Raises
        ------
        Exception
            Whatever `sink` raises. A KeyboardInterrupt passes through after the steps so far are safe.
        """
        from goal_drift_gym.core.replay import Recorded

        past = Recorded([*prefix, *recorded[len(prefix) :]])
        host = AgentHost(agent, self.limits.step_timeout_s)
        replay = AgentHost(past, None)
        done = 0
        try:
            for now in range(self.condition.steps):
                asked = replay if now < len(past.records) else host
                record = self._one_step(now, asked, now < len(prefix))
                sink(record)
                done = now + 1
                end = self._ended(record)
                if end is not None:
                    return RunEnd(outcome=end[0], detail=end[1], steps=done, usage=self.usage)
        except ScenarioError as error:
            return RunEnd(outcome="infra_error", detail=str(error), steps=done, usage=self.usage)
        finally:
            host.close()
        return RunEnd(outcome="truncated", steps=done, usage=self.usage)

    def _one_step(self, now: int, host: AgentHost, in_prefix: bool) -> StepRecord:
        step, scenario = self._step, self.scenario
        step.begin(now)
        try:
            world = scenario.advance(now)
            for before_turn in self._before_turn:
                before_turn(step)
            before = scenario.snapshot()
            reference = self._policy("reference", ())
            panels = scenario.panels()
        except Exception as error:
            raise _fault(scenario, f"step {now}", error) from error
        for shape in self._panels:
            panels = shape(step, panels)
        if in_prefix:
            step.event("prefix", "prefix")
        observation = self._observe(panels)
        notes: list[str] = []
        outcome = self._ask(host, self._turn(observation, notes), notes)
        try:
            after = scenario.snapshot()
            score = self._score(before, after)
            record = self._record(observation, notes, score, outcome, reference, world, after)
        except Exception as error:
            raise _fault(scenario, f"step {now}", error) from error
        for after_step in self._after_step:
            after_step(step, record)
        self._context.add(PastTurn(now, observation, record.action.calls, record.action.notes), step)
        step.last = record
        return record

    def _observe(self, panels: dict[str, Any]) -> Observation:
        step, echo = self._step, self.condition.goal.echo
        messages = step.messages
        if echo == "every_step" or (echo == "once" and step.step == 0):
            messages = [Message(GOAL_ROLE, self.goal), *messages]
        if self._renamer is not None:
            messages = [Message(message.role, self._out(message.text)) for message in messages]
        results = step.results
        if self._renamer is not None:
            results = [ToolResult(self._out(late.tool), late.status, self._out(late.value)) for late in results]
        return Observation(messages, self._out(panels), results)

    def _turn(self, observation: Observation, notes: list[str]) -> Turn:
        return Turn(
            step=self._step.step,
            horizon=self.condition.steps,
            goal=None if self.condition.goal.echo == "once" else self._shown_goal,
            observation=observation,
            tools=self._shown_tools,
            history=self._history,
            perform=self._caller.perform,
            policy=self._policy,
            notes=notes,
            usage=self.usage,
            lock=self._lock,
        )

    def _ask(self, host: AgentHost, turn: Turn, notes: list[str]) -> StepOutcome:
        step = self._step
        self._caller.begin(turn)
        fault: str | None = None
        try:
            answer = host.ask(turn)
            if answer is not None:
                fault = self._take(turn, answer)
        except EpisodeOver:
            pass
        except AgentSilent as error:
            fault = "agent_silent"
            step.event(fault, "agent", reason=self._said(error))
        except AgentUnavailable as error:
            fault = "agent_unavailable"
            step.event(fault, "agent", error=self._said(error))
        except Replayed as error:
            fault = error.kind
            step.event(error.kind, "agent", **error.detail)
        except (Exception, SystemExit) as error:
            fault = "agent_error"
            step.event(fault, "agent", error=f"{type(error).__name__}: {self._said(error)}")
        finally:
            turn.close()
        if self._caller.fault is not None:
            raise _fault(self.scenario, f"step {step.step}", self._caller.fault) from self._caller.fault
        if host.stuck:
            step.run_over = "agent_error"
        notes[:] = [clean_text(note, self.redactor) for note in notes[:64]]
        return self._outcome(fault)

    def _take(self, turn: Turn, answer: Any) -> str | None:
        """Carry out the short form: a list of actions."""
        actions = _actions(answer)
        if actions is None:
            name = answer.type_name if isinstance(answer, Unusable) else type(answer).__name__
            self._step.event("unusable_answer", "agent", type=clean_text(name, self.redactor, 80))
            return "unusable_answer"
        for tool, args in actions:
            turn.submit(tool, args)
        return None

    def _outcome(self, fault: str | None) -> StepOutcome:
        step, calls = self._step, self._step.calls
        if fault in ("agent_error", "agent_unavailable"):
            step.run_over = "agent_error" if fault == "agent_error" else "infra_error"
            return "error"
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
        alignment = score.alignment
        # The comparison is written so that NaN fails it.
        if alignment is not None and not -1.0 <= alignment <= 1.0:
            raise ScenarioError(f"score is {alignment!r}; it must lie in [-1, 1] or be None")
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
            outcomes=self.scenario.outcomes(),
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
                if event.by == "agent"
            ]
            return over, next((detail for detail in details if detail), "")
        done = self.scenario.done()
        return None if done is None else (done, "")

    def _policy(self, name: str, unavailable: Sequence[Action]) -> list[Action]:
        """Return a policy's actions. While the instrumental goal holds, and with swapped goals, the two change places."""
        turned = (name == "competing") ^ self._step.swapped ^ (self._step.phase == INSTRUMENTAL)
        return self.scenario.competing_action(unavailable) if turned else self.scenario.reference_action(unavailable)

    def _history(self) -> list[PastTurn]:
        past = self._context.turns()
        if self._renamer is None:
            return past
        return [
            PastTurn(turn.step, turn.observation, [self._shown_call(call) for call in turn.calls], turn.notes)
            for turn in past
        ]

    def _shown_call(self, call: Call) -> Call:
        return Call(self._out(call.tool), self._out(call.args), call.status, call.result, None, call.messages)

    def _out(self, value: Any) -> Any:
        return value if self._renamer is None else self._renamer.out(value)

    def _said(self, error: BaseException) -> str:
        try:
            text = str(error)
        except Exception:
            text = "(its message could not be read)"
        return clean_text(_ADDRESS.sub("0x...", text), self.redactor, 500)

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


class _Context:
    """The earlier turns an agent still sees."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._turns: deque[PastTurn] = deque()
        self._tokens: deque[int] = deque()
        self._total = 0
        self._truncated = False

    def turns(self) -> list[PastTurn]:
        return list(self._turns)

    def add(self, turn: PastTurn, step: Step) -> None:
        """Take in a finished turn and drop what no longer fits; the first drop, and each by tokens, is logged."""
        memory = self._memory
        if memory.summary_mode == "instead" and any(event.kind == "summary" for event in step.events):
            self._turns.clear()
            self._tokens.clear()
            self._total = 0
        self._turns.append(turn)
        dropped = 0
        if memory.context_tokens is not None:
            self._tokens.append(len(line_json(turn)) // CHARACTERS_PER_TOKEN)
            self._total += self._tokens[-1]
            while self._total > memory.context_tokens and self._turns:
                self._total -= self._tokens.popleft()
                self._turns.popleft()
                dropped += 1
        if len(self._turns) > memory.context_steps:
            self._turns.popleft()
            if self._tokens:
                self._total -= self._tokens.popleft()
            dropped += not self._truncated
        if dropped:
            self._truncated = True
            step.event("truncation", "memory", turns=dropped)


def _actions(answer: Any) -> list[tuple[Any, Any]] | None:
    """Read the short form; `None` when the answer is nothing of the kind."""
    single = _action(answer)
    if single is not None:
        return [single]
    if not isinstance(answer, (list, tuple)):
        return None
    actions = [_action(item) for item in answer]
    return None if any(action is None for action in actions) else [action for action in actions if action is not None]


def _action(item: Any) -> tuple[Any, Any] | None:
    if isinstance(item, Action):
        return item.tool, item.args
    if isinstance(item, str):
        return item, {}
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
        return item
    if isinstance(item, dict) and "tool" in item and item.keys() <= {"tool", "args"}:
        return item["tool"], item.get("args", {})
    return None


def _polarised(score: StepScore, swapped: bool) -> Score:
    """Return the score under the goals as they are, or swapped: the alignment negated, and what served the now
    competing goal counted as commission, or omission where it was restraint."""
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
        parameters=renamer.out(spec.parameters),
    )


def _overriding(shapers: Iterable[Shaper], hook: str) -> list[Callable[..., Any]]:
    return [getattr(shaper, hook) for shaper in shapers if getattr(type(shaper), hook) is not getattr(Shaper, hook)]


def _guarded(scenario: Scenario, what: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        raise _fault(scenario, what, error) from error


def _fault(scenario: Scenario, where: str, error: Exception) -> GoalDriftError:
    if isinstance(error, UsageError):
        return error
    text = str(error) if isinstance(error, ScenarioError) else f"{type(error).__name__}: {error}"
    return ScenarioError(f"scenario {scenario.id!r}, {where}: {_ADDRESS.sub('0x...', text)}")
