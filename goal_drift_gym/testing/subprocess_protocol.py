"""What a program must do to be an agent over the subprocess protocol, whatever language it is in.

It is talked to directly, without the engine, so that it meets messages an episode seldom brings: refused calls, late
results, a step cut off under its hands, fields of a later version, long lines.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from goal_drift_gym.agents.line_process import LineProcess
from goal_drift_gym.agents.subprocess_agent import RULES
from goal_drift_gym.agents.subprocess_wire import (
    LONGEST_LINE,
    PROTOCOL,
    Call,
    EndTurn,
    Failed,
    Hello,
    Message,
    end_line,
    read_message,
)
from goal_drift_gym.core.errors import AgentError, UsageError
from goal_drift_gym.runner import Experiment

Status = Literal["ok", "failed", "not exercised"]

_STDERR_KEPT = 2000
_MOST_MESSAGES = 200
_LONG = 300_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolCheck:
    """What came of one check."""

    name: str
    asks: str
    """What it asks of the program, in a sentence."""
    status: Status
    detail: str = ""
    """What went wrong; or why it could not be tried."""


class _Broken(Exception):
    """The program did what it must not."""


class _NotExercised(Exception):
    """The program gave no occasion to try this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What the program is told of: the beginning of an episode, which then does not move."""

    goal: str
    tools: list[dict[str, Any]]
    panels: dict[str, Any]

    @classmethod
    def of(cls, scenario: str) -> _World:
        experiment = Experiment.of(scenario)
        episode = experiment.episode(0)
        episode.scenario.advance(0)
        tools = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in episode.tools.values()
        ]
        return cls(goal=episode.goal, tools=tools, panels=episode.scenario.panels())

    def observation(self, **changes: Any) -> dict[str, Any]:
        return {"messages": [], "panels": self.panels, "results": [], **changes}


class _Talk:
    """A program, and what to say to it."""

    def __init__(self, process: LineProcess, world: _World, within_s: float) -> None:
        self.process = process
        self.world = world
        self._within_s = within_s

    def say(self, **message: Any) -> None:
        self.process.send(msgspec.json.encode(message))

    def hear(self) -> Message:
        deadline = time.monotonic() + self._within_s
        while True:
            line = self.process.receive(deadline - time.monotonic())
            if line is None:
                break
            if line.strip():
                try:
                    return read_message(line)
                except AgentError as error:
                    raise _Broken(str(error)) from None
        raise _Broken(self._why_nothing())

    def _why_nothing(self) -> str:
        said = self.process.stderr()
        tail = f"; its standard error ends with: {said[-300:]}" if said else ""
        if self.process.fault is not None:
            return f"{self.process.fault}{tail}"
        if self.process.has_ended_output:
            return f"it ended, with exit code {self.process.exit_code(1.0)}{tail}"
        return f"it said nothing for {self._within_s:g} s{tail}"

    def greet(self, **changes: Any) -> None:
        """Say hello and hear its hello."""
        hello = {
            "type": "hello",
            "protocol": PROTOCOL,
            "seed": 0,
            "horizon": 8,
            "goal": self.world.goal,
            "instructions": f"{self.world.goal}\n\n{RULES}",
            "tools": self.world.tools,
            "history": [],
        }
        self.say(**{**hello, **changes})
        heard = self.hear()
        if not isinstance(heard, Hello):
            raise _Broken(f"its first message is {_kind(heard)}; it must be hello")
        if heard.protocol != PROTOCOL:
            raise _Broken(f"it speaks protocol {heard.protocol}; {PROTOCOL} is asked for")

    def open(self, step: int, **changes: Any) -> None:
        """Open a step."""
        turn = {
            "type": "turn",
            "step": step,
            "observation": self.world.observation(),
            "text": f"Step {step + 1} of 8.",
        }
        self.say(**{**turn, **changes})

    def act(self, step: int, answer: Callable[[Call], None]) -> int:
        """Let it act until it ends the step; return how many calls it made."""
        calls = 0
        for _ in range(_MOST_MESSAGES):
            heard = self.hear()
            if isinstance(heard, Failed):
                raise _Broken(f"it gave up: {heard.kind}: {heard.message}")
            if isinstance(heard, Hello):
                raise _Broken("it said hello a second time")
            if isinstance(heard, (Call, EndTurn)) and heard.step != step:
                raise _Broken(f"it sent {_kind(heard)} for step {heard.step} in step {step}")
            if isinstance(heard, EndTurn):
                return calls
            if isinstance(heard, Call):
                calls += 1
                answer(heard)
        raise _Broken(f"it did not end step {step} within {_MOST_MESSAGES} messages")

    def result(self, step: int, call: Call, status: str = "ok", value: Any = None, **more: Any) -> None:
        """Answer a call."""
        text = msgspec.json.encode({"status": status, "result": value}).decode()
        answer = {"type": "result", "step": step, "tool": call.tool, "status": status, "value": value, "messages": []}
        self.say(**{**answer, "text": text, **more})

    def play(self, step: int, **changes: Any) -> int:
        """Open a step and let it act, with results that are fine."""
        self.open(step, **changes)
        return self.act(step, lambda call: self.result(step, call, value={"seen": 1}))


def check_command(
    command: Sequence[str], *, scenario: str = "release_manager", within_s: float = 30.0
) -> list[ProtocolCheck]:
    """Hold a program to the protocol.

    Parameters
    ----------
    command
        Program and arguments, such as `["node", "agent.mjs"]`.
    scenario
        The scenario whose tools, goal and first panels it is told of; its own, where it acts in none but one.
    within_s
        Longest wait for any of its messages, in seconds, > 0.

    Returns
    -------
    list of ProtocolCheck
        One a check, in a fixed order.

    Raises
    ------
    UsageError
        If the program cannot be started, or there is no such scenario.
    """
    if not within_s > 0.0:
        raise UsageError(f"within_s = {within_s!r} must be above 0 seconds")
    world = _World.of(scenario)
    return [_checked(name, check, list(command), world, within_s) for name, check in CHECKS.items()]


def _checked(
    name: str, check: Callable[[_Talk], None], command: list[str], world: _World, within_s: float
) -> ProtocolCheck:
    asks = (check.__doc__ or name).split("\n")[0]
    try:
        with _started(command, world, within_s) as talk:
            check(talk)
    except _Broken as error:
        return ProtocolCheck(name=name, asks=asks, status="failed", detail=str(error))
    except _NotExercised as error:
        return ProtocolCheck(name=name, asks=asks, status="not exercised", detail=str(error))
    return ProtocolCheck(name=name, asks=asks, status="ok")


@contextmanager
def _started(command: list[str], world: _World, within_s: float) -> Iterator[_Talk]:
    try:
        process = LineProcess(command, cwd=None, longest_line=LONGEST_LINE, stderr_kept=_STDERR_KEPT)
    except OSError as error:
        raise UsageError(f"{command[0]!r} cannot be started: {error}") from error
    try:
        yield _Talk(process, world, within_s)
    finally:
        process.close(0.0)


# --- the checks: their first lines are what they ask


def says_hello(talk: _Talk) -> None:
    """Answers hello with hello of the same protocol version."""
    talk.greet()


def ends_every_turn(talk: _Talk) -> None:
    """Acts step after step, and ends each."""
    talk.greet()
    for step in range(8):
        talk.play(step)


def lives_without_goal(talk: _Talk) -> None:
    """Starts where the goal is null, because the messages of the first step tell it."""
    talk.greet(goal=None, instructions=RULES)
    talk.play(0, observation=talk.world.observation(messages=[{"role": "system", "text": talk.world.goal}]))


def begins_in_the_middle(talk: _Talk) -> None:
    """Starts at a later step, with earlier ones as history."""
    call = {"tool": talk.world.tools[0]["name"], "args": {}, "status": "ok", "value": {"seen": 1}, "messages": []}
    past = {"step": 4, "observation": talk.world.observation(), "calls": [call], "notes": ["earlier"]}
    talk.greet(history=[past])
    talk.play(5)


def passes_over_what_it_does_not_know(talk: _Talk) -> None:
    """Passes over fields and messages of a later version."""
    talk.greet(a_later_field={"deep": [1]})
    talk.say(type="a_later_message", step=0)
    talk.play(0, a_later_field=1)


def reads_long_lines_of_any_text(talk: _Talk) -> None:
    """Reads a line of 300,000 characters beyond ASCII."""
    talk.greet()
    text = "é漢字🙂\u2028" * (_LONG // 5)
    talk.play(0, observation=talk.world.observation(messages=[{"role": "lead", "text": text}]))
    talk.play(1)


def takes_every_kind_of_result(talk: _Talk) -> None:
    """Goes on after calls that were refused, failed, do not fit, or are answered later."""
    talk.greet()
    calls = 0
    for step, status in enumerate(("refused", "failed", "invalid", "pending")):
        talk.open(step)
        calls += talk.act(step, lambda call, s=step, t=status: talk.result(s, call, t, "not now"))  # type: ignore[misc]
    late = {"tool": talk.world.tools[0]["name"], "status": "ok", "value": {"seen": 1}, "messages": []}
    talk.play(4, observation=talk.world.observation(results=[late]))
    if calls == 0:
        raise _NotExercised("it made no call")


def lets_go_of_a_step(talk: _Talk) -> None:
    """Lets go of a step that is over before its call was answered, and acts in the next."""
    talk.greet()
    talk.open(0)
    heard = talk.hear()
    while not isinstance(heard, (Call, EndTurn)):
        heard = talk.hear()
    if isinstance(heard, EndTurn):
        raise _NotExercised("it made no call")
    talk.say(type="turn_over", step=0, reason="time")
    talk.open(1)
    # What it had already sent for the step before is its right.
    _act_in(talk, 1, stale=0)
    talk.play(2)


def _act_in(talk: _Talk, step: int, *, stale: int) -> None:
    for _ in range(_MOST_MESSAGES):
        heard = talk.hear()
        if isinstance(heard, (Call, EndTurn)):
            if heard.step == stale:
                continue
            if heard.step != step:
                raise _Broken(f"it sent {_kind(heard)} for step {heard.step} in step {step}")
            if isinstance(heard, EndTurn):
                return
            talk.result(step, heard, value={"seen": 1})
    raise _Broken(f"it did not end step {step} within {_MOST_MESSAGES} messages")


def ends_when_it_is_told(talk: _Talk) -> None:
    """Ends with exit code 0 once the episode is over."""
    talk.greet()
    talk.play(0)
    talk.process.send(end_line())
    _ends(talk)


def ends_with_its_input(talk: _Talk) -> None:
    """Ends when its input does, so that it never outlives an engine that was killed."""
    talk.greet()
    talk.play(0)
    talk.process.end_input()
    _ends(talk, any_code=True)


def _ends(talk: _Talk, *, any_code: bool = False) -> None:
    code = talk.process.exit_code(_ENDING_S)
    if code is None:
        raise _Broken(f"it still ran {_ENDING_S:g} s later")
    if code != 0 and not any_code:
        raise _Broken(f"it ended with exit code {code}; its standard error ends with: {talk.process.stderr()[-300:]}")


def _kind(message: Message) -> str:
    return str(type(message).__struct_config__.tag)


_ENDING_S = 5.0

CHECKS: dict[str, Callable[[_Talk], None]] = {
    check.__name__: check
    for check in (
        says_hello,
        ends_every_turn,
        lives_without_goal,
        begins_in_the_middle,
        passes_over_what_it_does_not_know,
        reads_long_lines_of_any_text,
        takes_every_kind_of_result,
        lets_go_of_a_step,
        ends_when_it_is_told,
        ends_with_its_input,
    )
}
"""Name -> check; the first line of each is what it asks of the program."""
