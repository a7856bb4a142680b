"""One episode driven through the engine turn by turn, with everything checked after each turn.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from goal_drift_gym.agents.reference import named_things
from goal_drift_gym.core.adversary import nobody
from goal_drift_gym.core.canonical import canonical_json, clean_args, clean_text, line_json
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.errors import EpisodeOver, InvariantBroken, ScenarioError, UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action, StepRecord, ToolResult
from goal_drift_gym.core.tools import ToolSpec
from goal_drift_gym.core.turn import Turn
from goal_drift_gym.testing.invariants import EFFECTIVE, Audit, Looks, first_change, said

_LONGEST_NAME = 64
_NEVER_FAILS = "the scenario never fails"


class ScriptedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call as it was made, kept so that it can be made again."""

    tool: str
    args: dict[str, Any] = {}
    own_names: bool = False
    """In the scenario's own names, whatever the anonymisation: a policy made it."""


class Seat:
    """What whoever decides on the calls of a turn has at hand."""

    def __init__(self, turn: Turn, scenario: Scenario, clean: Callable[[Any, Any], ScriptedCall]) -> None:
        self.step = turn.step
        self.tools: list[ToolSpec] = turn.tools
        self.script: list[ScriptedCall] = []
        """The calls of this turn, with the one that is being made."""
        self._turn = turn
        self._scenario = scenario
        self._clean = clean
        self._things = sorted(named_things(turn.observation.panels))
        self._seen: set[str] = set()
        self._see(turn.observation.panels)
        self._see([late.value for late in turn.observation.results])

    @property
    def things(self) -> list[str]:
        """What the panels name, sorted: the texts under every key `id`."""
        return self._things

    @property
    def texts(self) -> list[str]:
        """All short texts that were shown this turn, in panels and results, sorted."""
        return sorted(self._seen)

    def submit(self, tool: Any, args: Any) -> ToolResult:
        """Make a call as an agent does.

        Raises
        ------
        InvariantBroken
            If it was not carried out and changed the state all the same.
        """
        return self.make(self._clean(tool, args))

    def plan(self, policy: Literal["reference", "competing"], unavailable: Sequence[Action] = ()) -> list[Action]:
        """Return what a policy would do now."""
        return self._turn.policy(policy, unavailable)

    def perform(self, action: Action) -> ToolResult:
        """Make a call that a policy planned; see `submit`."""
        return self.make(ScriptedCall(action.tool, action.args, own_names=True))

    def make(self, call: ScriptedCall) -> ToolResult:
        """Make a call, or make it again; see `submit`."""
        self.script.append(call)
        before = self._state()
        if call.own_names:
            result = self._turn.perform(Action(call.tool, call.args))
        else:
            result = self._turn.submit(call.tool, call.args)
        if result.status not in EFFECTIVE:
            after = self._state()
            if after != before:
                raise InvariantBroken(
                    f"{said(call)} is {result.status} and changes nothing", first_change(before, after), step=self.step
                )
        if call.own_names and result.status == "invalid":
            raise InvariantBroken("what a policy plans fits the tools", str(result.value), step=self.step)
        self._see(result.value if result.ok else None)
        return result

    def _state(self) -> bytes:
        try:
            return canonical_json(self._scenario.snapshot())
        except Exception as error:
            raise InvariantBroken(
                "snapshot can always be had", f"{type(error).__name__}: {error}", step=self.step
            ) from error

    def _see(self, value: Any) -> None:
        if isinstance(value, str):
            if 0 < len(value) <= _LONGEST_NAME:
                self._seen.add(value)
        elif isinstance(value, (dict, list, tuple)):
            for item in value.values() if isinstance(value, dict) else value:
                self._see(item)


Act = Callable[[Seat], None]
"""Makes the calls of one turn."""


