"""Recording what an agent is shown and answers, at its own seam: a tape can be replayed without the agent.

The recorder wraps any agent, sync or async. A line is written, in one write, as soon as what it tells has happened,
so that a recording whose process was killed can be gone on with, see tape_lines.py for the lines. While the episode
has no end the file's name ends in `.part`; it takes the place of an older tape of the same names only when it has one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.tape_again import fault_of, given_again, report_again
from goal_drift_gym.agents.tape_file import TapeSlot, append_line, check_same, lost, open_part, part_of
from goal_drift_gym.agents.tape_lines import (
    UNAVAILABLE,
    AgainLine,
    AnswerLine,
    CallLine,
    DoneLine,
    EndLine,
    Header,
    Part,
    SaidLine,
    Tape,
    TapedTurn,
    TurnLine,
    digest,
    has_header,
    hash_of,
    read_tape,
)
from goal_drift_gym.agents.tape_shown import Shown
from goal_drift_gym.core.adversary import ADVERSARY
from goal_drift_gym.core.answers import actions_of
from goal_drift_gym.core.canonical import clean_args, clean_text, line_json
from goal_drift_gym.core.errors import GoalDriftError, TapeError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.records import StepRecord, ToolResult
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import RunConfig
from goal_drift_gym.core.turn import Turn, Usage

_MAX_TOOL_NAME, _MOST_NOTES = 128, 64


class TapeRecorder:
    """Records one episode. It holds a lock on the tape for as long as it lives.

    What cannot be written is no fault of the agent: `check` raises it.
    """

    def __init__(
        self, header: Header, path: Path, descriptor: int, redactor: Redactor, past: Tape | None = None, known: int = 0
    ) -> None:
        self.path = path
        """Where the tape will lie when it is finished."""
        self._has_adversaries = bool(header.adversaries)
        self._descriptor = descriptor
        self._redactor = redactor
        self._shown = Shown(redactor)
        # Guards what follows: an agent that is late writes from its own thread while the engine ends its turn.
        self._lock = threading.Lock()
        self._fault: TapeError | None = None
        self._going: _Going | None = None
        self._known = set() if past is None else set(past.known_hashes)
        self._past = {} if past is None else past.turns
        self._said = set() if past is None else {step for step in past.said if step < known}
        self._usage = Usage()
        self._counted = Usage()
        """What was spent up to the end of the last turn."""

    @classmethod
    def begin(cls, slot: TapeSlot, config: RunConfig) -> TapeRecorder:
        """Begin a new tape; one that was never finished is written over, a finished one stays until the end.

        Raises
        ------
        TapeError
            If it cannot be written, or is being recorded by another process.
        """
        redactor = Redactor.from_environment()
        header = slot.header(config, redactor)
        path = slot.path(header)
        recorder = cls(header, path, open_part(path), redactor)
        try:
            os.ftruncate(recorder._descriptor, 0)
            recorder._write(header)
            recorder.check()
        except OSError as error:
            recorder.close()
            raise lost(path, error) from error
        except BaseException:
            recorder.close()
            raise
        return recorder

    @classmethod
    def reopen(cls, slot: TapeSlot, config: RunConfig, known: Sequence[StepRecord]) -> TapeRecorder:
        """Open a tape that was cut off, to go on with it.

        Parameters
        ----------
        known
            The steps that the run's own log holds.

        Raises
        ------
        TapeError
            If it is not there, is of something else, or lacks turns of the known steps.
        """
        redactor = Redactor.from_environment()
        header = slot.header(config, redactor)
        path = slot.path(header)
        if not has_header(part_of(path)):
            if known:
                raise TapeError(f"the tape {part_of(path)} of a run that was cut off is gone; run it anew")
            return cls.begin(slot, config)
        descriptor = open_part(path)
        try:
            past = read_tape(part_of(path))
            check_same(past, header, known)
            os.ftruncate(descriptor, past.whole_bytes)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(header, path, descriptor, redactor, past, len(known))

    def wrap(self, agent: Agent, usage: Usage) -> Agent:
        """Return the agent with this recorder around it; how it is described is still to be asked of the agent.

        Parameters
        ----------
        usage
            Where the episode counts what is spent.
        """
        self._usage = usage
        return _Taped(agent, self)

    def check(self) -> None:
        """Raise what could not be recorded, as a TapeError. To be asked before a step counts."""
        if self._fault is not None:
            raise self._fault

    @property
    def is_broken(self) -> bool:
        """Whether something could not be recorded: the agent is not to be asked any more."""
        return self._fault is not None

    def begin_turn(self, turn: Turn) -> TapedTurn | None:
        """Take down what a turn shows, and listen to it.

        Returns
        -------
        TapedTurn
            Where the agent gave this very turn back before the recording was cut off: it need not be asked again.
        """
        past = self._past.get(turn.step)
        line = self._shown.turn(turn)
        with self._lock:
            if past is not None and past.end is not None and past.end.fault != UNAVAILABLE:
                return None  # Driven again through what the tape holds whole.
            if past is None or past.line.shown != line.shown:
                # An adversary that was asked anew may have said something else: what was answered then is no answer.
                past = None
                self._going = _Going(turn, self._usage)
                self._write(self._without_known(line))
            else:
                self._going = _Going(turn, self._usage, past)
                if past.end is not None:
                    self._write(AgainLine(step=turn.step, calls=len(past.calls), answers=len(past.answers)))
        turn.watch(self._heard, self._recall)
        return past if past is not None and past.end is None and past.done is not None else None

    def answered(self, turn: Turn, answer: Any) -> None:
        """Take down that the agent gave the turn back, and the calls it returned, before they are made."""
        actions = None if answer is None else actions_of(answer)
        returned = [
            (clean_text(tool, self._redactor, _MAX_TOOL_NAME), clean_args(args, self._redactor))
            for tool, args in actions or ()
        ]
        notes = [clean_text(note, self._redactor) for note in turn.notes[:_MOST_NOTES]]
        with self._lock:
            going = self._going
            if going is None or going.turn is not turn:
                return
            self._forget_rest(going)
            unusable = type(answer).__name__ if answer is not None and actions is None else None
            spent = _between(going.spent, self._usage)
            self._write(DoneLine(step=turn.step, returned=returned, notes=notes, usage=spent, unusable=unusable))

    def end_turn(self, record: StepRecord, line: bytes) -> None:
        """Take down how a turn ended, once its step is in the step log.

        Parameters
        ----------
        line
            The record as it stands in the step log.

        Raises
        ------
        TapeError
            If that could not be recorded.
        """
        with self._lock:
            going, past = self._going, self._past.get(record.step)
            self._going = None
            if going is not None and going.turn.step == record.step:
                self._forget_rest(going)
                self._write(_end_line(record, line, _between(self._counted, self._usage)))
            elif past is not None and past.end is None:
                self._write(_end_line(record, line, {}))
            self._write_said(record)
            self._counted = msgspec.structs.replace(self._usage)
        self.check()

    def close(self) -> None:
        """Let go of the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _heard(self, tool: Any, args: Any, own_words: bool, result: ToolResult) -> None:
        with self._lock:
            going = self._going
            if going is None:
                return
            line = CallLine(
                step=going.turn.step,
                tool=clean_text(tool, self._redactor, _MAX_TOOL_NAME),
                args=clean_args(args, self._redactor),
                own_words=own_words,
                result=self._shown.result(result),
            )
            if going.calls and _same_call(going.calls[0], line):
                going.calls.popleft()
            else:
                self._forget_rest(going)
                self._write(line)
            going.calls_made += 1

    def _recall(self, request: Any, ask: Callable[[], Any]) -> Any:
        asked = hash_of(request, self._redactor)
        with self._lock:
            going = self._going
            if going is not None and going.answers:
                if going.answers[0].request == asked:
                    kept = going.answers.popleft()
                    going.answers_given += 1
                    report_again(going.turn, kept.usage)
                    return kept.value
                self._forget_rest(going)
        if going is None:
            return ask()
        before = msgspec.structs.replace(self._usage)
        value = ask()
        line = AnswerLine(step=going.turn.step, request=asked, value=value, usage=_between(before, self._usage))
        with self._lock:
            # A turn that has ended meanwhile has no use for it.
            if self._going is going:
                self._write(line)
                going.answers_given += 1
        return value

    def _write_said(self, record: StepRecord) -> None:
        if not self._has_adversaries:
            return
        said = [one for one in record.adversaries if one.reactive]
        events = [event for event in record.events if event.by == ADVERSARY]
        if (said or events) and record.step not in self._said:
            self._said.add(record.step)
            self._write(SaidLine(step=record.step, adversaries=said, events=events))

    def _forget_rest(self, going: _Going) -> None:
        """Have what is left of a turn that was cut off not count: the agent went another way this time."""
        if going.calls or going.answers:
            going.calls.clear()
            going.answers.clear()
            self._write(AgainLine(step=going.turn.step, calls=going.calls_made, answers=going.answers_given))

    def _without_known(self, line: TurnLine) -> TurnLine:
        parts = {name: Part(part.hash) if part.hash in self._known else part for name, part in line.parts.items()}
        self._known.update(part.hash for part in line.parts.values())
        return msgspec.structs.replace(line, parts=parts)

    def _write(self, line: msgspec.Struct) -> None:
        """Append a line in one write."""
        if self._fault is not None or self._descriptor < 0:
            return
        try:
            append_line(self._descriptor, self._redactor.line(line_json(line)))
        except OSError as error:
            self._fault = lost(self.path, error)
        except GoalDriftError as error:
            self._fault = TapeError(f"cannot write to {part_of(self.path)}: {error}")


