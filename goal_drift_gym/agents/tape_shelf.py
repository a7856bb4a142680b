"""The tapes below a directory: finding the one that was recorded of an episode, or saying which comes nearest.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.tape_file import TapeSlot, part_of
from goal_drift_gym.agents.tape_lines import (
    SUFFIX,
    UNFINISHED,
    Header,
    Tape,
    digest,
    has_header,
    read_header,
    read_tape,
)
from goal_drift_gym.agents.tape_shown import all_differences
from goal_drift_gym.core.errors import TapeError
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run

_MOST_SHOWN = 3
_WITHOUT = frozenset({"format_version", "engine_version", "condition_hash", "goal_hash", "tools_hash"})
"""What need not agree: the text behind a hash is compared itself, turn by turn where it is shown to the agent."""


class TapeShelf:
    """The tapes at or below a path; their headers are read once."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._headers: dict[Path, Header] = {path: read_header(path) for path in _tapes(source, SUFFIX)}
        self._unfinished: dict[Path, Header] = {
            path: read_header(path) for path in _tapes(source, SUFFIX + UNFINISHED) if has_header(path)
        }

    @property
    def is_empty(self) -> bool:
        """Whether there is no tape, not even an unfinished one."""
        return not self._headers and not self._unfinished

    def find(self, wanted: Header) -> Tape:
        """Return the tape of an episode. One that was recorded for another owner is as good, where there is no own.

        Raises
        ------
        TapeError
            If there is none, with the nearest one and how it differs; if there are two; if it is incomplete.
        """
        agreeing = {path: header for path, header in self._headers.items() if not _differences(header, wanted)}
        own = [path for path, header in agreeing.items() if header.owner == wanted.owner]
        if len(own) > 1:
            raise TapeError(f"there are two tapes of {_name(wanted)}: {own[0]} and {own[1]}; remove one")
        if not own and wanted.slot in (header.slot for header in self._headers.values()):
            agreeing = {}  # Its own tape is there and does not fit: another's is no way out.
        if not own and not agreeing:
            raise TapeError(self._missing(wanted))
        tape = read_tape(own[0] if own else min(agreeing))
        if not tape.is_complete:
            raise TapeError(f"{tape.path} is incomplete: {_state(tape)}; record it again")
        return tape

    def unfinished_of(self, run: Run) -> TapeSlot:
        """Return where the tape of a run that was cut off lies; nothing else is known of the run than its directory.

        Raises
        ------
        TapeError
            If there is no unfinished tape of the run, or there are two that may be.
        """
        redactor = Redactor.from_environment()
        lines = list(run.step_lines())
        told = (run.meta or {}).get("tape")
        found: dict[Path, TapeSlot] = {}
        for path, header in self._unfinished.items():
            slot = TapeSlot(directory=path.parent.parent, owner=header.owner, repeat=header.repeat, role=header.role)
            own = slot.header(run.config, redactor)
            if header == own and path == part_of(slot.path(own)) and _has_steps(read_tape(path), lines):
                found[path] = slot
        if told is not None:
            found = {path: slot for path, slot in found.items() if path.absolute() == part_of(Path(told))} or found
        if not found:
            raise TapeError(
                f"no unfinished tape at or below {self.source} is of {run.path}; give the directory that it was "
                "recorded in, or go on without its tape by leaving --record out"
            )
        if len(found) > 1:
            both = " and ".join(map(str, list(found)[:2]))
            raise TapeError(
                f"two unfinished tapes may be of {run.path}: {both}. The session they belong to knows which: go on "
                "with it by pytest --drift-resume or goal-drift run --resume"
            )
        return next(iter(found.values()))

    def _missing(self, wanted: Header) -> str:
        text = f"no tape at or below {self.source} is of {_name(wanted)}"
        for path, header in self._unfinished.items():
            if header.slot == wanted.slot:
                text += f"; its recording was cut off or failed, and is no answer: {path} ({_state(read_tape(path))})"
                return f"{text}; record it again, or go on with the session by --drift-resume"
        if not self._headers:
            return f"{text}: there is no tape at all; record one"
        near, header = max(self._headers.items(), key=lambda item: _nearness(item[1], wanted))
        found = _differences(header, wanted) or [f"owner: recorded {header.owner!r}, now {wanted.owner!r}"]
        more = f" (and {len(found) - _MOST_SHOWN} more)" if len(found) > _MOST_SHOWN else ""
        return f"{text}; the nearest, {near}, differs in {'; '.join(found[:_MOST_SHOWN])}{more}; record it again"


def _has_steps(tape: Tape, lines: Sequence[bytes]) -> bool:
    """Whether the turns of a tape that have ended came out as a step log says, as far as it goes."""
    return all(
        turn.end is None or step >= len(lines) or turn.end.record == digest(lines[step])
        for step, turn in tape.turns.items()
    )


def _tapes(source: Path, suffix: str) -> Iterator[Path]:
    if source.is_file():
        if source.name.endswith(suffix):
            yield source
        return
    for directory, folders, files in os.walk(source):
        folders.sort()
        for file in sorted(files):
            if file.endswith(suffix):
                yield Path(directory) / file


def _plain(header: Header) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(header)
    return {name: value for name, value in plain.items() if name not in _WITHOUT and name not in ("type", "owner")}


def _differences(recorded: Header, now: Header) -> list[str]:
    return all_differences("", _plain(recorded), _plain(now))


def _nearness(header: Header, wanted: Header) -> tuple[int, int, int, int]:
    """Return how near a recording comes: by the scenario first, then by names and numbers, then by settings."""
    same = sum(one == other for one, other in zip(header.slot, wanted.slot, strict=True))
    apart = abs(header.seed - wanted.seed)
    return header.scenario.id == wanted.scenario.id, same, -len(_differences(header, wanted)), -apart


def _name(header: Header) -> str:
    owner, role, scenario, condition, agent, seed, repeat = header.slot
    parts = [f"scenario {scenario!r}", f"condition {condition!r}", f"agent {agent!r}", f"seed {seed}"]
    parts += [f"role {role!r}"] if role != "agent" else []
    parts += [f"repeat {repeat}"] if repeat else []
    return ", ".join(parts) + (f" (for {owner})" if owner else "")


def _state(tape: Tape) -> str:
    if tape.end is not None:
        return f"its episode ended as {tape.end.outcome}"
    faults = [turn.end for turn in tape.turns.values() if turn.end is not None and turn.end.fault is not None]
    said = f", the last with {faults[-1].fault}" if faults and faults[-1].step == max(tape.turns) else ""
    return f"its episode has no end after {len(tape.turns)} turns{said}"