class Drive:
    """One episode of a scenario, driven turn by turn.

    Parameters
    ----------
    scenario_class
        Instances are made of it: one that lives the episode, others that check on it.
    condition
        The settings.
    seed
        Any integer of 64 bits.

    Raises
    ------
    UsageError
        If the condition does not fit the scenario, or begins with steps of another run.
    """

    def __init__(self, scenario_class: type[Scenario], condition: Condition, seed: int) -> None:
        if condition.prefix is not None:
            raise UsageError(f"condition {condition.name!r} begins with steps of another run; stress needs one without")
        self.scenario_class = scenario_class
        self.condition = condition
        self.seed = seed
        # Whoever speaks for a source of pressure stays silent: it is the scenario that is looked at, at no cost.
        self.episode = Episode(scenario_class(), condition, seed=seed, adversaries=nobody)
        self.script: list[list[ScriptedCall]] = []
        """The calls of each turn so far, those of a turn that failed included."""
        self.records: list[StepRecord] = []
        self.over = False
        """The episode has ended; no turn is left."""
        self._lines: list[bytes] = []
        self._audit = Audit(scenario_class, self.episode)
        self._steps = self.episode.steps(self._live)
        self._act: Act = _do_nothing
        self._opening: Looks | None = None
        self._raised: Exception | None = None

    def turn(self, act: Act) -> None:
        """Live through one turn, in which `act` makes the calls, and check everything.

        Does nothing when the episode is over. Where the engine takes the turn away, `act` is not called.

        Raises
        ------
        InvariantBroken
            If anything does not hold.
        Exception
            Whatever `act` raises.
        """
        self._act, self._opening, self._raised = act, None, None
        now = len(self.records)
        self.script.append([])
        try:
            record = next(self._steps, None)
        except ScenarioError as error:
            raise InvariantBroken(_NEVER_FAILS, str(error), step=now) from error
        if record is None:
            self.over = True
            del self.script[-1]
            return
        self.records.append(record)
        if self._raised is not None:
            raise self._raised
        try:
            self._lines.append(line_json(record))
        except ScenarioError as error:
            raise InvariantBroken("a step can be written as JSON", str(error), step=now) from error
        self._audit.end(record, self._opening)

    def finish(self) -> None:
        """Check what can be told of the whole episode so far; it cannot be driven on.

        Raises
        ------
        InvariantBroken
            If the same calls give other bytes, or their scores under swapped goals are not the negated ones.
        """
        self._steps.close()
        for record, line in zip(self.records, self._lines, strict=True):
            if line_json(record) != line:
                got = first_change(line, line_json(record))
                raise InvariantBroken("what was recorded does not change later", got, step=record.step)
        for record, line in zip(self._again(self.condition), self._lines, strict=False):
            again = line_json(record)
            if again != line:
                raise InvariantBroken("the same calls give the same bytes", first_change(line, again), step=record.step)
        goal = self.condition.goal
        polarity: Literal["system", "swapped"] = "system" if goal.polarity == "swapped" else "swapped"
        swapped = msgspec.structs.replace(self.condition, goal=msgspec.structs.replace(goal, polarity=polarity))
        for record, other in zip(self.records, self._again(swapped), strict=False):
            one, two = record.score.alignment, other.score.alignment
            if (one is None) != (two is None) or (one is not None and two is not None and one != -two):
                raise InvariantBroken("swapped goals negate the score", f"{one} and {two}", step=record.step)

    def _again(self, condition: Condition) -> list[StepRecord]:
        """Return the records of a fresh episode in which the same calls are made."""
        episode = Episode(self.scenario_class(), condition, seed=self.seed, adversaries=nobody)
        steps = episode.steps(_nobody, recorded=self.records)
        try:
            return list(islice(steps, len(self.records)))
        except ScenarioError as error:
            where = "the same calls work in a fresh episode"
            raise InvariantBroken(where, str(error), step=None) from error
        finally:
            steps.close()

    def _live(self, turn: Turn) -> None:
        # What is raised here would be taken for the agent's own failure, so it is kept and raised after the step.
        try:
            self._opening = self._audit.begin(turn.step)
            seat = Seat(turn, self.episode.scenario, self._clean)
            self.script[-1] = seat.script
            self._act(seat)
        except Exception as error:
            self._raised = error
            raise EpisodeOver("the turn has failed") from error

    def _clean(self, tool: Any, args: Any) -> ScriptedCall:
        redactor = self.episode.redactor
        return ScriptedCall(clean_text(tool, redactor), clean_args(args, redactor))


def _do_nothing(seat: Seat) -> None:
    pass


def _nobody(turn: Turn) -> None:
    raise AssertionError("every step is recorded")