class _Going:
    """The turn that is being recorded, and what is left of an earlier try at it that was cut off."""

    def __init__(self, turn: Turn, usage: Usage, past: TapedTurn | None = None) -> None:
        self.turn = turn
        self.spent = msgspec.structs.replace(usage)
        self.calls = deque[CallLine]() if past is None else deque(past.calls)
        self.answers = deque[AnswerLine]() if past is None else deque(past.answers)
        self.calls_made = 0
        self.answers_given = 0


class _Taped:
    """An agent with a recorder around it."""

    def __init__(self, agent: Agent, recorder: TapeRecorder) -> None:
        self._agent = agent
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def __call__(self, turn: Turn) -> Any:
        known = self._recorder.begin_turn(turn)
        if self._recorder.is_broken:
            return None  # The runner asks `check` before the step counts.
        # One that is deterministic may have to learn what it knew; it costs nothing.
        if known is not None and getattr(self._agent, "deterministic", False) is not True:
            return given_again(turn, known)
        answer = self._agent(turn)
        if answer is not None and inspect.isawaitable(answer):
            return self._awaited(turn, answer)
        self._recorder.answered(turn, answer)
        return answer

    async def _awaited(self, turn: Turn, answer: Any) -> Any:
        value = await answer
        self._recorder.answered(turn, value)
        return value


def _end_line(record: StepRecord, line: bytes, usage: dict[str, Any]) -> EndLine:
    fault, detail = fault_of(record)
    return EndLine(
        step=record.step,
        outcome=record.outcome,
        alignment=record.score.alignment,
        fault=fault,
        detail=detail,
        notes=record.action.notes,
        usage=usage,
        record=digest(line),
    )


def _between(before: Usage, after: Usage) -> dict[str, Any]:
    """Return what was spent from one moment to another, without what is zero."""
    spent: dict[str, Any] = {}
    for name in Usage.__struct_fields__:
        earlier, later = getattr(before, name), getattr(after, name)
        if isinstance(later, (int, float)) and later != earlier:
            spent[name] = later - (earlier or 0)
    return spent


def _same_call(one: CallLine, other: CallLine) -> bool:
    return (one.tool, one.args, one.own_words, one.result.hash) == (
        other.tool,
        other.args,
        other.own_words,
        other.result.hash,
    )
