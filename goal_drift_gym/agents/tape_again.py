"""Giving the answers of a tape again, and finding out where what they were given to is not what it was.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from typing import Any

from goal_drift_gym.agents.tape_lines import PARTS, CallLine, EndLine, Tape, TapedTurn, digest
from goal_drift_gym.agents.tape_shown import Shown, said_difference
from goal_drift_gym.core.engine import Replayed, Unusable
from goal_drift_gym.core.errors import TapeError
from goal_drift_gym.core.records import Action, ActionRecord, Observation, Score, StepRecord, ToolResult
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.turn import Turn

FAULTS = frozenset(
    {"agent_silent", "agent_unavailable", "agent_out_of_budget", "agent_error", "limit_reached", "unusable_answer"}
)
"""Events of a step that say why the agent gave no answer."""

_REPORTED = frozenset(inspect.signature(Turn.usage).parameters) - {"self"}


class TapePlayer:
    """An agent that gives the answers of a tape, as long as it is shown what the recorded agent was shown.

    At the first difference it answers nothing any more, and `check` raises: to be asked before a step counts.
    """

    runs_inline = True

    def __init__(self, tape: Tape, redactor: Redactor, *, same_engine: bool) -> None:
        self._tape = tape
        self._shown = Shown(redactor)
        self._same_engine = same_engine
        self._difference: str | None = None

    def __call__(self, turn: Turn) -> Any:
        """Make the recorded calls of this turn; fail as recorded where the agent failed."""
        taped = self._tape.turns.get(turn.step)
        if self._difference is not None:
            return None
        if taped is None or taped.end is None:
            return self._differ(f"step {turn.step}: the agent is asked now, and has no answer on the tape")
        if not self._is_same_sight(turn, taped):
            return None
        for number, call in enumerate(taped.calls):
            result = self._shown.result(perform_again(turn, call))
            if result.hash != call.result.hash:
                where = f"step {turn.step}, result of call {number} ({call.tool})"
                return self._differ(said_difference(where, self._tape.value(call.result), result.value))
        return _ending(turn, taped.end)

    def check(self) -> None:
        """Raise a TapeError at the first difference between what was recorded and what is now."""
        if self._difference is not None:
            raise TapeError(f"{self._tape.path} does not fit any more; record it again. {self._difference}")

    def check_step(self, record: StepRecord, line: bytes) -> None:
        """Check that a step came out as recorded; `line` is what its step log holds.

        Raises
        ------
        TapeError
            At the first difference.
        """
        self.check()
        taped = self._tape.turns.get(record.step)
        end = None if taped is None else taped.end
        if taped is None or end is None:
            return
        fault, detail = fault_of(record)
        for name, recorded, now in (
            ("number of calls", len(taped.calls), len(record.action.calls)),
            ("outcome", end.outcome, record.outcome),
            ("fault of the agent", (end.fault, end.detail), (fault, detail)),
            ("score.alignment", end.alignment, record.score.alignment),
        ):
            if recorded != now:
                self._differ(said_difference(f"step {record.step}, {name}", recorded, now))
        if self._same_engine and self._difference is None and end.record != digest(line):
            self._differ(
                f"step {record.step}: the agent was shown the same and scored the same, and the step log differs: "
                f"the scenario's state, world, policies or violations; recorded {end.record}, now {digest(line)}"
            )
        self.check()

    def _is_same_sight(self, turn: Turn, taped: TapedTurn) -> bool:
        line = self._shown.turn(turn)
        for name in PARTS:
            recorded, now = taped.line.parts[name], line.parts[name]
            if recorded.hash != now.hash:
                value = self._tape.value(recorded)
                self._differ(said_difference(f"step {turn.step}, {name}", value, now.value))
                return False
        return True

    def _differ(self, text: str) -> None:
        if self._difference is None:
            self._difference = text


def given_again(turn: Turn, known: TapedTurn) -> Any:
    """Give the recorded answer to a turn that its agent had given back already, but that had not ended."""
    done = known.done
    assert done is not None
    for call in known.calls[: known.before_done]:
        perform_again(turn, call)
    for note in done.notes:
        turn.note(note)
    report_again(turn, done.usage)
    return done.returned if done.unusable is None else Unusable(done.unusable)


def said_again(tape: Tape, steps: int) -> list[StepRecord]:
    """Return records of which nothing but what adversaries said is true, one a step."""
    records: list[StepRecord] = []
    for step in range(steps):
        said = tape.said.get(step)
        records.append(
            StepRecord(
                step=step,
                observation=Observation(),
                action=ActionRecord(),
                score=Score(None),
                outcome="forced",
                adversaries=[] if said is None else said.adversaries,
                events=[] if said is None else said.events,
            )
        )
    return records


def report_again(turn: Turn, usage: dict[str, Any]) -> None:
    """Report what was spent before the episode was cut off, as far as it is anything an agent may report."""
    turn.usage(**{name: value for name, value in usage.items() if name in _REPORTED})


def perform_again(turn: Turn, call: CallLine) -> ToolResult:
    """Make a recorded call."""
    return turn.perform(Action(call.tool, call.args)) if call.own_words else turn.submit(call.tool, call.args)


def fault_of(record: StepRecord) -> tuple[str | None, dict[str, Any]]:
    """Return kind and detail of the agent's fault in a step; None where it had none."""
    for event in record.events:
        if event.by == "agent" and event.kind in FAULTS:
            return event.kind, event.detail
    return None, {}


def _ending(turn: Turn, end: EndLine) -> Any:
    for note in end.notes:
        turn.note(note)
    if end.fault == "unusable_answer":
        return Unusable(end.detail["type"])
    if end.fault is not None:
        raise Replayed(end.fault, end.detail)
    return None
