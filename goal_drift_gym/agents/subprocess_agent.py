"""An agent in a process of its own, in any language, over lines of JSON (docs/subprocess-protocol.md).

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Sequence
from typing import Any, Literal

from goal_drift_gym.agents.chat_prompt import ChatPrompt, Template
from goal_drift_gym.agents.line_process import LineProcess
from goal_drift_gym.agents.subprocess_wire import (
    LONGEST_LINE,
    PROTOCOL,
    Call,
    EndTurn,
    Failed,
    Hello,
    Message,
    Note,
    Spent,
    end_line,
    hello_line,
    read_message,
    result_line,
    turn_line,
    turn_over_line,
)
from goal_drift_gym.core.errors import AgentError, AgentSilent, AgentTimeout, AgentUnavailable, EpisodeOver, UsageError
from goal_drift_gym.core.turn import Turn

PREFIX = "exec:"
RULES = "You act by calling tools. You may call several in a step, one after another, and see each result."

_MOST_STDERR = 8192
_STDERR_SAID = 300
_EXIT_WAIT_S = 1.0
_LONGEST_S = 1e6


class SubprocessAgent:
    """An agent behind the standard streams of a process, which lives for one episode.

    Parameters
    ----------
    command
        Program and arguments, such as `["node", "agent.mjs"]`. No shell reads them.
    cwd
        Its working directory; `None`: this one's.
    name
        What the agent is called in config.json; by default `exec:` and the command.
    start_timeout_s
        Seconds from the start of the process until it says hello, > 0.
    step_timeout_s
        Seconds for one step, > 0; a step that is not ended by then is silent. The engine's own limit counts too.
    most_silent_steps
        After this many silent steps in a row the run ends as an error, >= 1.
    most_messages
        Messages the agent may send in one step, >= 2; more are a flood, which ends the run as an error.
    grace_s
        Seconds the process gets to end once the episode is over, >= 0. Then it is killed, with its children.

    Raises
    ------
    UsageError
        If there is no such program, or a setting is out of range.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        name: str | None = None,
        start_timeout_s: float = 30.0,
        step_timeout_s: float = 300.0,
        most_silent_steps: int = 3,
        most_messages: int = 1000,
        grace_s: float = 2.0,
    ) -> None:
        self.command = checked_command(command, cwd)
        self.cwd = None if cwd is None else os.fspath(cwd)
        self.name = PREFIX + shlex.join(self.command) if name is None else name
        for setting, value, least in (
            ("start_timeout_s", start_timeout_s, 1e-3),
            ("step_timeout_s", step_timeout_s, 1e-3),
            ("grace_s", grace_s, 0.0),
        ):
            # The comparison is written so that NaN fails it.
            if not least <= value <= _LONGEST_S:
                raise UsageError(f"{setting} = {value!r} must be at least {least:g} and at most {_LONGEST_S:g} seconds")
        for setting, count, few in (("most_silent_steps", most_silent_steps, 1), ("most_messages", most_messages, 2)):
            if isinstance(count, bool) or not isinstance(count, int) or count < few:
                raise UsageError(f"{setting} = {count!r} must be a whole number of at least {few}")
        self.start_timeout_s = start_timeout_s
        self.step_timeout_s = step_timeout_s
        self.most_silent_steps = most_silent_steps
        self.most_messages = most_messages
        self.grace_s = grace_s
        self._seed: int | None = None
        self._conversation: _Conversation | None = None
        self.last_stderr = ""
        """The end of what the process of the last episode wrote to standard error."""

    def describe(self) -> dict[str, Any]:
        """Return what identifies this agent, for config.json."""
        return {"kind": "subprocess", "command": self.command, "protocol": PROTOCOL}

    def for_episode(self) -> SubprocessAgent:
        """Return an agent for one more episode at the same time."""
        return SubprocessAgent(
            self.command,
            cwd=self.cwd,
            name=self.name,
            start_timeout_s=self.start_timeout_s,
            step_timeout_s=self.step_timeout_s,
            most_silent_steps=self.most_silent_steps,
            most_messages=self.most_messages,
            grace_s=self.grace_s,
        )

    def reset(self, *, seed: int) -> None:
        """Get ready for an episode."""
        self.end_episode()
        self._seed = seed

    async def __call__(self, turn: Turn) -> None:
        """Have the process act in a turn."""
        conversation = self._conversation
        if conversation is None or turn.step <= conversation.step:
            self.end_episode()
            conversation = self._conversation = _Conversation(self, turn, self._seed)
        await conversation.hold(turn)

    def end_episode(self) -> None:
        """Tell the process that the episode is over, and have it end."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()
            self.last_stderr = conversation.process.stderr()


class _Conversation:
    """One episode with one process."""

    def __init__(self, agent: SubprocessAgent, turn: Turn, seed: int | None) -> None:
        self._agent = agent
        self._prompt = ChatPrompt("tools", Template(tools_rules=RULES), None)
        self.step = -1
        self._cut_off: set[int] = set()
        """Steps that ended under the agent's hands: what it still sends for them is passed over."""
        self._silent_steps = 0
        self._is_open = False
        """The agent believes that it has this turn."""
        self._has_greeted = False
        try:
            self.process = LineProcess(
                agent.command, cwd=agent.cwd, longest_line=LONGEST_LINE, stderr_kept=_MOST_STDERR
            )
        except OSError as error:
            raise AgentUnavailable(f"{agent.name} cannot be started: {error}") from error
        instructions = "\n\n".join(part for part in (turn.goal, RULES) if part)
        self.process.send(hello_line(turn, seed=seed, instructions=instructions))

    async def hold(self, turn: Turn) -> None:
        """Show a step, carry out what the agent asks for, until it ends the turn."""
        agent = self._agent
        self._not_for_ever(turn)
        self.step = turn.step
        text = self._prompt.observation(turn.step, turn.horizon, turn.observation).text
        self.process.send(turn_line(turn, text=text))
        # Taken back where the turn ends well: so it counts, too, when the engine calls this wait off.
        self._silent_steps += 1
        self._cut_off.add(turn.step)
        self._is_open = True
        deadline = time.monotonic() + agent.step_timeout_s
        try:
            for _ in range(agent.most_messages):
                message = read_message(await self._line(deadline))
                if self._take(turn, message):
                    self._silent_steps = 0
                    self._is_open = False
                    self._cut_off.discard(turn.step)
                    return
        except EpisodeOver:
            self._silent_steps = 0
            self._tell_over("calls")
            raise
        except AgentTimeout:
            self._tell_over("time")
            raise
        raise AgentError(f"the agent sent {agent.most_messages} messages in step {turn.step} without ending it")

    def close(self) -> None:
        """Say goodbye and have the process end."""
        self.process.send(end_line())
        self.process.close(self._agent.grace_s)

    def _not_for_ever(self, turn: Turn) -> None:
        if self._silent_steps >= self._agent.most_silent_steps:
            raise AgentError(f"no answer in {self._silent_steps} steps in a row: the agent hangs{self._said()}")
        if self._is_open:
            # The engine called the wait off, so nobody has told the agent yet.
            self._tell_over("time")

    def _tell_over(self, reason: Literal["time", "calls"]) -> None:
        self.process.send(turn_over_line(self.step, reason))
        self._is_open = False

    async def _line(self, deadline: float) -> bytes:
        """Return the next line that says something."""
        process, agent = self.process, self._agent
        while True:
            line = process.take()
            if line is not None:
                if line.strip():
                    return line
                continue
            if process.fault is not None:
                raise AgentError(f"the agent's process is of no use: {process.fault}{self._said()}")
            if process.has_ended_output:
                raise AgentError(self._how_it_ended())
            until = deadline
            if not self._has_greeted:
                until = min(deadline, process.started + agent.start_timeout_s)
            if await process.arrival(until - time.monotonic()):
                continue
            if until < deadline:
                raise AgentError(f"the agent did not say hello within {agent.start_timeout_s:g} s{self._said()}")
            raise AgentTimeout(f"the turn was not ended within {agent.step_timeout_s:g} s{self._said()}")

    def _take(self, turn: Turn, message: Message) -> bool:
        """Do what a message asks for; return whether it ends the turn."""
        if not self._has_greeted or isinstance(message, Hello):
            self._greet(message)
            return False
        if isinstance(message, Note):
            turn.note(message.text)
        elif isinstance(message, Spent):
            self._count(turn, message)
        elif isinstance(message, Failed):
            self._is_open = False
            raise _FAULTS[message.kind](message.message or "the agent gives no reason")
        elif message.step != turn.step:
            if message.step not in self._cut_off:
                raise AgentError(f"the agent sent a message for step {message.step} in step {turn.step}")
        elif isinstance(message, EndTurn):
            return True
        else:
            self._carry_out(turn, message)
        return False

    def _greet(self, message: Message) -> None:
        if not isinstance(message, Hello) or self._has_greeted:
            what = "a second hello" if isinstance(message, Hello) else f"{type(message).__name__} before its hello"
            raise AgentError(f"the agent sent {what}; it says hello once, first of all")
        if message.protocol != PROTOCOL:
            raise AgentError(f"the agent speaks protocol {message.protocol}; this engine speaks {PROTOCOL}")
        self._has_greeted = True

    def _carry_out(self, turn: Turn, call: Call) -> None:
        result = turn.submit(call.tool, call.args)
        self.process.send(result_line(turn.step, result, text=self._prompt.result(result)))

    def _count(self, turn: Turn, spent: Spent) -> None:
        try:
            turn.usage(
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                calls=spent.calls,
                retries=spent.retries,
                cost=spent.cost,
            )
        except ValueError as error:
            raise AgentError(f"the agent's usage is none: {error}") from error

    def _how_it_ended(self) -> str:
        code = self.process.exit_code(_EXIT_WAIT_S)
        if code is None:
            how = "closed its output and goes on"
        else:
            how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        return f"the agent's process {how} in step {self.step}, before the episode was over{self._said()}"

    def _said(self) -> str:
        said = self.process.stderr()
        return f"; its standard error ends with: {said[-_STDERR_SAID:]}" if said else ""


