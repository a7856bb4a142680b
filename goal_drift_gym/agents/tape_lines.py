"""The lines of a tape, format version 1, and reading them.

A tape is JSON Lines: a header, then for each turn of the agent what it was shown (`turn`), the answers of models it
asked for (`answer`), its calls with their results (`call`), what it returned (`done`), and how the turn ended
(`end`); at last how the episode ended (`run`). Lines are only ever appended. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from goal_drift_gym.core.canonical import MALFORMED, canonical_json, sha256_hex
from goal_drift_gym.core.errors import TapeError
from goal_drift_gym.core.records import Adversary, Event
from goal_drift_gym.core.redaction import Redactor

TAPE_VERSION = 1
SUFFIX = ".tape.jsonl"
UNFINISHED = ".part"
"""Appended to the name of a tape as long as its episode has no end that can be replayed."""

Role = Literal["agent", "adversary", "judge"]
ROLES: tuple[str, ...] = get_args(Role)
PARTS = ("goal", "tools", "messages", "panels", "results", "history")
"""What an agent is shown, in the order in which differences are looked for."""

REPLAYABLE = frozenset({"completed", "terminated", "truncated", "agent_error"})
"""How an episode may end for its tape to be of use: the rest was cut off by something that is not the agent."""

UNAVAILABLE = "agent_unavailable"
"""Fault after which a turn is tried again when the episode is resumed."""
_HASH_LENGTH = 32


class _Line(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"
):
    """A line. Tags are shorter than the shortest secret, which redaction would else replace."""


class TapedScenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which scenario it was."""

    id: str
    version: str


class Header(_Line, frozen=True, kw_only=True, tag="header"):
    """The first line: everything that tells one recording from another."""

    format_version: int
    role: Role
    owner: str
    """What the episode was run for: the node id of a test; empty for the command."""
    seed: int
    repeat: int
    """Number of earlier episodes of the same names and seed for the same owner."""
    engine_version: str
    scenario: TapedScenario
    condition: dict[str, Any]
    condition_hash: str
    goal_hash: str
    tools_hash: str
    agent: dict[str, Any]
    adversaries: list[dict[str, Any]] = []
    limits: dict[str, Any]

    @property
    def slot(self) -> tuple[str, str, str, str, str, int, int]:
        """The names under which there is one recording: a new one takes the place of the old."""
        names = (self.scenario.id, str(self.condition.get("name")), str(self.agent.get("name")))
        return (self.owner, self.role, *names, self.seed, self.repeat)


class Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One part of what the agent was shown."""

    hash: str
    value: Any = msgspec.UNSET
    """Left out where an earlier line holds it, and where it is very long."""


class TurnLine(_Line, frozen=True, kw_only=True, tag="turn"):
    """A turn begins: what the agent was shown."""

    step: int
    shown: str
    """Hash of all parts."""
    parts: dict[str, Part]


class AnswerLine(_Line, frozen=True, kw_only=True, tag="answer"):
    """What a model answered, where the one who asked it keeps its answers."""

    step: int
    request: str
    """Hash of what was asked."""
    value: Any
    usage: dict[str, Any] = {}
    """What was spent on it."""


class CallLine(_Line, frozen=True, kw_only=True, tag="call"):
    """A call and what came of it."""

    step: int
    tool: str
    args: dict[str, Any]
    own_words: bool = False
    """The call is in the scenario's own names, whatever the anonymisation."""
    result: Part


class DoneLine(_Line, frozen=True, kw_only=True, tag="done"):
    """The agent gave the turn back; the calls it returned are made after this."""

    step: int
    returned: list[tuple[str, dict[str, Any]]] = []
    notes: list[str] = []
    usage: dict[str, Any] = {}
    unusable: str | None = None
    """Type of what it returned, where that was no list of calls."""


class AgainLine(_Line, frozen=True, kw_only=True, tag="again"):
    """A turn that was cut off is gone on with: only this many of its calls and answers are kept."""

    step: int
    calls: int
    answers: int


class EndLine(_Line, frozen=True, kw_only=True, tag="end"):
    """A turn ended, as the engine saw it."""

    step: int
    outcome: str
    alignment: float | None
    fault: str | None = None
    """Kind of the agent's fault, `None` where it had none."""
    detail: dict[str, Any] = {}
    notes: list[str] = []
    usage: dict[str, Any] = {}
    record: str
    """Hash of the line of the step log."""


class SaidLine(_Line, frozen=True, kw_only=True, tag="said"):
    """What adversaries answered at a step; nobody asks them again."""

    step: int
    adversaries: list[Adversary] = []
    events: list[Event] = []


class RunLine(_Line, frozen=True, kw_only=True, tag="run"):
    """The episode ended."""

    outcome: str
    steps: int
    step_log_sha256: str
    metrics_sha256: str
    """SHA-256 of the canonical JSON of the metrics."""