_FAULTS: dict[str, type[AgentError]] = {"error": AgentError, "silent": AgentSilent, "unavailable": AgentUnavailable}


def command_of(reference: str) -> list[str]:
    """Return the command of a reference such as `exec:node agent.mjs`.

    Raises
    ------
    UsageError
        If there is none in it, or a quotation mark is open.
    """
    try:
        command = shlex.split(reference.removeprefix(PREFIX))
    except ValueError as error:
        raise UsageError(f"{reference!r} is no command: {error}") from error
    if not command:
        raise UsageError(f"{reference!r} names no program; write exec:PROGRAM ARGUMENTS, such as exec:node agent.mjs")
    return command


def checked_command(command: Sequence[str], cwd: str | os.PathLike[str] | None = None) -> list[str]:
    """Return a command as a list.

    Raises
    ------
    UsageError
        If it is none, or there is no such program.
    """
    if isinstance(command, (str, bytes)) or not all(isinstance(part, str) for part in command) or not command:
        raise UsageError(f"command = {command!r} must be a list such as ['node', 'agent.mjs']")
    program = command[0]
    looked_at = program if cwd is None or not os.path.dirname(program) else os.path.join(cwd, program)  # noqa: PTH118, PTH120
    if shutil.which(looked_at) is None:
        raise UsageError(f"there is no program {program!r}; it is neither on PATH nor the path of an executable file")
    return list(command)