class TapedTurn:
    """What a tape holds of one turn."""

    def __init__(self, line: TurnLine) -> None:
        self.line = line
        self.calls: list[CallLine] = []
        self.answers: list[AnswerLine] = []
        self.done: DoneLine | None = None
        self.before_done = 0
        """Number of calls the agent made before it gave the turn back."""
        self.end: EndLine | None = None

    def take(self, line: AnswerLine | CallLine | DoneLine | AgainLine | EndLine) -> None:
        """Take in a later line of the turn.

        Raises
        ------
        ValueError
            If the turn has ended.
        """
        if isinstance(line, AgainLine):
            del self.calls[line.calls :], self.answers[line.answers :]
            self.done = self.end = None
            return
        if self.end is not None:
            raise ValueError(f"the turn of step {line.step} has ended")
        if isinstance(line, CallLine):
            self.calls.append(line)
        elif isinstance(line, AnswerLine):
            self.answers.append(line)
        elif isinstance(line, DoneLine):
            self.done, self.before_done = line, len(self.calls)
        else:
            self.end = line


class Tape:
    """A tape that was read."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.turns: dict[int, TapedTurn] = {}
        self.said: dict[int, SaidLine] = {}
        self.end: RunLine | None = None
        self.whole_bytes = 0
        """Length without a torn last line."""
        self._values: dict[str, Any] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the episode came to an end that can be replayed."""
        return self.end is not None and self.end.outcome in REPLAYABLE

    @property
    def known_hashes(self) -> set[str]:
        """Hashes of the values that the tape holds."""
        return set(self._values)

    def value(self, part: Part) -> Any:
        """Return the value of a part; `UNSET` where it was too long to be kept."""
        return self._values.get(part.hash, msgspec.UNSET)

    def take(self, line: _Line) -> None:
        """Take in the next line.

        Raises
        ------
        ValueError
            If no such line can come here.
        """
        if isinstance(line, RunLine):
            self.end = line
        elif isinstance(line, SaidLine):
            self.said[line.step] = line
        elif isinstance(line, TurnLine):
            known = self.turns.get(line.step)
            # One that was cut off begins anew where its agent is shown something else the next time.
            if known is not None and known.end is not None and known.end.fault != UNAVAILABLE:
                raise ValueError(f"the turn of step {line.step} begins twice")
            self.turns[line.step] = TapedTurn(line)
            self._keep(*line.parts.values())
        elif isinstance(line, (AnswerLine, CallLine, DoneLine, AgainLine, EndLine)):
            if line.step not in self.turns:
                raise ValueError(f"the turn of step {line.step} has not begun")
            self.turns[line.step].take(line)
            if isinstance(line, CallLine):
                self._keep(line.result)
        else:
            raise ValueError("a second header")

    def _keep(self, *parts: Part) -> None:
        for part in parts:
            if part.value is not msgspec.UNSET:
                self._values[part.hash] = part.value


_HEADER = msgspec.json.Decoder(Header)
_LINES = msgspec.json.Decoder(
    Header | TurnLine | AnswerLine | CallLine | DoneLine | AgainLine | EndLine | SaidLine | RunLine
)


def digest(data: bytes) -> str:
    """Return the hash by which a tape knows a value."""
    return sha256_hex(data)[:_HASH_LENGTH]


def hash_of(value: Any, redactor: Redactor) -> str:
    """Return the hash of a plain value, without its secrets."""
    return digest(redactor.line(canonical_json(value)))


def has_header(path: Path) -> bool:
    """Return whether a file has a whole first line: a writer that was killed at once may leave less."""
    try:
        with open(path, "rb") as lines:
            return lines.readline().endswith(b"\n")
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """Read the first line of a tape.

    Raises
    ------
    TapeError
        If it cannot be read, is no header, or is of a format version this package does not know.
    """
    try:
        with open(path, "rb") as lines:
            first = lines.readline()
    except OSError as error:
        raise TapeError(f"cannot read the tape {path}: {error.strerror}") from error
    if not first.endswith(b"\n"):
        raise TapeError(f"{path} is no tape: its first line is missing or cut off")
    return _header(path, first)


def _header(path: Path, line: bytes) -> Header:
    try:
        found = msgspec.json.decode(line)
        version = found.get("format_version") if isinstance(found, dict) else None
        if version != TAPE_VERSION:
            raise TapeError(f"{path}: tape format version {version!r} is not known here (known: {TAPE_VERSION})")
        return _HEADER.decode(line)
    except MALFORMED as error:
        raise TapeError(f"{path}, line 1 is damaged: {error}") from error


def read_tape(path: Path) -> Tape:
    """Read a tape; a torn last line, left by a writer that was killed, is passed over.

    Raises
    ------
    TapeError
        If it cannot be read, or a whole line is damaged or out of order, naming it.
    """
    tape = Tape(path, read_header(path))
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                if number > 1:
                    tape.take(_LINES.decode(line))
                tape.whole_bytes += len(line)
    except MALFORMED as error:
        raise TapeError(f"{path}, line {number} is damaged: {error}") from error
    except OSError as error:
        raise TapeError(f"cannot read the tape {path}: {error.strerror}") from error
    return tape
